"""The settings of a pretraining without labels: frozen, plain values, checked when built. No torch in here."""

from dataclasses import asdict, dataclass
from typing import Any

from fedward.errors import UsageError

METHODS = ("rotation", "simclr", "moco_v2", "byol", "frid")
PRIVATE_STATES = ("reset", "keep")
SMALLEST_CROP, LARGEST_CROP = 32, 1024  # DenseNet-121 halves an image five times
LARGEST_QUEUE = 2**20
LEAST_KEYED_BATCH = 4  # of moco_v2: two groups of two keys
# What each method has of its own. A method refuses the settings that are not here, for they would change nothing.
DEFAULTS: dict[str, dict[str, Any]] = {
    "rotation": {},
    "simclr": {"temperature": 0.1},  # Chen 2020, arXiv 2002.05709
    "moco_v2": {"temperature": 0.2, "momentum": 0.999, "queue_size": 24576},  # arXiv 2003.04297; MoCo-CXR's queue
    "byol": {"momentum": 0.99},  # Grill 2020, arXiv 2006.07733: .99 for 300 epochs, .996 for 1,000
    "frid": {"momentum": 0.99},
}


@dataclass(frozen=True)
class PretextSettings:
    """How an encoder learns without labels. A value of None takes the method's default (`DEFAULTS`).

    method         rotation, simclr, moco_v2, byol or frid
    temperature    tau of simclr and moco_v2, above 0
    momentum       of the momentum network (moco_v2: constant) or target network (byol, frid: at the start), 0 <= m < 1
    queue_size     keys in moco_v2's queue: a multiple of the batch, at most half of the site's images
    crop_size      height and width of a view in pixels, at most the image size
    min_crop       smallest part of the image's area that a random crop takes, above 0 and at most 1
    flip           whether a view is mirrored left to right with probability one half
    rotation       largest small rotation of a view in degrees, 0 to 44
    jitter         largest relative change of brightness and contrast, 0 to 1
    blur           probability of a Gaussian blur, 0 to 1
    edge           whether one of two views may be an edge view (frid: yes, others: no; rotation has one view only)
    edge_probability, edge_strength  how often, and the largest lambda (docs/methods.md, "FRID")
    private_state  what never leaves the site (target or momentum network, queue, optimiser): `reset` rebuilds it from
                   the received model each round, `keep` stores it at the site from round to round
    micro_batch    images that are in memory at once, a divisor of the batch; None: the whole batch
    probe_data_set  registered data set with labels for the k-NN probe on the validation images; None: no probe
    probe_every    rounds from one probe to the next

    Raises UsageError where a value is outside its range or the method has no use for it.
    """

    method: str
    temperature: float | None = None
    momentum: float | None = None
    queue_size: int | None = None
    crop_size: int = 224
    min_crop: float = 0.2
    flip: bool = True
    rotation: float = 10.0
    jitter: float = 0.4
    blur: float = 0.5
    edge: bool | None = None
    edge_probability: float = 0.5
    edge_strength: float = 0.5
    private_state: str = "reset"
    micro_batch: int | None = None
    probe_data_set: str | None = None
    probe_every: int = 1

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(f"pretext: method {self.method!r} is unknown: choose one of {', '.join(METHODS)}")
        own = DEFAULTS[self.method]
        for name in ("temperature", "momentum", "queue_size"):
            if getattr(self, name) is not None and name not in own:
                raise UsageError(f"pretext: {self.method} has no {name}: leave it out")
            if getattr(self, name) is None:
                object.__setattr__(self, name, own.get(name))
        if self.edge is None:
            object.__setattr__(self, "edge", self.method == "frid")
        if self.edge and self.method == "rotation":
            raise UsageError("pretext: rotation makes one view of an image, and edge is for one of two: leave it out")
        if self.temperature is not None:
            _number("temperature", self.temperature, 0, 100, above=True)
        if self.momentum is not None:
            _number("momentum", self.momentum, 0, 1, below=True)
        if self.queue_size is not None:
            _whole("queue_size", self.queue_size, 1, LARGEST_QUEUE)
        _whole("crop_size", self.crop_size, SMALLEST_CROP, LARGEST_CROP)
        _number("min_crop", self.min_crop, 0, 1, above=True)
        _number("rotation", self.rotation, 0, 44)  # 45 degrees and more would be the rotation pretext's own answer
        for name in ("jitter", "blur", "edge_probability", "edge_strength"):
            _number(name, getattr(self, name), 0, 1)
        for name in ("flip", "edge"):
            if not isinstance(getattr(self, name), bool):
                raise UsageError(f"pretext: {name} must be true or false, not {getattr(self, name)!r}")
        if self.private_state not in PRIVATE_STATES:
            raise UsageError(
                f"pretext: private_state {self.private_state!r} is unknown: choose one of {', '.join(PRIVATE_STATES)}"
            )
        if self.micro_batch is not None:
            _whole("micro_batch", self.micro_batch, 2, 2**20)  # batch normalisation needs two images
        if self.probe_data_set is not None and not isinstance(self.probe_data_set, str):
            raise UsageError(f"pretext: probe_data_set must be a name, not {self.probe_data_set!r}")
        _whole("probe_every", self.probe_every, 1, 10_000)

    def check(self, batch_size: int, image_size: int) -> None:
        """UsageError where the settings do not fit the batch or the image size (pixels) of the run."""
        if self.crop_size > image_size:
            raise UsageError(
                f"pretext: crop_size {self.crop_size} is larger than the images of {image_size} x {image_size}: "
                "lower it or raise image_size"
            )
        if batch_size < 2:
            raise UsageError(f"pretext: a batch needs at least 2 images, not {batch_size}: raise batch_size")
        if self.method == "moco_v2" and batch_size < LEAST_KEYED_BATCH:
            raise UsageError(
                "pretext: moco_v2 normalises its keys in groups of at least two images, and in one group they give the "
                f"pairs away: raise batch_size to {LEAST_KEYED_BATCH} or more"
            )
        if self.micro_batch is not None and batch_size % self.micro_batch:
            raise UsageError(
                f"pretext: micro_batch {self.micro_batch} does not divide the batch of {batch_size}: "
                "take a divisor of batch_size"
            )
        if self.queue_size is not None and self.queue_size % batch_size:
            raise UsageError(
                f"pretext: queue_size {self.queue_size} is not a multiple of the batch of {batch_size}: take "
                f"{max(1, round(self.queue_size / batch_size)) * batch_size}"
            )

    def check_data_size(self, images: int, batch_size: int) -> None:
        """UsageError where a site with this number of training images cannot use the settings."""
        if images < 2:
            raise UsageError(f"pretext: {images} training images; batch normalisation needs at least 2: add images")
        if self.queue_size is None or self.queue_size <= images // 2:
            return
        half = images // 2
        if half < LEAST_KEYED_BATCH:
            raise UsageError(
                f"pretext: moco_v2 needs at least {2 * LEAST_KEYED_BATCH} training images and the site has {images}: "
                "no queue_size or batch_size works with so few. Take another method (simclr, byol, frid or rotation), "
                "leave the site out, or train at a coordinator who has more images"
            )
        most = half // batch_size * batch_size
        raise UsageError(
            f"pretext: a queue of {self.queue_size} keys is more than half of the site's {images} training images, and "
            "old copies of an image would be its negatives: "
            + (
                f"take queue_size {most} or less"
                if most
                else f"take a batch_size from {LEAST_KEYED_BATCH} to {half}, and a queue_size that is a multiple of it "
                f"and at most {half}"
            )
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; equal settings give equal dictionaries."""
        return asdict(self)


def pretext_settings(method: str, **changes: Any) -> PretextSettings:
    """The method's default settings with `changes`; UsageError for an unknown setting or a bad value."""
    unknown = sorted(set(changes) - set(PretextSettings.__dataclass_fields__))
    if unknown:
        known = ", ".join(PretextSettings.__dataclass_fields__)
        raise UsageError(f"pretext has unknown settings {', '.join(unknown)}: known are {known}")
    return PretextSettings(method, **changes)


def _number(name: str, value: object, least: float, most: float, above: bool = False, below: bool = False) -> None:
    """`above` leaves out `least` itself, `below` leaves out `most`."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not least <= value <= most or (above and value == least) or (below and value == most):  # type: ignore[operator]
        low = f"above {least}" if above else f"at least {least}"
        high = f"below {most}" if below else f"at most {most}"
        raise UsageError(f"pretext: {name} must be a number {low} and {high}, not {value!r}")


def _whole(name: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise UsageError(f"pretext: {name} must be a whole number from {least} to {most}, not {value!r}")
