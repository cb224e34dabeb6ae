"""Words that the headlines of several tasks share: which model is meant, and what is known before it is tested."""

from typing import Any

from fedward.reports.formats import show
from fedward.reports.metrics import best_validation
from fedward.reports.run_data import Run
from fedward.rounds.record import global_curve


def who_reaches(run: Run, round_number: Any) -> str:
    """The subject and verb of a sentence on test patients."""
    if run.method == "local":
        return "the hospitals' own models reach on average"
    return f"the model of round {show(round_number)} reaches"


def before_test(run: Run, score: str, why: str | None = None) -> str:
    """What validation says of the best model so far. `score` as in "a mean AUC"; `why` the test says nothing of it."""
    best = best_validation(run.records)
    if best is None:
        return "No trained model has been measured yet."
    evaluation = next(e for done, e in global_curve(run.records) if done == best[0])
    patients = show(evaluation.get("patients"))
    return (
        f"{why or 'Not tested yet.'} On {patients} validation patients the model of round {best[0]} reaches {score} of "
        f"{show(best[1])}."
    )
