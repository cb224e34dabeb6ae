"""Federated rounds in one plain process without FLARE: for fast experiments, and the oracle of the FLARE run."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from fedward.errors import FedwardError, RoundFailed
from fedward.networks.initial import first_parameters
from fedward.rounds.aggregation import Aggregation, Score
from fedward.rounds.exchange import join_tables
from fedward.rounds.federation import Federation
from fedward.rounds.open_round import EXCHANGE, TRAINING, VALIDATION
from fedward.rounds.record import Record
from fedward.rounds.run_folder import RunFolder
from fedward.rounds.site_report import Report
from fedward.rounds.spool import Spool
from fedward.settings import RunSettings
from fedward.site_config import SiteConfig
from fedward.training.site import Site

log = logging.getLogger(__name__)


def run_loop(
    settings: RunSettings,
    folder: RunFolder,
    sites: Mapping[str, Site],
    about: dict[str, Any],
    config: SiteConfig | None = None,
    score: Score | None = None,
    on_record: Callable[[Record], None] = lambda record: None,
) -> None:
    """Run all rounds with `sites` asked one after the other; what is finished stays when it is interrupted.

    `config` is the server's, which registers the starting weights that a run may name.
    Raises RoundFailed where fewer than min_sites results can count; its message names each site's own error.
    """
    aggregation = Aggregation(settings.aggregation, Spool(folder.spool), score)
    federation = Federation(
        settings, folder, aggregation, lambda: first_parameters(settings, config or SiteConfig("this run")), about
    )
    try:
        for kind in federation.kinds_left():
            federation.open(kind)
            for name in settings.sites:
                _ask(federation, WORK[kind], sites[name])
            _check(federation)
            record = federation.close(aggregation.close() if kind == TRAINING else None)
            if kind != EXCHANGE:  # its record is a part of the next one
                on_record(record)
        federation.finish()
    except KeyboardInterrupt:
        federation.stop("interrupted", "interrupted by the user")
        raise
    except Exception as error:
        federation.stop("failed", str(error))
        raise


def _train(federation: Federation, site: Site) -> None:
    offered = {} if federation.exchange is None else {"others": join_tables(federation.others(site.name))}
    parameters, report = site.train(federation.task_parameters(site.name), federation.round.number, **offered)
    size = sum(value.nbytes for value in parameters.values())

    def accept(checked: Report) -> None:
        federation.aggregation.accept(site.name, parameters, checked)

    federation.answer(site.name, report, size, accept)


def _offer(federation: Federation, site: Site) -> None:
    number = federation.round.number
    table, report = site.bank(federation.task_parameters(site.name), number)

    def accept(checked: Report) -> None:
        assert federation.exchange is not None  # no exchange is opened without
        federation.exchange.accept(site.name, table, number)

    federation.answer(site.name, report, table.size, accept)


def _validate(federation: Federation, site: Site) -> None:
    federation.answer(site.name, site.validate(federation.task_parameters(site.name)), 0)


WORK = {TRAINING: _train, EXCHANGE: _offer, VALIDATION: _validate}


def _ask(federation: Federation, work: Callable[[Federation, Site], None], site: Site) -> None:
    """A site's own error keeps that site out of the round, as it does over the network."""
    try:
        work(federation, site)
    except FedwardError as error:
        federation.fail(site.name, str(error))


def _check(federation: Federation) -> None:
    decision = federation.decide()
    if decision.action == "fail":
        raise RoundFailed(f"round {federation.round.number}: {decision.reason}")
