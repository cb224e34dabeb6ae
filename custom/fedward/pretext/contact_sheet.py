"""One picture of what a pretext sees: example images, each augmentation alone, and two whole views."""

from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from fedward.pretext.augmentation import MEAN, NUMBERS, STD, Draw, augmented, draw, one_view, two_views
from fedward.pretext.settings import PretextSettings
from fedward.rounds.run_folder import write_bytes

TILE = 1.5  # inches
DOTS_PER_INCH = 160


class Column(NamedTuple):
    """A heading, N grey pictures (N, H, W) in [0, 1] and what was done to each of them."""

    title: str
    images: Tensor
    captions: tuple[str, ...]


def contact_sheet(images: Tensor, settings: PretextSettings, generator: torch.Generator) -> list[Column]:
    """The columns of the sheet for uint8 images (N, 1, S, S). What the settings switch off has no column.

    The single augmentations are drawn as for a view, but always happen. The whole views come from the function that
    training calls, and are shown as the network gets them, less the normalisation.
    """
    numbers = torch.rand((len(images), NUMBERS), generator=generator)
    numbers[:, [5, 8, 10]] = 0.0  # the chances of mirror, blur and edges: they happen unless their probability is 0
    drawn, still, size = draw(numbers, settings), unchanged(len(images)), settings.crop_size
    area = (drawn.box[:, 2] * drawn.box[:, 3] * 100).tolist()
    changes = [
        ("random crop", {"box": drawn.box}, [f"{a:.0f} % of the area" for a in area]),
        ("mirror", {"mirror": drawn.mirror}, [""] * len(images)),
        ("rotation", {"angle": drawn.angle}, [f"{a:+.1f}°" for a in drawn.angle.rad2deg().tolist()]),
        (
            "brightness, contrast",
            {"brightness": drawn.brightness, "contrast": drawn.contrast},
            [f"× {b:.2f}, × {c:.2f}" for b, c in zip(drawn.brightness.tolist(), drawn.contrast.tolist(), strict=True)],
        ),
        ("blur", {"blur": drawn.blur}, [f"σ {s:.2f} pixels" for s in drawn.blur.tolist()]),
        ("edge view", {"edge": drawn.edge}, [f"λ {s:.2f}" for s in drawn.edge.tolist()]),
    ]
    columns = [Column("original", images[:, 0].float() / 255, (f"{images.shape[-1]} pixels",) * len(images))]
    for title, change, captions in changes:
        name, value = next(iter(change.items()))
        if not torch.equal(value, getattr(still, name)):
            columns.append(Column(title, augmented(images, still._replace(**change), size)[:, 0], tuple(captions)))
    if settings.method == "rotation":
        views = {"whole view": one_view(images, settings, generator)}
    else:
        views = dict(zip(("first view", "second view"), two_views(images, settings, generator), strict=True))
    plain = (f"{size} pixels",) * len(images)
    return columns + [
        Column(title, (view[:, 0] * STD[0] + MEAN[0]).clamp(0, 1), plain) for title, view in views.items()
    ]


def unchanged(count: int) -> Draw:
    """The draw that leaves `count` images as they are, but for the size of the view."""
    box = torch.tensor([0.0, 0.0, 1.0, 1.0]).repeat(count, 1)
    zeros, ones = torch.zeros(count), torch.ones(count)
    return Draw(box, zeros, torch.zeros(count, dtype=torch.bool), ones, ones, zeros, zeros)


def draw_contact_sheet(
    columns: list[Column], rows: list[str], title: str, path: Path, made_by: str = "fedward"
) -> None:
    """Write the columns as PNG, atomically; `rows` names the images, `made_by` stands in the file as its software."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(TILE * len(columns) + 0.3, (TILE + 0.25) * len(rows) + 0.6), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    for j, column in enumerate(columns):
        axes[0, j].set_title(column.title, fontsize=9)
        for i, place in enumerate(axes[:, j]):
            place.imshow(column.images[i].cpu().numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            place.set(xticks=[], yticks=[])
            place.set_xlabel(column.captions[i], fontsize=7, labelpad=2)
            place.spines[:].set_visible(False)
    for name, place in zip(rows, axes[:, 0], strict=True):
        place.set_ylabel(name, fontsize=6)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": made_by})
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, buffer.getvalue())
