"""MoCo's queue of keys: the newest take the place of the oldest (He 2020, arXiv 1911.05722)."""

import torch
from torch import Tensor, nn


class KeyQueue(nn.Module):
    """`size` vectors (size, dimension) float32 in `keys`; its state says too which is the oldest and how many exist."""

    keys: Tensor

    def __init__(self, size: int, dimension: int, device: torch.device | None = None):
        super().__init__()
        self.register_buffer("keys", torch.zeros(size, dimension, device=device))
        self.oldest = 0  # next to be overwritten
        self.filled = 0

    @property
    def missing(self) -> int:
        """Places that hold no key yet."""
        return len(self.keys) - self.filled

    def clear(self) -> None:
        self.keys.zero_()
        self.oldest = self.filled = 0

    @torch.no_grad()
    def put(self, keys: Tensor) -> None:
        """Write keys (B, dimension), B <= size, over the oldest, going on at the first place after the last."""
        size, count = len(self.keys), len(keys)
        at_end = min(count, size - self.oldest)
        self.keys[self.oldest : self.oldest + at_end] = keys[:at_end]
        self.keys[: count - at_end] = keys[at_end:]
        self.oldest = (self.oldest + count) % size
        self.filled = min(self.filled + count, size)

    def get_extra_state(self) -> Tensor:
        return torch.tensor([self.oldest, self.filled])

    def set_extra_state(self, state: Tensor) -> None:
        self.oldest, self.filled = state.tolist()
