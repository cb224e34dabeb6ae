"""One picture of what contrastive pretraining sees: a slice of each partition, each change alone, and whole views."""

from collections.abc import Callable

import torch
from torch import Tensor

from fedward.contrast.positions import cells_of
from fedward.contrast.settings import ContrastSettings
from fedward.contrast.views import NUMBERS, augmented, draw, random_views
from fedward.pretext.contact_sheet import Column
from fedward.training.scan_slices import Slices

MOST_PARTITIONS = 8  # columns; of more partitions some are shown


def view_sheet(slices: Slices, settings: ContrastSettings, generator: torch.Generator) -> list[Column]:
    """The columns of the sheet, a row for each scan: its partitions, then the views of one of the slices shown.

    Grey runs from the scan's lowest to its highest value; where a partition holds no slice the picture is black. What
    the settings switch off has no column.
    """
    cells = cells_of(slices, settings.partitions)
    chosen = cells.draw(torch.arange(len(cells)), generator)
    at = {(int(slices.scan[i]), int(cells.partition[i])): int(i) for i in chosen}
    scans = range(len(slices.scans))
    volumes = [slices.image[slices.scan == scan].float() for scan in scans]
    low = torch.stack([volume.min() for volume in volumes])[:, None, None]
    width = (torch.stack([volume.max() for volume in volumes])[:, None, None] - low).clamp_min(1e-6)

    def grey(images: Tensor) -> Tensor:
        return ((images[:, 0] - low) / width).clamp(0, 1)

    black = low[:, None].expand(-1, *slices.image.shape[1:])
    shown = torch.linspace(0, settings.partitions - 1, min(settings.partitions, MOST_PARTITIONS)).long().tolist()
    columns = []
    for part in shown:
        rows = [at.get((scan, part)) for scan in scans]
        images = torch.stack(
            [black[scan] if row is None else slices.image[row].float() for scan, row in zip(scans, rows, strict=True)]
        )
        captions = tuple("none" if r is None else f"slice {slices.position[r] + 1} of {slices.depth[r]}" for r in rows)
        columns.append(Column(f"partition {part + 1} of {settings.partitions}", grey(images), captions))
    middle = [sorted(i for (scan, _), i in at.items() if scan == wanted) for wanted in scans]
    images = slices.image[[rows[len(rows) // 2] for rows in middle]].float()
    return columns + _views(images, settings, generator, grey)


def _views(
    images: Tensor, settings: ContrastSettings, generator: torch.Generator, grey: Callable[[Tensor], Tensor]
) -> list[Column]:
    """Each change alone, and the whole views, of one slice a row."""
    drawn = draw(torch.rand((len(images), NUMBERS), generator=generator), settings)
    still = draw(torch.full((len(images), NUMBERS), 0.5), settings)._replace(
        box=torch.tensor([0.0, 0.0, 1.0, 1.0]).repeat(len(images), 1)
    )
    area = (drawn.box[:, 2] * drawn.box[:, 3] * 100).tolist()
    changes = [
        ("random crop", {"box": drawn.box}, [f"{a:.0f} % of the area" for a in area]),
        ("rotation", {"angle": drawn.angle}, [f"{a:+.1f}°" for a in drawn.angle.rad2deg().tolist()]),
        ("gamma", {"gamma": drawn.gamma}, [f"to the power {g:.2f}" for g in drawn.gamma.tolist()]),
    ]
    columns = []
    for title, change, captions in changes:
        name, value = next(iter(change.items()))
        if not torch.equal(value, getattr(still, name)):
            columns.append(Column(title, grey(augmented(images, still._replace(**change))), tuple(captions)))
    count = 1 if settings.method == "rotation" else 2
    titles = ("whole view",) if count == 1 else ("first view", "second view")
    views = random_views(images, settings, generator, count)
    size = (f"{images.shape[-1]} pixels",) * len(images)
    return columns + [Column(title, grey(view), size) for title, view in zip(titles, views, strict=True)]
