"""SimCLR: find the other view of the image among all views of the batch (Chen 2020, arXiv 2002.05709)."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from fedward.pretext.method import Method, Tensors


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Normalised temperature-scaled cross entropy of embeddings (B, E), row i of both being one pair (eq. 1).

    Mean over the 2B views of -log(exp(s_pos / tau) / sum over the 2B - 1 other views of exp(s / tau)), s the cosine.
    """
    embedding = normalize(torch.cat([first, second]), dim=1)
    similarity = embedding @ embedding.T / temperature
    similarity.fill_diagonal_(-torch.inf)
    positive = torch.arange(len(embedding), device=embedding.device).roll(len(first))
    return cross_entropy(similarity, positive)


class SimCLR(Method):
    """Both views go through the network together, so that they share batch statistics; no private state."""

    separable = False

    def outputs(self, *prepared: Tensor) -> Tensors:
        with self.autocast():
            return self.online(torch.cat(prepared)).float().chunk(2)  # type: ignore[no-any-return]

    def criterion(self, outputs: Tensors, prepared: Tensors) -> Tensor:
        assert self.settings.temperature is not None
        first, second = outputs
        return nt_xent(first, second, self.settings.temperature)
