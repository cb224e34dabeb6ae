"""The loss of federated contrastive learning (Wu et al. 2021, MICCAI, arXiv 2204.10983, section 3.2)."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from fedward.errors import UsageError


def fcl_loss(
    query: Tensor,
    partition: Tensor,
    own: Tensor,
    positive: Tensor,
    negatives: Tensor,
    negative_partition: Tensor,
    temperature: float,
    formula: str,
    remote: bool,
) -> tuple[Tensor, Tensor]:
    """l(q, P, N) + l(q, Lambda, N), mean over the queries that have a term; and how many these are, both scalars.

    l(q, X, N) = -1/|X| sum over x in X of log[exp(q x / tau) / (exp(q x / tau) + sum over n in N of exp(q n / tau))].

    query (B, D) and their partition (B,); own (M, D), of which positive (B, M) bool are each query's P; negatives
    (K, D), the paper's Q', and their partition (K,). All vectors have length 1, and only the query has a gradient.
    Lambda are the entries of Q' in the query's partition; `remote` false leaves that term out. N is Q' (`literal`, as
    published) or Q' without the query's partition (`masked`). A term with an empty P, Lambda or N is skipped;
    the loss of queries that have none is 0.
    """
    if formula not in ("literal", "masked"):
        raise UsageError(f"formula {formula!r} is unknown: use literal or masked")
    to_negatives = query @ negatives.detach().T / temperature
    same = partition[:, None] == negative_partition[None, :]
    allowed = torch.ones_like(same) if formula == "literal" else ~same
    terms = [(query @ own.detach().T / temperature, positive)]
    if remote:
        terms.append((to_negatives, same))
    some = allowed.any(dim=1)
    # with nothing to sum the row stays finite, and its terms are thrown away: no NaN reaches the gradient
    total = torch.where(allowed | ~some[:, None], to_negatives, -torch.inf)
    total = total.logsumexp(dim=1) if len(negatives) else query.sum(dim=1)
    loss, counted = torch.zeros_like(total), torch.zeros_like(some)
    for similarity, wanted in terms:
        wanted = wanted & some[:, None]
        each = softplus(total[:, None] - similarity).masked_fill(~wanted, 0)  # log(1 + exp(total) / exp(s))
        loss = loss + each.sum(dim=1) / wanted.sum(dim=1).clamp_min(1)
        counted = counted | wanted.any(dim=1)
    return loss.sum() / counted.sum().clamp_min(1), counted.sum()


def local_positives(partition: Tensor, scan: Tensor, own_partition: Tensor, own_scan: Tensor) -> Tensor:
    """P of each of B queries among M own features: the same partition of another volume, (B, M) bool.

    Another frame of the same patient is another volume, as in the paper.
    """
    return (partition[:, None] == own_partition[None, :]) & (scan[:, None] != own_scan[None, :])
