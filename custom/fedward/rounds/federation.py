"""The server's side of a run without any transport: rounds are opened, answers are noted, rounds are closed.

The FLARE controller and the plain loop drive the same object, so both end in the same bits. After each round everything
the next one needs is on disk; a run that was interrupted goes on from its last finished round.
"""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from fedward.errors import FedwardError, RefusedUpdate
from fedward.evaluation import Evaluation, pool
from fedward.networks.checkpoint import read_model, save_model
from fedward.networks.starting import Start
from fedward.rounds.aggregation import Aggregation, Outcome, Parameters
from fedward.rounds.best import is_better, measured
from fedward.rounds.exchange import Exchange, FeatureTable, exchanges
from fedward.rounds.may_begin import check_may_begin
from fedward.rounds.open_round import EXCHANGE, TRAINING, VALIDATION, OpenRound, now
from fedward.rounds.policy import Decision, decide
from fedward.rounds.record import Record, append_record, keep_records, read_records
from fedward.rounds.run_folder import RunFolder, read_json, write_json
from fedward.rounds.site_report import Report, check_report, for_record
from fedward.rounds.state import State, has_state, read_state, save_state
from fedward.settings import RunSettings

log = logging.getLogger(__name__)


class Federation:
    """One run: its settings, global model and record. `about` goes into run.json (environment, versions, machine)."""

    def __init__(
        self,
        settings: RunSettings,
        folder: RunFolder,
        aggregation: Aggregation,
        initial: Callable[[], Start],
        about: dict[str, Any],
    ):
        self.settings = settings
        self.folder = folder
        self.aggregation = aggregation
        self.about = about
        self.rounds_done = 0
        self.best: dict[str, Any] = {"round": 0, "quality": None}
        self.best_measured: dict[str, Evaluation] = {}  # by the sites that did
        self.started = now()
        self.clock = time.monotonic()
        self.open_round_: OpenRound | None = None
        self.hold_frozen: set[str] = set()  # sites that have the layers which training leaves as they are
        self.exchange: Exchange | None = None
        if settings.contrast is not None and exchanges(settings):
            self.exchange = Exchange(settings.contrast, folder.banks)
        self.exchanged: Record | None = None  # what the next training round's record says of the exchange before it
        check_may_begin(settings, folder)
        if has_state(folder):
            self.parameters = self._continue()
        else:
            folder.root.mkdir(parents=True, exist_ok=True)
            start = initial()
            self.parameters = start.parameters
            self.about = {**about, "starting_weights": start.to_dict() or "random"}
            write_json(folder.settings, settings.to_dict())
            self._save_state()
        self.write_run("running")

    # --- one round -------------------------------------------------------------------------------------------------

    @property
    def round(self) -> OpenRound:
        if self.open_round_ is None:
            raise FedwardError("no round is open")
        return self.open_round_

    def open(self, kind: str = TRAINING) -> OpenRound:
        """Begin the next training round, the exchange before it, or the validation of the last global model."""
        number = self.rounds_done + (0 if kind == VALIDATION else 1)
        self.open_round_ = OpenRound(number, kind, frozenset(self.settings.sites))
        if kind == TRAINING:
            self.aggregation.open(number, self._travelling())
        os.utime(self.folder.run)  # its time tells who watches the run folder that a deadline has begun
        return self.open_round_

    def kinds_left(self) -> Iterator[str]:
        """What is to be opened and closed, one after the other, until the run is finished.

        Features are exchanged before each training but the first: by then there is no trained model to make them with.
        """
        while self.rounds_done < self.settings.rounds:
            if self.exchange is not None and self.rounds_done > 0:
                yield EXCHANGE
            yield TRAINING
        yield VALIDATION

    def others(self, site: str) -> list[FeatureTable]:
        """The other sites' features that a site gets with the training under way."""
        if self.exchange is None:
            return []
        return self.exchange.others(site, self.settings.sites, self.round.number)

    def _travelling(self) -> Parameters:
        return {key: value for key, value in self.parameters.items() if self.settings.training.travels(key)}

    def task_parameters(self, site: str) -> Parameters:
        """What a site gets with a task: the whole model until it has answered once, then the layers that change."""
        return self._travelling() if site in self.hold_frozen else self.parameters

    def task_groups(self, sites: Iterable[str]) -> list[tuple[Parameters, list[str]]]:
        """The same for a broadcast: what is sent, and the sites it is sent to."""
        groups: dict[bool, list[str]] = {}
        for site in sites:
            groups.setdefault(site in self.hold_frozen, []).append(site)
        return [(self.task_parameters(names[0]), names) for _, names in sorted(groups.items())]

    def answer(self, site: str, report: Any, size: int, accept: Callable[[Report], None] | None = None) -> None:
        """Note a site's answer of `size` bytes. `accept` takes its parameters or features, and may refuse them."""
        current = self.round
        if not current.waits_for(site):
            log.warning("round %d: an answer of %s that nobody waits for is ignored", current.number, site)
            return
        try:
            checked = check_report(report, current.kind)
            if accept is not None:
                accept(checked)
        except RefusedUpdate as error:
            log.warning("round %d: the result of %s is refused: %s", current.number, site, error)
            current.failed[site] = current.refused[site] = str(error)
            return
        current.reports[site] = checked
        sent = sum(value.nbytes for value in self.task_parameters(site).values())
        self.hold_frozen.add(site)
        current.answers[site] = {
            "arrived": round(current.seconds, 3),
            "bytes": size,
            "sent": sent,
            **for_record(checked),
        }

    def fail(self, site: str, reason: str) -> None:
        """Note that a site will not contribute to this round; an answer that was accepted before still counts."""
        current = self.round
        if current.waits_for(site):
            log.warning("round %d: %s does not contribute: %s", current.number, site, reason)
            current.failed[site] = reason
            self.hold_frozen.discard(site)  # it may have lost them, as a site that was set up again has

    def decide(self) -> Decision:
        """Wait, close or fail, as the policy says. Only training needs a quorum: nothing else changes the model."""
        current = self.round
        quorum = self.settings.quorum if current.kind == TRAINING else 1
        return decide(
            current.asked,
            current.answers.keys(),
            current.failed,
            current.seconds,
            quorum,
            self.settings.round_deadline,
        )

    def close(self, outcome: Outcome | None = None) -> Record:
        """End the round: take the outcome as the new global model, choose the best, write record and state.

        The record of an exchange is a part of that of the training after it, and is written with it.
        """
        current = self.round
        if current.kind == EXCHANGE:
            assert self.exchange is not None  # none is opened without
            self.exchanged = self.exchange.record(current)
            self.open_round_ = None
            return self.exchanged
        reports = sorted(current.reports.items())  # sums depend on their order
        starts = {site: report["start"] for site, report in reports if report["start"] is not None}
        received = pool(starts.values())
        record: Record = {
            "round": current.number,
            "kind": current.kind,
            "started": current.started,
            "asked": sorted(current.asked),
            "answers": dict(sorted(current.answers.items())),
            "missing": current.missing(),
            "refused": current.refused,
            "warnings": current.warnings(),
            "received": _with_iou(received),
        }
        self._choose_best(starts, received, self.rounds_done)
        if outcome is not None:
            record["warnings"] += outcome.warnings
            record["shares"] = outcome.shares
            record["weights"] = outcome.weights
            self.parameters = {**self.parameters, **outcome.parameters}
        if self.exchanged is not None:
            record["exchange"], self.exchanged = self.exchanged, None
        record["seconds"] = round(current.seconds, 3)
        record["ended"] = now()
        append_record(self.folder.rounds, record)
        if outcome is not None:
            self.rounds_done = current.number  # not before: an interruption must not count a round without its record
            self._save_state()
        self.open_round_ = None
        self.write_run("running")
        return record

    # --- the run folder --------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Mark the run as finished; a run without any validation keeps its last model as its best."""
        if self.best["quality"] is None:
            self._save_best(self.rounds_done, None)
        self.aggregation.spool.remove()
        if self.exchange is not None:
            self.exchange.clear()
        self.write_run("finished")

    def stop(self, state: str, message: str, site: str | None = None) -> None:
        """Mark the run as failed or interrupted, with the reason; what was finished stays."""
        try:
            self.write_run(state, {"message": message, "site": site})
        except OSError as error:  # a full disk must not hide why the run stopped
            log.error("run.json could not be written: %s", error)

    def write_run(self, state: str, error: dict[str, Any] | None = None) -> None:
        records = read_records(self.folder.rounds)
        steps = sum(answer.get("steps", 0) for r in records for answer in r["answers"].values())
        write_json(
            self.folder.run,
            {
                "name": self.settings.name,
                "state": state,
                "error": error,
                "scheme": self.settings.aggregation.scheme,
                "rounds": self.settings.rounds,
                "rounds_done": self.rounds_done,
                "best_round": self.best["round"],
                "final_record": bool(records and records[-1]["kind"] == VALIDATION),
                "seed": self.settings.seed,
                "started": self.started,
                "ended": None if state == "running" else now(),
                "seconds": round(time.monotonic() - self.clock, 3),
                "optimizer_steps": steps,
                "fingerprint": self.settings.fingerprint(),
                **self.about,
            },
        )

    def _choose_best(self, starts: dict[str, Evaluation], received: Evaluation | None, round_number: int) -> None:
        if round_number == 0 or received is None or received.quality is None:
            return  # the untrained model is measured, but never the best: `predict` would use random weights
        if self.best["quality"] is None or is_better(starts, self.best_measured):
            self._save_best(round_number, received.quality)
        if self.best["round"] == round_number:  # also where it was measured again, after a crash
            self.best_measured = starts

    def _save_best(self, round_number: int, quality: float | None) -> None:
        self._save_model("best", round_number, quality=quality)
        self.best = {"round": round_number, "quality": quality}

    def _save_model(self, name: str, round_number: int, **about: Any) -> None:
        training = self.settings.training
        save_model(
            self.folder.model(name),
            self.parameters,
            training.network,
            training.network_args,
            round=round_number,
            run=self.settings.name,
            data_set=self.settings.data_set,
            preprocessing=self.settings.preprocessing.to_dict(),
            crop_size=self.settings.training.crop_size,
            **({"method": self.settings.contrast.method} if self.settings.contrast else {}),
            **about,
        )

    def _save_state(self) -> None:
        self._save_model("last", self.rounds_done)
        state = State(self.rounds_done, self.aggregation.history, self.settings.fingerprint(), self.started)
        save_state(self.folder, state, self.folder.model("last").read_bytes())

    def _continue(self) -> Parameters:
        """Take up a run where its last finished round left it."""
        state, parameters = read_state(self.folder)
        self.rounds_done = state.round
        self.started = state.started
        if self.folder.run.is_file():
            self.about = {**self.about, "starting_weights": read_json(self.folder.run).get("starting_weights")}
        self.aggregation.history = state.history
        if self.folder.model("best").is_file():  # the file itself says what it is, so the two cannot disagree
            _, about = read_model(self.folder.model("best"))
            self.best = {"round": about.get("round", 0), "quality": about.get("quality")}
        keep_records(self.folder.rounds, self.rounds_done)
        self.best_measured = measured(read_records(self.folder.rounds), self.best["round"])
        log.info("going on from round %d of %s", self.rounds_done, self.folder.root)
        return parameters


def _with_iou(evaluation: Evaluation | None) -> Record | None:
    return None if evaluation is None else {**evaluation.to_dict(), "iou": evaluation.iou}
