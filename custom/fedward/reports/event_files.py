"""TensorBoard event files of a run, round by round, in its run folder's `tensorboard`.

They are written here, by the command that shows the rounds, and not by whoever trains: so they are the same of a run in
the plain loop, in the simulator and on a network, whose server then needs no TensorBoard.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any

from fedward.errors import UsageError
from fedward.reports.points import points
from fedward.rounds.record import Record, read_records
from fedward.rounds.run_folder import RunFolder

FOLDER = "tensorboard"


def check_extra() -> None:
    """UsageError where TensorBoard is not installed."""
    if find_spec("tensorboard") is None:
        raise UsageError("--tensorboard needs TensorBoard: pip install 'fedward[tensorboard]'")


@contextmanager
def event_files(folder: RunFolder | None, apart: tuple[str, ...] = ()) -> Iterator[Callable[[Record], None]]:
    """Gives what writes a record; it does nothing where there is no `folder`, because nobody asked for event files.

    `apart` names hospitals that train alone: each has its own run folder in `folder`, and its event file in that.
    """
    if folder is None:
        yield lambda record: None
        return
    check_extra()
    if (place := folder.root / FOLDER).exists() and not place.is_dir():
        raise UsageError(f"{place} is no folder, and the event files are to lie in it: move it away")
    with ExitStack() as opened:
        own = {site: EventFile(RunFolder(folder.root / site)) for site in apart}
        whole = EventFile(folder)
        for file in (whole, *own.values()):
            opened.callback(file.close)
        yield lambda record: own.get(next(iter(record.get("asked") or ()), ""), whole).add(record)


class EventFile:
    """The event file of one run folder.

    Its first record replaces what an interrupted command has written: the earlier rounds come from `rounds.jsonl`.
    """

    def __init__(self, folder: RunFolder):
        self._folder = folder
        self._writer: Any = None

    def add(self, record: Record) -> None:
        """Write one more record, for a TensorBoard that may be looking on."""
        if self._writer is None:
            self._begin(record)
        self._write(record)
        self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _begin(self, record: Record) -> None:
        from torch.utils.tensorboard import SummaryWriter

        place = self._folder.root / FOLDER
        shutil.rmtree(place, ignore_errors=True)
        self._writer = SummaryWriter(str(place))
        for earlier in _before(record, read_records(self._folder.rounds)):
            self._write(earlier)

    def _write(self, record: Record) -> None:
        for tag, (step, value) in points(record).items():
            self._writer.add_scalar(tag, value, step)


def _before(record: Record, records: list[Record]) -> list[Record]:
    """Those before `record`; none where it is not among them: the file is then another job's, soon to be replaced."""
    keys = [_key(one) for one in records]
    return records[: keys.index(_key(record))] if _key(record) in keys else []


def _key(record: Record) -> tuple[Any, ...]:
    return record["kind"], record["round"], record.get("started")
