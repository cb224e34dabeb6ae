"""Arguments of components come from a job, so from outside: what cannot be read as settings is a UsageError."""

from collections.abc import Callable
from typing import Any, TypeVar

from fedward.errors import FedwardError, UsageError
from fedward.settings import RunSettings, run_settings_from_dict

Built = TypeVar("Built")


def checked(what: str, build: Callable[[], Built]) -> Built:
    """What `build` returns; UsageError also where a value of a wrong type makes it fail in some other way."""
    try:
        return build()
    except FedwardError:
        raise
    except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError, RecursionError) as error:
        raise UsageError(f"{what} of the job cannot be read ({error}): export the job again") from error


def checked_settings(values: Any) -> RunSettings:
    """The settings of a run out of a job's arguments."""
    return checked("the settings", lambda: run_settings_from_dict(values))


def checked_text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{name} must be a text, not {type(value).__name__}")
    return value
