"""The sentences that a site's report of a pretraining may hold; a hospital's filter lets no other pass."""

COLLAPSED = "the features have collapsed: all validation images look nearly alike to the encoder"
NO_VALIDATION = "no validation patient: the site trains, its loss and features are not measured"
FEW_VALIDATION = "too few validation images to tell whether the features have collapsed"
WARNINGS = (COLLAPSED, NO_VALIDATION, FEW_VALIDATION)
