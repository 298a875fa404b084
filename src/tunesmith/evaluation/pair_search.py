"""Measures pairs of texts that belong together as a search: each second text is to be found among all of them and a corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.pairs.corpus import Corpus
from tunesmith.data.pairs.retrieval import Judgements, Retrieval
from tunesmith.evaluation.metrics.retrieval import DEFAULT, largest_k
from tunesmith.evaluation.outputs import Outputs, search_outputs
from tunesmith.evaluation.search import nearest, nearest_by_words
from tunesmith.machine import device_name


def pair_outputs(sides: Sequence[Sequence[str]], corpus: Corpus, matrices: Sequence[Any]) -> Outputs:
    """Returns the ranking and each retrieval metric of each different query, in the order of their first rows.

    Equal texts are one document.

    Args:
        sides: (N) queries and (N) documents.
        matrices: of length 1, dense or sparse: (N, D) of queries, (N, D) of documents, and (M, D) of the corpus if there is one.
    """
    ids, numbers = text_numbers(sides)
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
    return search_outputs(ranked, judged)


def pairs_as_search(split: str, sides: Sequence[Sequence[str]], corpus: Corpus) -> Retrieval:
    """Returns the search that ``pair_outputs`` ranks; ids of queries and documents are their positions in it."""
    ids, (queries, documents) = text_numbers(sides)
    texts = (*documents, *corpus.texts)
    return Retrieval(
        source=split,
        split=split,
        document_ids=tuple(map(str, range(len(texts)))),
        documents=texts,
        query_ids=tuple(map(str, range(len(queries)))),
        queries=tuple(queries),
        judgements=judgements(ids, (queries, documents), corpus),
    )


def text_numbers(sides: Sequence[Sequence[str]]) -> tuple[list[Array], list[dict[str, int]]]:
    """Returns the number (N) of each text of both sides, and text -> number, in the order of the first rows."""
    numbers = [{text: j for j, text in enumerate(dict.fromkeys(side))} for side in sides]
    return [np.array([number[text] for text in side]) for number, side in zip(numbers, sides, strict=True)], numbers


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
