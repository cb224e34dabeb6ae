"""Metrics of a round as FLARE analytics events, for the receiver of a job that was exported with --tensorboard."""

from nvflare.apis.analytix import AnalyticsDataType
from nvflare.apis.fl_component import FLComponent
from nvflare.apis.fl_context import FLContext
from nvflare.apis.utils.analytix_utils import create_analytic_dxo, send_analytic_dxo

from fedward.reports.points import points
from fedward.rounds.record import Record


def send_record(component: FLComponent, record: Record, fl_ctx: FLContext) -> None:
    """Fire one event a point of a curve."""
    for tag, (step, value) in points(record).items():
        dxo = create_analytic_dxo(tag, value, AnalyticsDataType.SCALAR, global_step=step)
        send_analytic_dxo(component, dxo, fl_ctx)
