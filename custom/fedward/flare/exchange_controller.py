"""The Controller component of runs whose sites exchange features: banks are collected, each site gets the others'."""

from typing import ClassVar

from nvflare.app_common.abstract.fl_model import FLModel
from nvflare.fuel.utils.memory_utils import cleanup_memory

from fedward.flare.controller import RoundController
from fedward.flare.tasks import BANK, FEATURES, OTHERS, REPORT
from fedward.rounds.exchange import read_table
from fedward.rounds.open_round import EXCHANGE, TRAINING, OpenRound
from fedward.rounds.record import Record
from fedward.rounds.site_report import Report


class ExchangeController(RoundController):
    """A RoundController that asks for features before each training but the first, and sends them on with it.

    An exchange is a round like the others, with the same deadline and the same faults of sites, and needs one answer:
    a site that offers nothing is represented by its last features until they are too old, and is still asked to train.
    """

    tasks: ClassVar[dict[str, str]] = {**RoundController.tasks, EXCHANGE: BANK}

    def _round(self, kind: str) -> Record | None:
        record = super()._round(kind)
        if kind == TRAINING:
            # FLARE's messages are parts of reference cycles: without this the features of some ten rounds stay in
            # memory, until Python looks for such cycles itself.
            cleanup_memory()
        return record

    def _messages(self, current: OpenRound, targets: list[str]) -> list[tuple[FLModel, list[str]]]:
        if current.kind != TRAINING:
            return super()._messages(current, targets)
        messages = []
        for site in targets:  # each its own: no site is sent what it gave
            others = [table.to_dict() for table in self.federation.others(site)]
            parameters = self.federation.task_parameters(site)
            messages.append((self._message(current, parameters, **{OTHERS: others}), [site]))
        return messages

    def _use(self, site: str, model: FLModel) -> None:
        if self.federation.round.kind != EXCHANGE:
            super()._use(site, model)
            return
        features, number, exchange = model.meta.get(FEATURES), self.federation.round.number, self.federation.exchange
        rows = features.get("rows") if isinstance(features, dict) else None
        size = getattr(rows, "nbytes", 0)

        def accept(checked: Report) -> None:
            assert exchange is not None  # the settings ask for it
            exchange.accept(site, read_table(features), number)

        self.federation.answer(site, (model.metrics or {}).get(REPORT), size, accept)
