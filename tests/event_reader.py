"""Reads event files back as TensorBoard does; a test that asks for it is skipped where TensorBoard is not installed."""

from pathlib import Path

import pytest


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Tag -> (step, value) in the order written, of the one event file in `folder`."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (file,) = folder.iterdir()
    assert file.name.startswith("events.out.tfevents")
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
