"""What all tests share."""

import signal

import pytest


@pytest.fixture(scope="session", autouse=True)
def default_signals():
    """A suite started in the background ignores these, and so would the commands that it starts and interrupts."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
