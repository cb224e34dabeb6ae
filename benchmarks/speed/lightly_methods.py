"""The pretexts built from lightly's parts, as its documentation builds them, for `benchmarks/speed/pretext.py` alone.

lightly (1.6.0) has no rotation task and no FRID: rotation is a plain loop with lightly's transform of one view, and
FRID is measured against BYOL. Importing this needs lightly, lightly_utils, lightning_utilities and torchvision.
"""

import copy
import re
import sys
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn


def declare_detection_operators() -> None:
    """Let a torchvision that was built for another torch be imported.

    Its compiled detection operators (non-maximum suppression and others) are absent then, and it stops at import since
    they are not even declared. No transform uses them, so declaring them changes no measurement.
    """
    library = torch.library.Library("torchvision", "FRAGMENT")
    pattern = re.compile(r"(?:register_meta|register_fake)\(\"(?:torchvision::)?(\w+)\"")
    for folder in sys.path:
        file = Path(folder, "torchvision", "_meta_registrations.py")
        if file.is_file():
            for name in sorted(set(pattern.findall(file.read_text()))):
                library.define(f"{name}(Tensor x) -> Tensor")
            globals()["_declared"] = library  # a declaration lives as long as its library
            return


class LightlyMethod:
    """A training step of one method. `network` is the encoder (B, 3, S, S) -> (B, D), the same as the project's."""

    def __init__(self, method: str, network: nn.Module, features: int, size: int, queue: int, steps: int):
        from lightly.loss import NegativeCosineSimilarity, NTXentLoss
        from lightly.models import modules

        self.method, self.steps, self.done = method, steps, 0
        self.transform = transform(method, size)
        self.backbone = network
        self.predictor: nn.Module | None = None
        self.criterion: Any
        if method == "rotation":
            self.head: nn.Module = nn.Linear(features, 4)
            self.criterion = nn.CrossEntropyLoss()
        elif method == "simclr":
            self.head = modules.SimCLRProjectionHead(features, features, 128, batch_norm=False)
            self.criterion = NTXentLoss(temperature=0.1)
        elif method == "moco_v2":
            self.head = modules.MoCoProjectionHead(features, features, 128)
            self.criterion = NTXentLoss(temperature=0.2, memory_bank_size=(queue, 128))
        else:
            self.head = modules.BYOLProjectionHead(features, 4 * features, 256)
            self.predictor = modules.BYOLPredictionHead(256, 4 * features, 256)
            self.criterion = NegativeCosineSimilarity()
        trained = nn.ModuleList([part for part in (self.backbone, self.head, self.predictor) if part is not None])
        self.optimizer = torch.optim.SGD(trained.parameters(), lr=0.05, momentum=0.9)
        self.slow: list[nn.Module] = []
        if method not in ("rotation", "simclr"):
            from lightly.models.utils import deactivate_requires_grad

            self.slow = [copy.deepcopy(part) for part in (self.backbone, self.head)]
            for part in self.slow:
                deactivate_requires_grad(part)

    def step(self, views: list[Tensor]) -> None:
        """One optimiser step on the views that the data loader made."""
        if self.slow:
            from lightly.models.utils import update_momentum
            from lightly.utils.scheduler import cosine_schedule

            momentum = cosine_schedule(self.done, self.steps, 0.99, 1)
            for fast, slow in zip((self.backbone, self.head), self.slow, strict=True):
                update_momentum(fast, slow, m=momentum)
        self.done = (self.done + 1) % self.steps
        loss = self.loss(views)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.optimizer.zero_grad()

    def loss(self, views: list[Tensor]) -> Tensor:
        if self.method == "rotation":
            turns = torch.randint(4, (len(views[0]),))
            turned = torch.stack([v.rot90(int(k), (1, 2)) for v, k in zip(views[0], turns, strict=True)])
            return self.criterion(self.online(turned), turns)  # type: ignore[no-any-return]
        first, second = views
        if self.method == "simclr":
            return self.criterion(self.online(first), self.online(second))  # type: ignore[no-any-return]
        if self.method == "moco_v2":
            from lightly.models.utils import batch_shuffle, batch_unshuffle

            query = self.online(first)
            shuffled, order = batch_shuffle(second)
            return self.criterion(query, batch_unshuffle(self.target(shuffled), order))  # type: ignore[no-any-return]
        assert self.predictor is not None
        p_1, p_2 = self.predictor(self.online(first)), self.predictor(self.online(second))
        z_1, z_2 = self.target(first), self.target(second)
        return 0.5 * (self.criterion(p_1, z_2) + self.criterion(p_2, z_1))  # type: ignore[no-any-return]

    def online(self, view: Tensor) -> Tensor:
        return self.head(self.backbone(view.contiguous(memory_format=torch.channels_last)))  # type: ignore[no-any-return]

    @torch.no_grad()
    def target(self, view: Tensor) -> Tensor:
        backbone, head = self.slow
        return head(backbone(view.contiguous(memory_format=torch.channels_last)))  # type: ignore[no-any-return]


def transform(method: str, size: int) -> Any:
    """lightly's transform of the method at its defaults, for grey images: colour that is not there is left alone."""
    from lightly import transforms

    if method == "rotation":
        return transforms.SimCLRTransform(input_size=size, cj_sat=0, cj_hue=0, random_gray_scale=0, rr_prob=0)
    if method == "simclr":
        return transforms.SimCLRTransform(input_size=size, cj_sat=0, cj_hue=0, random_gray_scale=0)
    if method == "moco_v2":
        return transforms.MoCoV2Transform(input_size=size, cj_sat=0, cj_hue=0, random_gray_scale=0)
    views = (transforms.BYOLView1Transform, transforms.BYOLView2Transform)
    return transforms.BYOLTransform(*(view(input_size=size, cj_sat=0, cj_hue=0, random_gray_scale=0) for view in views))


class Files(torch.utils.data.Dataset[list[Tensor]]):
    """Image files, decoded and transformed one by one."""

    def __init__(self, paths: list[Path], transform: Any, views: int):
        self.paths, self.transform, self.views = paths, transform, views

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> list[Tensor]:
        image = Image.open(self.paths[number]).convert("RGB")
        if self.views == 1:
            return [self.transform.transforms[0](image)]
        return list(self.transform(image))
