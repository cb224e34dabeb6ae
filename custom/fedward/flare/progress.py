"""What a running job tells whoever asks for its statistics: FLARE's own three numbers, and our round records."""

from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_context import FLContext
from nvflare.widgets.info_collector import GroupInfoCollector, InfoCollector

from fedward.reports.metrics import mean_loss
from fedward.rounds.record import Record

RECORDS = "fedward_records"
MOST_RECORDS = 200  # the latest ones; an answer stays below a megabyte


def tell_progress(component: FLComponent, records: list[Record], fl_ctx: FLContext) -> None:
    """Answer InfoCollector.EVENT_TYPE_GET_STATS: current_round, loss, accuracy (Dice) for `nvflare job monitor`."""
    collector = fl_ctx.get_prop(InfoCollector.CTX_KEY_STATS_COLLECTOR)
    if not isinstance(collector, GroupInfoCollector):
        return
    last = records[-1] if records else None
    received = (last["received"] or {}) if last else {}
    info = {
        "current_round": last["round"] if last else 0,
        "loss": mean_loss(last) if last and last["kind"] == "training" else None,
        "accuracy": received.get("quality"),
        RECORDS: records[-MOST_RECORDS:],
    }
    collector.set_info("fedward", info)


def asks_for_progress(event_type: str) -> bool:
    return bool(event_type == InfoCollector.EVENT_TYPE_GET_STATS)
