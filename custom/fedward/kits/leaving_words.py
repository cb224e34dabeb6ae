"""The list of what may leave a hospital, in the words of a privacy officer."""

from typing import Any

from fedward.kits.leaving_list import Rules

NUMBERS = {
    "samples": "number of training images used in the round",
    "steps": "number of optimiser steps",
    "train_seconds": "seconds the site has worked",
    "loss": "mean training loss of the round",
    "cost": "mean cross entropy over the images; of a pretraining its own loss",
    "quality": "Dice over the images, of several structures their mean; of X-rays the mean AUC, of a pretraining the "
    "AUC of its probe",
    "auc": "AUC of each finding over the images",
    "features": "spread of the features over the images of a pretraining: standard deviation and effective rank",
    "knn": "AUC of a pretraining's nearest-neighbour probe, or the share of slices whose nearest neighbour is of the "
    "same part of another volume",
    "images": "number of images (slices) measured on",
    "patients": "number of patients measured on",
    "dice": "Dice of each structure over the images",
    "true_positive": "pixels of tumour, or of each structure, found",
    "false_positive": "pixels wrongly called tumour, or each structure",
    "false_negative": "pixels of tumour, or of each structure, missed",
    "positives": "number of images with each finding",
    "negatives": "number of images without it",
}
FEATURE = "where in a volume its slice lies (never which slice, volume or patient)"
PARTS = {"start": "received model", "end": "own model after training"}
NEVER = (
    "images, masks, names of patients and of files, split.json and fedward.yml",
    "a number about one image or patient, but for features where the list lets them leave: each other number is over "
    "all of a set (which may be one patient, where a site has one; min_patients in fedward.yml sets how many it must "
    "have to train)",
    "fields, arrays and texts that the list does not name: they are removed, and each is logged once in the site's log",
    "the optimiser's state, and layers that the received model does not have (such as a pretraining's target network "
    "and queue)",
    "the site's logs: log streaming is off",
)
TO_KNOW = (
    "The list bounds what is sent, not what can be found out from it. Parameters are learned from patients' images; "
    "research has shown that they can tell whether an image was among them, or show parts of it.",
    "What bounds that is noise (ClipAndNoise in local/privacy.json), at a high cost in quality; it is active only "
    "where it is named above.",
    "Exchanged features are made of one slice each and go to all other hospitals of the job: they can tell more of a "
    "patient than an average over all does.",
    "Homomorphic encryption is not offered: it would hide the parameters from the server alone, and one "
    "layer of a usual network is larger than what one ciphertext holds.",
)
CONNECTION = (
    "when it connects: the site's name and organisation (its certificate), the machine's own address, FLARE's version, "
    "and a hash that tells one start of the kit from another",
    "with that: the settings of local/resources.json that are no components, such as whether logs are streamed",
    "while it runs: a heartbeat with the ids of its jobs; of a job that it has started, its task, status and exit code",
    "before a job: whether it has a free place and a GPU, and in one sentence why it refuses a job",
    "asked by an administrator who may (local/authorization.json): memory, names of GPUs, the kit's "
    "folder, names of the scopes of privacy.json, components of the job",
)
FILTERS = {
    "ClipAndNoise": (
        "differential privacy of the whole update: clipped to norm {clip:g}, Gaussian noise, epsilon {epsilon:g} and "
        "delta {delta:g} a round; protects all data of this hospital at once, in the parameters alone: features "
        "and the numbers of the report leave as they are"
    ),
    "PercentilePrivacy": (
        "sends the largest changes alone (above percentile {percentile}, cut at {gamma}); this is no differential "
        "privacy and promises nothing about a patient"
    ),
    "SVTPrivacy": (
        "sparse vector technique: sends a share of {fraction} of the changes, with noise; it spends its "
        "epsilon for each value that it sends and leaves almost nothing of the update"
    ),
    "ExcludeVars": "layers that match {exclude_vars} are sent as they came, without what was learned here",
}
DEFAULTS = {
    "PercentilePrivacy": {"percentile": 10, "gamma": 0.01},
    "SVTPrivacy": {"fraction": 0.1},
}


def number(name: str) -> str:
    """What one number of the report is."""
    part, _, value = name.rpartition(".")
    return f"{PARTS[part]}: {NUMBERS[value]}" if part else NUMBERS[value]


def precision(step: int) -> str:
    return "exact" if step == 1 else f"rounded to multiples of {step}"


def errors(rules: Rules) -> str:
    """What the server learns of an error at the site."""
    if rules.errors == "kind":
        return "the kind of error, the task and a reference; the sentence itself stays in the site's log"
    return "the site's own sentence, which may name a folder or a patient's file"


def features(rules: Rules) -> str:
    """What may leave of the features of images, which runs of contrastive pretraining exchange."""
    if rules.features is None:
        return "none: the site takes no part in jobs that exchange features"
    least = rules.features.min_noise
    noise = f"with noise of {least:g} or more on each number" if least else "with or without noise, as the job says"
    return f"at most {rules.features.max_rows:,} each time, of length 1, {noise}; with each its partition: {FEATURE}"


def offered(features: dict[str, Any]) -> str:
    """What of them a job would send."""
    noise = f"with noise of {features['noise']:g} on each number" if features["noise"] else "without noise"
    return (
        f"at most {features['rows']:,} features of {features['width']} numbers, {features['type']}, {noise}; "
        f"{features['bytes']:,} bytes each time"
    )


def filter_words(entry: dict[str, Any]) -> tuple[str, str]:
    """Name and effect of a filter that stands before the list."""
    arguments = entry.get("args", {})
    inner = arguments.get("filter")
    if isinstance(inner, dict):
        return filter_words(inner)
    name = str(entry["path"]).rpartition(".")[2]
    return name, FILTERS[name].format(**{**DEFAULTS.get(name, {}), **arguments})
