"""The settings of contrastive pretraining on volumes: frozen, plain values, checked when built. No torch in here."""

from dataclasses import asdict, dataclass
from typing import Any

from fedward.errors import UsageError

METHODS = ("fcl", "simclr", "rotation")
NETWORK_OF = {"fcl": "unet_contrast", "simclr": "unet_contrast", "rotation": "unet_rotation"}
FORMULAS = ("literal", "masked")
MOMENTUM_ENCODERS = ("reset", "keep")
PRECISIONS = ("float16", "float32")
LARGEST_TURN = 44  # degrees; from 45 on another quarter turn is nearer
MOST_PARTITIONS, LARGEST_BANK, OLDEST_BANK = 64, 2**20, 100
OF_FCL = ("exchange", "formula", "momentum", "bank_size", "negatives", "max_age", "noise")  # others refuse them


@dataclass(frozen=True)
class ContrastSettings:
    """How a U-Net's encoder learns from volumes without labels (Wu et al. 2021, arXiv 2204.10983, and baselines).

    method        fcl (federated contrastive learning), simclr or rotation, on the same slices and views
    exchange      fcl: hospitals train against each other's features; without, against their own alone
    formula       fcl: literal (as published: features of the query's own partition are negatives too) or masked (they
                  are left out of the negatives)
    partitions    S: a volume's slices are cut into so many parts by their position, 1 to 64
    temperature   tau of fcl and simclr, above 0
    momentum      of fcl's momentum encoder, 0 <= m < 1
    momentum_encoder  reset: each round it begins as the received model; keep: it stays at the site
    bank_size     most features that a site keeps and offers
    negatives     K, drawn from the own bank and the others' at each step; None: as many as the own bank holds
    max_age       rounds that a silent site's last features are still used
    noise         standard deviation of the noise on each number of an exchanged feature (unit vectors), 0: none
    precision     float16 or float32: how features travel
    min_crop      smallest part of a slice's area that a random view takes, above 0 and at most 1
    rotation      a view is turned by up to so many degrees, 0 to 180
    gamma         grey values of a view are taken to a power from 1 / (1 + gamma) to 1 + gamma, 0 <= gamma <= 10

    Raises UsageError where a value is out of range or of no use to the method.
    """

    method: str = "fcl"
    exchange: bool = True
    formula: str = "masked"
    partitions: int = 4
    temperature: float = 0.1
    momentum: float = 0.999
    momentum_encoder: str = "reset"
    bank_size: int = 4096
    negatives: int | None = None
    max_age: int = 2
    noise: float = 0.0
    precision: str = "float16"
    min_crop: float = 0.5
    rotation: float = 15.0
    gamma: float = 0.5

    def __post_init__(self) -> None:
        _one_of("method", self.method, METHODS)
        _one_of("formula", self.formula, FORMULAS)
        _one_of("momentum_encoder", self.momentum_encoder, MOMENTUM_ENCODERS)
        _one_of("precision", self.precision, PRECISIONS)
        if not isinstance(self.exchange, bool):
            raise UsageError(f"contrast: exchange must be true or false, not {self.exchange!r}")
        _whole("partitions", self.partitions, 1, MOST_PARTITIONS)
        _whole("bank_size", self.bank_size, 2, LARGEST_BANK)
        _whole("max_age", self.max_age, 0, OLDEST_BANK)
        if self.negatives is not None:
            _whole("negatives", self.negatives, 1, LARGEST_BANK)
        _number("temperature", self.temperature, 0, 100, above=True)
        _number("momentum", self.momentum, 0, 1, below=True)
        _number("noise", self.noise, 0, 100)
        _number("min_crop", self.min_crop, 0, 1, above=True)
        _number("rotation", self.rotation, 0, 180)
        _number("gamma", self.gamma, 0, 10)
        self._check_method()

    def _check_method(self) -> None:
        """A setting that would change nothing is refused."""
        if self.method == "fcl":
            if self.noise and not self.exchange:
                raise UsageError("contrast: noise is put on exchanged features: leave it out without exchange")
            if self.partitions == 1 and self.formula == "masked":
                raise UsageError(
                    "contrast: with 1 partition the masked formula has no negatives: take partitions 2 or more"
                )
            return
        if self.method == "rotation" and self.rotation > LARGEST_TURN:
            raise UsageError(
                f"contrast: rotation {self.rotation} degrees is what method rotation must tell: {LARGEST_TURN} at most"
            )
        default = {name: field.default for name, field in ContrastSettings.__dataclass_fields__.items()}
        default["exchange"] = False
        for name in OF_FCL if self.method == "simclr" else (*OF_FCL, "temperature"):
            if getattr(self, name) != default[name]:
                wanted = "false" if name == "exchange" else "its default"
                raise UsageError(f"contrast: {name} is of no use to {self.method}: it must be {wanted}")

    @property
    def network(self) -> str:
        """The registered network that the method trains."""
        return NETWORK_OF[self.method]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; equal settings give equal dictionaries."""
        return asdict(self)


def _one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"contrast: {name} {value!r} is unknown: choose one of {', '.join(known)}")


def _number(name: str, value: object, least: float, most: float, above: bool = False, below: bool = False) -> None:
    """`above` leaves out `least` itself, `below` leaves out `most`."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not least <= value <= most or (above and value == least) or (below and value == most):  # type: ignore[operator]
        low = f"above {least}" if above else f"at least {least}"
        high = f"below {most}" if below else f"at most {most}"
        raise UsageError(f"contrast: {name} must be a number {low} and {high}, not {value!r}")


def _whole(name: str, value: object, least: int, most: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise UsageError(f"contrast: {name} must be a whole number from {least} to {most}, not {value!r}")
