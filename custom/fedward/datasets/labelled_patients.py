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
    if not 1 <= count <= len(names):
        raise UsageError(
            f"{site}: labelled_patients is {count}, and {len(names)} training patients have labels: "
            f"give a number from 1 to {len(names)}"
            if names
            else f"{site}: no training patient has labels: labelled_patients cannot be {count}"
        )
    return tuple(sorted(names[:count]))
