"""Uploads through FLARE's own stream: what is kept of them, and that nothing stays behind."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import ReturnCode, Shareable
from nvflare.app_common.streamers.file_streamer import FileStreamer
from nvflare.app_common.streamers.streamer_base import KEY_DATA, KEY_DATA_SIZE, KEY_EOF
from nvflare.fuel.hci.proto import StreamChannel, StreamTopic
from nvflare.private.stream_runner import HeaderKey, ObjectStreamer

from fedward.flare.uploads import LimitedUploads
from fedward.kits.job_archive import MAX_ARCHIVE

CHUNK = 1_000_000


class Receiver:
    """FLARE's receiving side of a stream, with our factory on the upload channel."""

    def __init__(self):
        handlers = {}
        runner = SimpleNamespace(
            register_aux_message_handler=lambda topic, message_handle_func: handlers.update(
                {topic: message_handle_func}
            )
        )
        self.streamer = ObjectStreamer(runner)
        self.streamer.register_stream_processing(StreamChannel.UPLOAD, "*", LimitedUploads(), stream_done_cb=self._done)
        self.handle, self.abort = handlers["ObjectStreamer.Request"], handlers["ObjectStreamer.Abort"]
        self.received = []

    def _done(self, stream_ctx, fl_ctx):
        path = Path(FileStreamer.get_file_location(stream_ctx))
        self.received.append((path, path.read_bytes()))
        return "what the command says"

    def send(self, data, tx="t1", seq=0, eof=True):
        request = Shareable()
        request[KEY_DATA], request[KEY_DATA_SIZE], request[KEY_EOF] = data, len(data), eof
        for key, value in (
            (HeaderKey.TX_ID, tx),
            (HeaderKey.TOPIC, StreamTopic.FOLDER),
            (HeaderKey.CHANNEL, StreamChannel.UPLOAD),
            (HeaderKey.SEQ, seq),
        ):
            request.set_header(key, value)
        if seq == 0:
            request.set_header(HeaderKey.CTX, {"conn_data": "x", "FileStreamer.file_size": 7})
        return self.handle("ObjectStreamer.Request", request, FLContext())


@pytest.fixture
def receiver(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = Receiver()
    yield made
    made.streamer.shutdown()


def test_a_small_upload_arrives_whole_and_leaves_nothing(receiver, tmp_path):
    assert receiver.send(b"ab", eof=False).get_return_code() == ReturnCode.OK
    reply = receiver.send(b"cd", seq=1)
    assert reply.get_header(HeaderKey.END_RESULT) == "what the command says"
    ((path, data),) = receiver.received
    assert data == b"abcd"
    assert path.parent == tmp_path
    assert os.listdir(tmp_path) == []


def test_of_200_mb_one_is_kept_and_the_sender_reads_the_reason(receiver, tmp_path):
    chunk = b"x" * CHUNK
    for seq in range(199):
        assert receiver.send(chunk, seq=seq, eof=False).get_return_code() == ReturnCode.OK
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= MAX_ARCHIVE + 1
    reply = receiver.send(chunk, seq=199)
    assert reply.get_header(HeaderKey.END_RESULT) == "what the command says"
    assert len(receiver.received[0][1]) == MAX_ARCHIVE + 1
    assert os.listdir(tmp_path) == []


def test_an_aborted_upload_leaves_nothing(receiver, tmp_path):
    receiver.send(b"ab", eof=False)
    assert len(os.listdir(tmp_path)) == 1
    request = Shareable()
    request.set_header(HeaderKey.TX_ID, "t1")
    receiver.abort("ObjectStreamer.Abort", request, FLContext())
    assert os.listdir(tmp_path) == []
