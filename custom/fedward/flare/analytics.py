"""Metrics of a round as FLARE analytics events, for TensorBoard and whatever other receiver a job names."""

from nvflare.apis.analytix import AnalyticsDataType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_context import FLContext
from nvflare.apis.utils.analytix_utils import create_analytic_dxo, send_analytic_dxo

from fedward.reports.metrics import evaluation_iou
from fedward.rounds.record import Record


def send_record(component: FLComponent, record: Record, fl_ctx: FLContext) -> None:
    """Fire one event a metric of `scalars`."""
    for tag, value in scalars(record).items():
        dxo = create_analytic_dxo(tag, value, AnalyticsDataType.SCALAR, global_step=record["round"])
        send_analytic_dxo(component, dxo, fl_ctx)


def scalars(record: Record) -> dict[str, float]:
    """The numbers of a record that are worth a curve, by tag.

    Of the received model: cost, quality (Dice, mean AUC or k-NN AUC), IoU, AUC of each finding, feature statistics.
    Of each site: training loss and weight. How many images are positive or negative does not change.
    """
    received = record["received"] or {}
    values = {f"global/{key}": received.get(key) for key in ("cost", "quality")}
    values["global/iou"] = evaluation_iou(received)
    for name, value in (received.get("details") or {}).items():
        group, _, rest = name.partition(".")
        if group not in ("positives", "negatives"):
            values[f"{group}/{rest}"] = value
    for site, answer in record["answers"].items():
        values[f"loss/{site}"] = answer.get("loss")
    for site, weight in record.get("weights", {}).items():
        values[f"weight/{site}"] = weight
    return {tag: float(value) for tag, value in values.items() if value is not None}
