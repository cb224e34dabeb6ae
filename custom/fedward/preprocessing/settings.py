"""How images are prepared: the settings that name a cached case."""

from dataclasses import asdict, dataclass
from numbers import Integral, Real
from typing import Any, Literal, get_args

from fedward.errors import UsageError

BiasField = Literal["n4", "n3", "none"]
Channels = Literal["all", "flair"]
SMALLEST_IMAGE, LARGEST_IMAGE = 16, 1024
FINEST_PIXEL, COARSEST_PIXEL = 0.1, 20.0  # mm


@dataclass(frozen=True)
class PreprocessingSettings:
    """Settings of the preprocessing; checked when built.

    bias_field     n4 (SimpleITK), n3 (antspyx, the optional extra `n3`) or none
    percentiles    intensities of the head below the first and above the second are clipped; 0 <= first < second <= 100
    image_size     height and width of a prepared slice in pixels, 16 to 1024
    channels       all of the data set's channels, or FLAIR only
    pixel_spacing  scans only: mm a pixel in plane after resampling, 0.1 to 20; None keeps the pixels

    Raises UsageError where a value is outside its range.
    """

    bias_field: BiasField = "n4"
    percentiles: tuple[float, float] = (1.0, 99.0)
    image_size: int = 96
    channels: Channels = "all"
    pixel_spacing: float | None = None

    def __post_init__(self) -> None:
        _check_choice("bias_field", self.bias_field, get_args(BiasField))
        _check_choice("channels", self.channels, get_args(Channels))
        object.__setattr__(self, "percentiles", _checked_percentiles(self.percentiles))
        object.__setattr__(self, "image_size", checked_size(self.image_size))
        object.__setattr__(self, "pixel_spacing", _checked_spacing(self.pixel_spacing))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; equal settings give equal dictionaries."""
        values = asdict(self) | {"percentiles": list(self.percentiles)}
        if self.pixel_spacing is None:
            del values["pixel_spacing"]  # caches and runs of images are older than it
        return values


def _check_choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"preprocessing: {name} {value!r} is not known: use one of {', '.join(allowed)}")


def _checked_percentiles(value: object) -> tuple[float, float]:
    if isinstance(value, tuple | list) and len(value) == 2 and all(_is_number(v) for v in value):
        low, high = float(value[0]), float(value[1])
        if 0 <= low < high <= 100:  # false for NaN
            return low, high
    raise UsageError(f"preprocessing: percentiles {value!r} must be two numbers, 0 <= first < second <= 100")


def _checked_spacing(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, Real) and _is_number(value) and FINEST_PIXEL <= float(value) <= COARSEST_PIXEL:
        return float(value)
    raise UsageError(
        f"preprocessing: pixel_spacing {value!r} must be none or a number of mm, {FINEST_PIXEL:g} to {COARSEST_PIXEL:g}"
    )


def checked_size(value: object) -> int:
    """`value` as height and width of a prepared image in pixels; UsageError where it is out of range."""
    if isinstance(value, Integral) and _is_number(value) and SMALLEST_IMAGE <= int(value) <= LARGEST_IMAGE:
        return int(value)
    raise UsageError(
        f"preprocessing: image_size {value!r} must be a whole number of pixels, {SMALLEST_IMAGE} to {LARGEST_IMAGE}"
    )


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
