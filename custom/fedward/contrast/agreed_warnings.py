"""The sentences that a site's report of a contrastive pretraining may hold; a hospital's filter lets no other pass."""

from fedward.pretext.agreed_warnings import COLLAPSED, FEW_VALIDATION, NO_VALIDATION

ONE_SCAN = "a single training scan: no local positives, it learns from the other sites' features alone"
ONE_SCAN_ALONE = "a single training scan and no features of others: it has no positives and learns nothing"
ONE_PATIENT = "a single training patient: its local positives are other frames of the same heart"
EMPTY_PARTITIONS = "training scans with fewer slices than partitions: some partitions hold no slice of theirs"
FEW_FEATURES = "fewer features than the negatives that the job asks for: all of them are used"
WARNINGS = (
    COLLAPSED,
    NO_VALIDATION,
    FEW_VALIDATION,
    ONE_SCAN,
    ONE_SCAN_ALONE,
    ONE_PATIENT,
    EMPTY_PARTITIONS,
    FEW_FEATURES,
)
