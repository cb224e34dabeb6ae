"""Federated rounds in one plain process without FLARE: for fast experiments, and the oracle of the FLARE run."""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from fedward.errors import FedwardError, RoundFailed
from fedward.networks.initial import first_parameters
from fedward.rounds.aggregation import Aggregation, Score
from fedward.rounds.federation import VALIDATION, Federation
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
        while federation.rounds_done < settings.rounds:
            federation.open()
            for site in settings.sites:
                _ask(federation, site, lambda name: _train(federation, sites[name]))
            _check(federation)
            on_record(federation.close(aggregation.close()))
        federation.open(VALIDATION)
        for site in settings.sites:
            _ask(federation, site, lambda name: _validate(federation, sites[name]))
        _check(federation)
        on_record(federation.close())
        federation.finish()
    except KeyboardInterrupt:
        federation.stop("interrupted", "interrupted by the user")
        raise
    except Exception as error:
        federation.stop("failed", str(error))
        raise


def _train(federation: Federation, site: Site) -> None:
    parameters, report = site.train(federation.task_parameters(site.name), federation.round.number)
    size = sum(value.nbytes for value in parameters.values())

    def accept(checked: Report) -> None:
        federation.aggregation.accept(site.name, parameters, checked)

    federation.answer(site.name, report, size, accept)


def _validate(federation: Federation, site: Site) -> None:
    federation.answer(site.name, site.validate(federation.task_parameters(site.name)), 0)


def _ask(federation: Federation, site: str, work: Callable[[str], None]) -> None:
    """A site's own error keeps that site out of the round, as it does over the network."""
    try:
        work(site)
    except FedwardError as error:
        federation.fail(site, str(error))


def _check(federation: Federation) -> None:
    decision = federation.decide()
    if decision.action == "fail":
        raise RoundFailed(f"round {federation.round.number}: {decision.reason}")
