"""Reads what capture/sitecustomize.py recorded at a site, and puts messages and results together again."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgpack
from nvflare.apis.utils.decomposers import flare_decomposers
from nvflare.app_common.decomposers import common_decomposers
from nvflare.app_common.np.np_downloader import ArrayConsumer
from nvflare.fuel.f3.cellnet.defs import CellChannel, Encoding, MessageHeaderKey
from nvflare.fuel.f3.streaming.download_service import OBJ_DOWNLOADER_CHANNEL, OBJ_DOWNLOADER_TOPIC
from nvflare.fuel.f3.streaming.stream_const import STREAM_ACK_TOPIC, STREAM_CHANNEL, StreamHeaderKey
from nvflare.fuel.utils import fobs
from nvflare.fuel.utils.fobs.decomposers.via_downloader import LazyDownloadRef

CONNECTION, DATA, SOCKET = "connection", "DATA", "socket"
RESULT = (CellChannel.SERVER_COMMAND, "submit_update")
ARRAYS = (CellChannel.RETURN_ONLY, f"{OBJ_DOWNLOADER_CHANNEL}:{OBJ_DOWNLOADER_TOPIC}")
RECEIPT = (STREAM_CHANNEL, STREAM_ACK_TOPIC)  # for a piece of a stream


@dataclass(frozen=True)
class Message:
    """One message as its receiver puts it together: a stream's pieces are joined."""

    channel: str
    topic: str
    headers: dict[str, Any]
    payload: bytes

    @property
    def raw(self) -> bytes:
        return bytes(msgpack.packb(self.headers)) + self.payload

    @cached_property
    def value(self) -> Any:
        """The payload as an object; arrays that the receiver fetches afterwards are LazyDownloadRef."""
        flare_decomposers.register()
        common_decomposers.register()
        keys = (MessageHeaderKey.PAYLOAD_ENCODING, StreamHeaderKey.PAYLOAD_ENCODING)
        encodings = {self.headers.get(key) for key in keys}
        if Encoding.FOBS not in encodings or not self.payload:
            return self.payload
        return fobs.loads(self.payload, fobs_ctx={fobs.FOBSContextKey.PASS_THROUGH: True})


def entries(file: Path) -> Iterator[tuple[str, str, dict[str, Any], bytes]]:
    """(peer, kind, headers, payload) in the order of sending; a last one that a killed process cut short is left."""
    with file.open("rb") as data:
        yield from msgpack.Unpacker(data, strict_map_key=False, max_buffer_size=0)


def leaving_messages(file: Path, site: str) -> list[Message]:
    """What one process sent to anybody but the site's own processes, in the order of its first bytes."""
    messages: dict[Any, list[tuple[dict[str, Any], bytes]]] = {}
    for number, (peer, kind, headers, payload) in enumerate(entries(file)):
        if kind == SOCKET or peer.split(".")[0] == site:
            continue
        if kind != DATA:
            headers = {MessageHeaderKey.CHANNEL: CONNECTION, MessageHeaderKey.TOPIC: kind}
        piece = StreamHeaderKey.CHANNEL in headers
        stream = (peer, headers[StreamHeaderKey.STREAM_ID]) if piece else number
        messages.setdefault(stream, []).append((headers, payload))
    return [_joined(pieces) for pieces in messages.values()]


def _joined(pieces: list[tuple[dict[str, Any], bytes]]) -> Message:
    headers = pieces[0][0]
    if StreamHeaderKey.CHANNEL not in headers:
        return _plain(headers, pieces[0][1])
    by_number = {one[StreamHeaderKey.SEQUENCE]: payload for one, payload in pieces}  # a piece may be sent again
    payload = b"".join(by_number[number] for number in sorted(by_number))
    return Message(headers[StreamHeaderKey.CHANNEL], headers[StreamHeaderKey.TOPIC], headers, payload)


def _plain(headers: dict[str, Any], payload: bytes) -> Message:
    message = Message(headers[MessageHeaderKey.CHANNEL], headers[MessageHeaderKey.TOPIC], headers, payload)
    if message.channel == CellChannel.CLIENT_MAIN and payload:  # the topic of an administrator's message is inside
        return Message(message.channel, message.value.topic, headers, payload)
    return message


def results(messages: list[Message]) -> list[Any]:
    """The task results that one process sent, each with the arrays that the server fetched for it.

    A site sends nothing else before the server has fetched a result's arrays, so what follows a result is its own.
    AssertionError where an array was sent that no result names.
    """
    found: list[Any] = []
    arrays: list[dict[str, Any]] = []
    for message in messages:
        name = (message.channel, message.topic)
        if name == RESULT:
            found.append(message.value)
            arrays.append({})
        elif name == ARRAYS and (items := message.value.get("data")):
            arrays[-1].update(ArrayConsumer(None, {}).consume_items(items, None))
    filled = []
    for result, items in zip(found, arrays, strict=True):
        filled.append(_filled(result, items, used := set()))
        assert used == items.keys()
    return filled


def _filled(value: Any, items: dict[str, Any], used: set[str]) -> Any:
    if isinstance(value, LazyDownloadRef):
        used.add(value.item_id)
        return items[value.item_id]
    if isinstance(value, dict):
        return {key: _filled(part, items, used) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(part, items, used) for part in value]
    return value
