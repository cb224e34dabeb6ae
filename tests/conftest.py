"""What all tests share."""

import signal

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

NETWORK = "tests/network/"

# The code alone decides whether a test passes: neither how busy the machine is nor which examples were drawn
settings.register_profile("fedward", deadline=None, derandomize=True)
settings.register_profile("other-examples", deadline=None)
settings.load_profile("fedward")


@pytest.fixture(scope="session", autouse=True)
def default_signals():
    """A suite started in the background ignores these, and so would the commands that it starts and interrupts."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


class OneWorkerAFile(LoadScopeScheduling):
    """Tests of a file share its fixtures, those of tests/network one network of ten hospitals: all in one worker.

    xdist_group would say this with marks, but pytest-xdist 3.8 writes them into an attribute that pytest 9.2 ignores.
    """

    def _split_scope(self, nodeid):
        return NETWORK if nodeid.startswith(NETWORK) else nodeid.split("::", 1)[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return OneWorkerAFile(config, log)
