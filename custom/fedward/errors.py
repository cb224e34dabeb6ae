"""Errors a user can act on: each message says what is wrong, where, and what to do next."""


class FedwardError(Exception):
    """Something failed; the command ends with exit code 1 and shows the message without a traceback."""

    exit_code = 1


class UsageError(FedwardError):
    """The command, job or configuration was wrong; exit code 2."""

    exit_code = 2


class DataError(FedwardError):
    """A data folder or file cannot be used as it is."""


class RefusedUpdate(FedwardError):
    """A site's result was not accepted; the message names the reason and, where there is one, the key."""


class RoundFailed(FedwardError):
    """A round cannot be completed: too few sites answered in time, or a site reported an error."""


class NoAnswer(FedwardError):
    """The server of a network did not answer in time; it may the next time."""


class NoSuchJob(FedwardError):
    """The server of a network knows no job of this id."""
