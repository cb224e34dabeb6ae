"""Which global model is the best one so far: two are compared on the sites that measured both."""

from collections.abc import Iterable, Mapping

from fedward.evaluation import Evaluation, pool
from fedward.rounds.record import Record, training_records


def is_better(new: Mapping[str, Evaluation], old: Mapping[str, Evaluation]) -> bool:
    """Whether a model has a higher pooled quality than an older one, each measured by these sites.

    A round may lack sites. Pooled over those that are there, a worse model looks better where a hard site is away. Only
    where those that measured both say nothing, all that measured either are pooled.
    """
    both = sorted(new.keys() & old.keys())  # sums depend on their order
    pairs = [(_quality(new, both), _quality(old, both)), (_quality(new, new), _quality(old, old))]
    for first, second in pairs:
        if first is not None and second is not None:
            return first > second
    return False


def _quality(of: Mapping[str, Evaluation], sites: Iterable[str]) -> float | None:
    pooled = pool(of[site] for site in sites)
    return None if pooled is None else pooled.quality


def measured(records: list[Record], round_number: int) -> dict[str, Evaluation]:
    """Each site's evaluation of the global model after `round_number`, which the next training round's record holds."""
    for record in training_records(records):
        if record["round"] == round_number + 1:
            starts = {site: answer.get("start") for site, answer in record["answers"].items()}
            return {site: Evaluation(**start) for site, start in starts.items() if start is not None}
    return {}
