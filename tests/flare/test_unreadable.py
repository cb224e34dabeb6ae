"""A site's result that the server cannot read, such as one whose site was killed as it was sent, ends no job."""

import subprocess
import sys

import pytest

RECEIVE = """
from types import SimpleNamespace
from nvflare.fuel.f3.cellnet import cell
from nvflare.fuel.f3.streaming.stream_const import StreamHeaderKey

def gone(*arguments, **options):
    raise RuntimeError("failed to download from hospital-02")

cell.decode_payload = gone
server = SimpleNamespace(
    decode_pass_through_channels=(), decode_pass_through_topics=(), get_fobs_context=lambda props: props
)
headers = {StreamHeaderKey.CHANNEL: cell.CellChannel.SERVER_COMMAND, StreamHeaderKey.TOPIC: "submit_update"}
message = SimpleNamespace(headers=headers, result=lambda: b"")
try:
    cell.Adapter(print, SimpleNamespace(fqcn="server.the-job"), server).call(message)
except RuntimeError as error:
    print(f"goes on after: {error}")
"""
MENDED = "from fedward.flare.unreadable import outlive_unreadable_messages\noutlive_unreadable_messages()\n"


@pytest.mark.parametrize(("before", "code"), [("", 1), (MENDED, 0)], ids=["FLARE's own", "ours"])
def test_the_job_process_goes_on(before, code):
    """FLARE's own end is tested too: once it is gone, so can ours be."""
    done = subprocess.run([sys.executable, "-c", before + RECEIVE], capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    assert ("goes on after: failed to download from hospital-02" in done.stdout) == (code == 0)
