"""Logs a person in at the server, and tries again for a while where no answer comes: under load FLARE gives up soon."""

import logging
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

from nvflare.apis.fl_exception import FLCommunicationError
from nvflare.fuel.flare_api.api_spec import AuthenticationError, AuthorizationError, InternalError, NoConnection
from nvflare.fuel.flare_api.flare_api import Session, new_secure_session

from fedward.errors import FedwardError
from fedward.kits.connection import check_connection
from fedward.kits.kit import Kit

PATIENCE = 120.0  # seconds in which another try begins; the last one ends by itself, after a minute at most
PAUSE = 5.0  # seconds between two tries
CONNECT_SECONDS = 15.0  # in which FLARE tries to connect; it waits 5 s for each answer
# How FLARE's FLCommunicationError begins where no answer came in time: to the challenge, to the registration
NO_ANSWER = ("failed to challenge server", "expect payload to be dict")


def log_in(
    kit: Kit,
    study: str,
    patience: float = PATIENCE,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Session:
    """A session with the server of an admin kit.

    Raises FedwardError: where the server refuses the kit's certificate, the name or the study, at once; where it is not
    reached or does not answer, once `patience` seconds are over. 0: a single try.
    """
    for name in ("nvflare", "CoreCell", "conn_manager"):  # FLARE names loggers after classes; all would reach the user
        logging.getLogger(name).setLevel(logging.CRITICAL)
    where, begin, told = f"{kit.host}:{kit.port}", clock(), False
    while True:
        result = _try(kit, study)
        if not isinstance(result, Exception):
            return result
        if isinstance(result, AuthenticationError | AuthorizationError):
            raise FedwardError(
                f"the server refused {kit.name}, study {study!r}: {result}: name a study that you are a member of, or "
                "ask the project admin"
            ) from result
        reason = _reason(result)
        if not _no_answer(result):
            raise FedwardError(f"no session with {where}: {reason} (fedward check-kit {kit.root})") from result
        if isinstance(result, NoConnection) and (refusal := _refusal(kit)):
            raise FedwardError(f"no session with {where}: {refusal}") from result
        if isinstance(result, FLCommunicationError):
            reason = "no answer in time"  # FLARE: "expect payload to be dict but got <class 'NoneType'>"
        spent = clock() - begin
        if spent + PAUSE > patience:
            what = "no server answers at" if isinstance(result, NoConnection) else "no session with"
            raise FedwardError(
                f"{what} {where}, tried for {spent:.0f} s ({reason}): see whether it runs and its machine is not "
                f"overloaded; fedward check-kit {kit.root} names the step that fails"
            ) from result
        if not told:
            told = True
            waits = f"Waiting for the server at {where} ({reason}): trying again for up to {patience:.0f} s"
            print(waits, file=sys.stderr, flush=True)
        sleep(PAUSE)


def _try(kit: Kit, study: str) -> Session | Exception:
    """One try; what went wrong is returned, so that no later try's error carries it along as its context."""
    try:
        # "Connecting to FLARE ...", and tracebacks of what is told in a sentence here
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            return new_secure_session(
                kit.name,
                str(kit.root),
                timeout=CONNECT_SECONDS,
                study=study,
                auto_login_max_tries=1,  # FLARE's 15 would say nothing for a minute and a half
            )
    except Exception as error:
        return error


def _no_answer(error: Exception) -> bool:
    """Whether trying again may help. FLARE has no exception for a refused registration, nor one for a timeout.

    A login that is refused is an AuthenticationError; every other end of it is an InternalError, "Communication Error"
    among them.
    """
    if isinstance(error, FLCommunicationError):
        return _reason(error).startswith(NO_ANSWER)
    return isinstance(error, NoConnection | InternalError)


def _reason(error: Exception) -> str:
    """FLARE's own words; of a registration it keeps them in the context alone."""
    if isinstance(error, FLCommunicationError) and error.__context__ is not None:
        return str(error.__context__)
    return str(error)


def _refusal(kit: Kit) -> str | None:
    """Why TLS with the server fails for good, and what to do: FLARE calls that no connection as well."""
    found = [finding for finding in check_connection(kit, starting=True) if finding.level == "problem"]
    return "; ".join(f"{finding.text}: {finding.fix}" for finding in found) or None
