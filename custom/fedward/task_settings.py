"""What the settings of a run must agree on, task by task."""

from typing import TYPE_CHECKING

from fedward.datasets.base import DataSet, ImageDataSet
from fedward.datasets.registry import get_data_set
from fedward.datasets.scan import ScanDataSet
from fedward.errors import UsageError
from fedward.networks.registry import all_arguments, check_image_size

if TYPE_CHECKING:
    from fedward.settings import RunSettings

KINDS: dict[str, type] = {  # task -> the data sets it takes
    "segmentation": DataSet,
    "classification": ImageDataSet,
    "pretext": ImageDataSet,
    "structures": ScanDataSet,
    "contrast": ScanDataSet,
}
NO_SERVER_COST = (
    "cost_source server_validation is not for pretraining: its losses compare with nothing; take site_validation"
)
GREY_CHANNELS = 3  # a grey image three times, as networks trained on photographs expect it


def check_task(settings: "RunSettings") -> None:
    """UsageError where network, data set, preprocessing and the task's own settings do not belong together."""
    training, data_set = settings.training, get_data_set(settings.data_set)
    task = training.task
    if not isinstance(data_set, KINDS[task]):
        raise UsageError(f"network {training.network} is for {task}, and data set {settings.data_set} is not")
    for section in ("pretext", "contrast"):
        if (getattr(settings, section) is not None) != (task == section):
            raise UsageError(
                f"network {training.network} is for {task}: "
                + (f"its settings {section!r} are missing" if task == section else f"it has no settings {section!r}")
            )
    if settings.selection.labelled_patients is not None and task != "structures":
        raise UsageError(f"labelled_patients is for the segmentation of volumes, and {training.network} is for {task}")
    if isinstance(data_set, ScanDataSet):
        _check_scans(settings, data_set)
        return
    if settings.preprocessing.pixel_spacing is not None:
        raise UsageError(f"data set {settings.data_set} has no spacing in mm: preprocessing has no pixel_spacing")
    if isinstance(data_set, DataSet):
        _check_segmentation(settings)
        return
    if settings.preprocessing.bias_field != "none" or settings.preprocessing.channels != "all":
        raise UsageError(f"data set {settings.data_set}: preprocessing has bias_field none and channels all")
    if training.network_args.get("in_channels", GREY_CHANNELS) != GREY_CHANNELS:
        raise UsageError(f"the network must take {GREY_CHANNELS} channels: a grey image is given to each of them")
    if task == "classification":
        _check_classification(settings, data_set)
    else:
        _check_pretext(settings)


def _check_segmentation(settings: "RunSettings") -> None:
    training, preprocessing = settings.training, settings.preprocessing
    check_image_size(training.network, training.network_args, preprocessing.image_size)
    channels = 1 if preprocessing.channels == "flair" else 3
    if training.network_args.get("in_channels") != channels:
        raise UsageError(
            f"the network takes {training.network_args.get('in_channels')} channels but preprocessing "
            f"({preprocessing.channels}) gives {channels}: change one of them"
        )


def _check_scans(settings: "RunSettings", data_set: ScanDataSet) -> None:
    training, preprocessing, contrast = settings.training, settings.preprocessing, settings.contrast
    if preprocessing.bias_field != "none" or preprocessing.channels != "all":
        raise UsageError(f"data set {data_set.name}: preprocessing has bias_field none and channels all")
    if all_arguments(training.network, training.network_args)["in_channels"] != 1:
        raise UsageError(f"the network must take 1 channel: {data_set.name} is grey")
    check_image_size(training.network, training.network_args, preprocessing.image_size)
    if settings.selection.label_fraction != 1:
        raise UsageError("label_fraction is for X-rays: give labelled_patients, a number a hospital")
    if contrast is not None:
        if training.network != contrast.network:
            raise UsageError(f"contrast method {contrast.method} trains {contrast.network}, not {training.network}")
        if settings.aggregation.cost_source == "server_validation":
            raise UsageError(NO_SERVER_COST)
        return
    if not data_set.structures:
        raise UsageError(f"data set {data_set.name} has no labels to segment: it serves pretraining")
    outputs = all_arguments(training.network, training.network_args)["out_channels"]
    if outputs != len(data_set.structures) + 1:
        raise UsageError(
            f"the network has {outputs} outputs, {data_set.name} has {len(data_set.structures)} structures and the "
            f"background: give out_channels {len(data_set.structures) + 1}"
        )


def _check_classification(settings: "RunSettings", data_set: ImageDataSet) -> None:
    training = settings.training
    if not data_set.findings:
        raise UsageError(f"data set {data_set.name} has no labels to classify: it serves pretraining")
    outputs = training.network_args.get("out_channels", 14)
    if outputs != len(data_set.findings):
        raise UsageError(f"the network has {outputs} outputs, {data_set.name} has {len(data_set.findings)} findings")
    if training.mode == "fine_tune" and training.batch_size < 2:
        raise UsageError(
            "fine_tune needs batches of at least 2 images, for batch normalisation: raise batch_size, or train the "
            "classifier alone (linear)"
        )
    if training.mode == "linear" and settings.aggregation.cost_source == "server_validation":
        raise UsageError(
            "cost_source server_validation is not for mode linear, where classifiers alone reach the server: take "
            "site_validation"
        )
    size = settings.preprocessing.image_size
    if (training.crop_size or size) > size:
        raise UsageError(f"crop_size {training.crop_size} is larger than the images of {size} pixels: lower it")
    check_image_size(training.network, training.network_args, training.crop_size or size)


def _check_pretext(settings: "RunSettings") -> None:
    training, pretext = settings.training, settings.pretext
    assert pretext is not None  # check_task has looked
    if pretext.method != training.network:
        raise UsageError(f"pretext is for {pretext.method}, the network for {training.network}: name one method")
    check_image_size(training.network, training.network_args, pretext.crop_size)
    pretext.check(training.batch_size, settings.preprocessing.image_size)
    if settings.aggregation.cost_source == "server_validation":
        raise UsageError(NO_SERVER_COST)
    if settings.selection.label_fraction != 1:
        raise UsageError("label_fraction is for classification: pretraining uses no labels")
    if pretext.private_state == "keep" and len(settings.sites) > 1:
        raise UsageError(
            "private_state keep is for one site (the coordinator): with several, each keeps a target of its own that "
            "the averaged model has left behind; use reset"
        )
    if pretext.probe_data_set is not None:
        probe = get_data_set(pretext.probe_data_set)
        if not isinstance(probe, ImageDataSet) or not probe.findings:
            raise UsageError(f"probe_data_set {pretext.probe_data_set} has no findings to probe")
