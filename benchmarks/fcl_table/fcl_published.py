"""Published mean Dice of Wu et al. 2021 at N = 1, 2, 4 and 8, as reviews and other papers repeat it; "" is unknown."""

from fcl_rows import MASKED
from row_runner import RANDOM

PUBLISHED = {
    ("federated", RANDOM): ("0.445", "0.572", "0.764", "0.834"),
    ("federated", MASKED): ("0.646", "0.824", "0.871", "0.894"),
    ("federated", "rotation"): ("", "", "≈ 0.82", ""),  # there the best baseline; repeated to two digits
    ("local", RANDOM): ("0.280", "0.414", "0.618", "0.766"),
    ("local", MASKED): ("0.506", "0.631", "0.745", "0.824"),
}
BEST_BASELINE = {"local": ("", "0.508", "", "")}  # which one is not known, so it has a row of its own
READING = (
    "Published: other images, sizes, rounds and patients; FCL's published figures stand beside the masked formula. Of "
    "its baselines two published figures are known: about .82 of FedRotation (federated, N = 4), and .508 of the best "
    "one, which is not named, where each hospital is alone with N = 2. All other published figures could not be read "
    "and are empty; so is what was not run."
)
