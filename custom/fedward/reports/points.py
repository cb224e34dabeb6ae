"""The numbers of a round's record that are worth a curve in TensorBoard."""

from fedward.reports.metrics import evaluation_iou
from fedward.rounds.record import Record, global_curve


def points(record: Record) -> dict[str, tuple[int, float]]:
    """Tag -> (completed rounds, value).

    Of the received model, which is that of the round before: cost, quality (Dice, mean AUC or k-NN AUC), IoU, AUC of
    each finding, feature statistics. Of each site: training loss and weight. How many images are positive or negative
    does not change.
    """
    found: dict[str, tuple[int, float | None]] = {}
    for done, received in global_curve([record]):
        for key in ("cost", "quality"):
            found[f"global/{key}"] = (done, received.get(key))
        found["global/iou"] = (done, evaluation_iou(received))
        for name, value in (received.get("details") or {}).items():
            group, _, rest = name.partition(".")
            if group not in ("positives", "negatives"):
                found[f"{group}/{rest}"] = (done, value)
    for site, answer in record["answers"].items():
        found[f"loss/{site}"] = (record["round"], answer.get("loss"))
    for site, weight in record.get("weights", {}).items():
        found[f"weight/{site}"] = (record["round"], weight)
    return {tag: (step, float(value)) for tag, (step, value) in found.items() if value is not None}
