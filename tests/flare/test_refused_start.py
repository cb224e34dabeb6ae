"""A kit whose registration the server refuses ends, its start script too: each further try would cut off the other."""

from types import SimpleNamespace

import pytest
from nvflare.apis.event_type import EventType
from nvflare.apis.fl_constant import FLContextKey

from fedward.flare.kit_lock import KitLock


@pytest.fixture
def registered(tmp_path):
    """Tell KitLock the end of a registration; returns whether it closed the connection."""

    def tell(token: str) -> bool:
        stopped = []
        values = {
            FLContextKey.SITE_OBJ: SimpleNamespace(cell=SimpleNamespace(stop=lambda: stopped.append(True))),
            FLContextKey.WORKSPACE_OBJECT: SimpleNamespace(get_root_dir=lambda: str(tmp_path)),
            FLContextKey.CLIENT_TOKEN: token,
        }
        KitLock().handle_event(EventType.AFTER_CLIENT_REGISTER, SimpleNamespace(get_prop=values.get))
        return bool(stopped)

    return tell


def test_a_refused_start_in_the_background_is_not_tried_again(registered, tmp_path):
    (tmp_path / "daemon_pid.fl").write_text("4711\n")  # sub_start.sh runs, and would start it again
    assert registered("")
    assert (tmp_path / "shutdown.fl").exists()


def test_a_service_decides_itself_when_to_try_again(registered, tmp_path):
    assert registered("")
    assert not (tmp_path / "shutdown.fl").exists()


def test_an_accepted_start_goes_on(registered, tmp_path):
    (tmp_path / "daemon_pid.fl").write_text("4711\n")
    assert not registered("token")
    assert not (tmp_path / "shutdown.fl").exists()
