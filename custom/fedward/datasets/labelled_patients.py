"""N labelled patients of a hospital, for the question how few labels are enough."""

from collections.abc import Iterable

from fedward.errors import UsageError
from fedward.seeds import derive_seed


def draw_labelled(patients: Iterable[str], count: int, seed: int, draw: int, site: str) -> tuple[str, ...]:
    """`count` names, sorted; a smaller count takes from a larger. All scans of a patient go with it.

    The order comes from a hash of seed, site, draw and patient: other draws take other patients, and the order of
    `patients` does not matter. Raises UsageError unless 1 <= count <= number of patients.
    """
    names = sorted(set(patients), key=lambda p: (derive_seed(seed, "labelled patients", site, draw, p), p))
    try:
        check_count(count, len(names))
    except UsageError as error:
        raise UsageError(f"{site}: {error}") from error
    return tuple(sorted(names[:count]))


def check_count(count: int, labelled: int) -> None:
    """UsageError unless a site with so many labelled training patients can draw `count` of them."""
    if not labelled:
        raise UsageError(f"no training patient has labels: labelled_patients cannot be {count}")
    if not 1 <= count <= labelled:
        raise UsageError(
            f"labelled_patients is {count}, and {labelled} training patients have labels: "
            f"give a number from 1 to {labelled}"
        )
