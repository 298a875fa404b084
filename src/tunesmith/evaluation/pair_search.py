"""Measures pairs of texts that belong together as a search: each second text is to be found among all of them and a corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.pairs.corpus import Corpus
from tunesmith.data.pairs.retrieval import Judgements
from tunesmith.evaluation.metrics.retrieval import DEFAULT, largest_k, query_metrics
from tunesmith.evaluation.search import nearest, nearest_by_words
from tunesmith.machine import device_name


def pair_metrics(sides: Sequence[Sequence[str]], corpus: Corpus, matrices: Sequence[Any]) -> Mapping[str, Array]:
    """Returns each retrieval metric for each different query, in the order of their first rows; equal texts are one document.

    Args:
        sides: (N) queries and (N) documents.
        matrices: of length 1, dense or sparse: (N, D) of queries, (N, D) of documents, and (M, D) of the corpus if there is one.
    """
    numbers = [{text: j for j, text in enumerate(dict.fromkeys(side))} for side in sides]
    ids = [np.array([number[text] for text in side]) for number, side in zip(numbers, sides, strict=True)]
    places = [np.unique(of_side, return_index=True)[1] for of_side in ids]  # where each different text stands first
    queries, documents = matrices[0][places[0]], matrices[1][places[1]]
    if corpus.texts:
        documents = stacked(documents, matrices[2])
    judged = judgements(ids, numbers, corpus)
    k = min(largest_k(DEFAULT), judged.n_documents)
    if hasattr(queries, "multiply"):
        ranked = nearest_by_words(queries, documents, k)
    else:
        ranked, _ = nearest(queries, documents, k, device_name())
    return query_metrics(ranked, judged)


def judgements(ids: Sequence[Array], numbers: Sequence[Mapping[str, int]], corpus: Corpus) -> Judgements:
    """Returns which documents belong to which query: those of its rows, and those that other splits give for it."""
    place = {**{text: len(numbers[1]) + j for j, text in enumerate(corpus.texts)}, **numbers[1]}
    known = [(numbers[0][query], place[document]) for query, document in corpus.known]
    pairs = np.unique(np.concatenate([np.stack(ids, axis=1), np.array(known, dtype=np.int64).reshape(-1, 2)]), axis=0)
    return Judgements(pairs[:, 0], pairs[:, 1], np.ones(len(pairs)), len(numbers[0]), len(place))


def stacked(documents: Any, further: Any) -> Any:
    """Returns two matrices of rows, dense or sparse, one below the other."""
    if hasattr(documents, "multiply"):
        from scipy.sparse import vstack

        return vstack([documents, further]).tocsr()
    return np.concatenate([documents, further])
