"""Uploads to the server keep no more than a job may have, whoever sends them, and leave no file behind."""

import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import ReturnCode, Shareable, make_reply
from nvflare.apis.streaming import ConsumerFactory, ObjectConsumer, StreamContext
from nvflare.app_common.streamers.streamer_base import KEY_DATA, KEY_EOF, KEY_FILE_LOCATION
from nvflare.fuel.hci.proto import StreamChannel
from nvflare.fuel.utils.log_utils import get_module_logger

from fedward.kits.job_archive import MAX_ARCHIVE

START_SECONDS = 60.0
logger = get_module_logger(__name__)


def limit_uploads(server: Any) -> None:
    """Take over the server's upload channel as soon as FLARE has made it, which no event tells."""
    threading.Thread(target=_take_over, args=(server,), daemon=True).start()


def _take_over(server: Any) -> None:
    limit = time.monotonic() + START_SECONDS
    while server.admin_server is None:
        if time.monotonic() > limit:
            logger.error("uploads are not limited: the server has no admin server")
            return
        time.sleep(0.02)
    server.engine.register_stream_processing(
        channel=StreamChannel.UPLOAD,
        topic="*",
        factory=LimitedUploads(),
        stream_done_cb=server.admin_server._process_upload,  # FLARE's own: login, rights, then the command
    )


class LimitedUploads(ConsumerFactory):
    """A file for each upload, removed when its command is done."""

    def get_consumer(self, stream_ctx: StreamContext, fl_ctx: FLContext) -> ObjectConsumer:
        return LimitedUpload(stream_ctx)

    def return_consumer(self, consumer: ObjectConsumer, stream_ctx: StreamContext, fl_ctx: FLContext) -> None:
        Path(stream_ctx[KEY_FILE_LOCATION]).unlink(missing_ok=True)


class LimitedUpload(ObjectConsumer):
    """Keeps what a job may have, and one byte, by which `JobGate` sees that it was more.

    The rest is received and dropped: a sender that is cut off would read of a network fault instead of the reason.
    """

    def __init__(self, stream_ctx: StreamContext):
        handle = tempfile.NamedTemporaryFile(prefix="fedward-upload-", delete=False)  # noqa: SIM115 (open until the end)
        self._file = handle
        self._room = MAX_ARCHIVE + 1
        stream_ctx[KEY_FILE_LOCATION] = handle.name

    def consume(self, shareable: Shareable, stream_ctx: StreamContext, fl_ctx: FLContext) -> tuple[bool, Shareable]:
        data = shareable.get(KEY_DATA) or b""
        kept = data[: self._room]
        self._file.write(kept)
        self._room -= len(kept)
        return not shareable.get(KEY_EOF), make_reply(ReturnCode.OK)

    def finalize(self, stream_ctx: StreamContext, fl_ctx: FLContext) -> None:
        self._file.close()
