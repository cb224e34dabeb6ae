"""The round under way: who was asked, who answered, who will not. Training, validation and exchange alike."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fedward.rounds.record import Record
from fedward.rounds.site_report import Report

TRAINING, VALIDATION, EXCHANGE = "training", "validation", "exchange"


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass
class OpenRound:
    """The round under way. An exchange has the number of the training that it comes before."""

    number: int
    kind: str
    asked: frozenset[str]
    started: str = field(default_factory=now)
    clock: float = field(default_factory=time.monotonic)
    reports: dict[str, Report] = field(default_factory=dict)
    answers: dict[str, Record] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.clock

    def waits_for(self, site: str) -> bool:
        return site in self.asked and site not in self.answers and site not in self.failed

    def warnings(self) -> list[dict[str, str]]:
        reports = sorted(self.reports.items())
        return [{"site": site, "message": text} for site, report in reports for text in report["warnings"]]

    def missing(self) -> dict[str, str]:
        """Why each site that did not answer, and was not refused, has not."""
        silent = dict.fromkeys(self.asked - self.answers.keys() - self.failed.keys(), "no answer in time")
        return {**silent, **{site: why for site, why in self.failed.items() if site not in self.refused}}
