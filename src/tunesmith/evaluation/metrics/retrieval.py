"""Retrieval metrics for each query: nDCG, reciprocal rank, recall and average precision.

Defined as in trec_eval, BEIR and MTEB: nDCG has linear gains and the discount 1 / log2(rank + 1) (Järvelin and Kekäläinen 2002);
recall and average precision at k are divided by the number of all relevant documents, even if that exceeds k.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.pairs.retrieval import Judgements


@dataclass(frozen=True)
class Ranking:
    """Gains of ranked documents for Q queries.

    Attributes:
        gains: (Q, k) of the ranked documents, best rank first.
        ideal: (Q, k) the gains of the best possible ranking, 0 after the relevant documents.
        n_relevant: (Q,) at least 1.
    """

    gains: Array
    ideal: Array
    n_relevant: Array


def make_ranking(ranked: Array, judgements: Judgements) -> Ranking:
    """Looks up the gains of ranked documents.

    Args:
        ranked: (Q, k) positions of documents, best first, each at most once a query; ``NO_DOCUMENT`` after the last.
    """
    n_relevant = judgements.n_relevant()
    if len(ranked) != judgements.n_queries or not n_relevant.all():
        without = f"{int((n_relevant == 0).sum())} without a relevant document"
        raise ValueError(f"{len(ranked)} rankings for {judgements.n_queries} queries, {without}")
    order = np.lexsort((-judgements.gain, judgements.query))  # the largest gains of each query first
    query, gain = judgements.query[order], judgements.gain[order]
    rank = np.arange(len(query)) - np.searchsorted(query, query)
    ideal = np.zeros(ranked.shape)
    kept = rank < ranked.shape[1]
    ideal[query[kept], rank[kept]] = gain[kept]
    return Ranking(judgements.gains_at(ranked), ideal, n_relevant)


def discounted(gains: Array) -> Array:
    """(Q,) discounted cumulative gain of (Q, k)."""
    return np.asarray(gains @ (1 / np.log2(np.arange(gains.shape[1]) + 2)))


def ndcg(ranking: Ranking, k: int) -> Array:
    """(Q,) in [0, 1]: the discounted gain of the first k, over that of the best order."""
    return discounted(ranking.gains[:, :k]) / discounted(ranking.ideal[:, :k])


def mrr(ranking: Ranking, k: int) -> Array:
    """(Q,) in [0, 1]: one over the rank of the first relevant document, 0 if none is among the first k."""
    hits = ranking.gains[:, :k] > 0
    return np.where(hits.any(axis=1), 1 / (hits.argmax(axis=1) + 1), 0.0)


def recall(ranking: Ranking, k: int) -> Array:
    """(Q,) in [0, 1]: the share of the relevant documents that are among the first k."""
    return np.asarray((ranking.gains[:, :k] > 0).sum(axis=1) / ranking.n_relevant)


def average_precision(ranking: Ranking, k: int) -> Array:
    """(Q,) in [0, 1]: the precision at the rank of each relevant document among the first k, summed, over all relevant ones."""
    hits = ranking.gains[:, :k] > 0
    precision = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
    return np.asarray((precision * hits).sum(axis=1) / ranking.n_relevant)


METRICS: Mapping[str, Callable[[Ranking, int], Array]] = {"ndcg": ndcg, "mrr": mrr, "recall": recall, "map": average_precision}
DEFAULT = ("ndcg@10", "mrr@10", "recall@10", "recall@100", "map@100")
LEADING = "ndcg@10"


def parse_metric(name: str) -> tuple[str, int]:
    """Splits ``ndcg@10`` into metric and k. Raises ValueError for other names."""
    metric, _, k = name.partition("@")
    if metric not in METRICS or not k.isdecimal() or int(k) < 1:
        raise ValueError(f"{name!r} is no retrieval metric; they are {', '.join(METRICS)}, each with @K, for example {LEADING}")
    return metric, int(k)


def largest_k(names: Sequence[str]) -> int:
    return max(parse_metric(name)[1] for name in names)


def query_metrics(ranked: Array, judgements: Judgements, names: Sequence[str] = DEFAULT) -> dict[str, Array]:
    """Metric name -> its value for each query (Q,), all in [0, 1].

    Args:
        ranked: see ``make_ranking``; k at least the largest k of the metrics, or all documents.
    """
    if ranked.shape[1] < min(largest_k(names), judgements.n_documents):
        raise ValueError(f"the ranking ends at {ranked.shape[1]}, the metrics read up to {largest_k(names)}")
    ranking = make_ranking(ranked, judgements)
    return {name: METRICS[metric](ranking, k) for name, (metric, k) in ((name, parse_metric(name)) for name in names)}
