"""Which global model is the best one so far: two are compared on the sites that measured both."""

from collections.abc import Iterable, Mapping

from fedward.evaluation import Evaluation, pool
from fedward.rounds.record import Record, training_records


def is_better(new: Mapping[str, Evaluation], old: Mapping[str, Evaluation]) -> bool:
    """Whether a model has a higher pooled quality than an older one, each measured by these sites.

    A round may lack sites. Pooled over those that are there, a worse model looks better where a hard site is away.
    False where no site measured both.
    """
    both = sorted(new.keys() & old.keys())  # sums depend on their order
    first, second = pool(new[site] for site in both), pool(old[site] for site in both)
    if first is None or second is None or first.quality is None or second.quality is None:
        return False
    return first.quality > second.quality


def measured(records: Iterable[Record], round_number: int) -> dict[str, Evaluation]:
    """Each site's evaluation of the global model after `round_number`, which the next training round's record holds."""
    for record in training_records(list(records)):
        if record["round"] == round_number + 1:
            starts = {site: answer.get("start") for site, answer in record["answers"].items()}
            return {site: Evaluation(**start) for site, start in starts.items() if start is not None}
    return {}
