"""Checks the rows of embedding runs: texts that meet again in a batch, false negatives, and leakage."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.data.checks.leakage import counted, find_leaks
from tunesmith.data.checks.rows import LISTED_ROWS, dropped_rows, leakage, row_finding
from tunesmith.data.near_duplicates import near_duplicates
from tunesmith.data.normalise import normalise
from tunesmith.data.pairs.retrieval import Retrieval
from tunesmith.data.pairs.rows import QUERY_DOCUMENT_KINDS, EmbeddingRows
from tunesmith.results import Finding

MIN_MEETING_SHARE = 0.01
"""Below this share of rows that meet their own text in a batch there is no finding."""


def check_train(train: EmbeddingRows, batch_rows: int, in_batch: bool) -> Iterator[Finding]:
    """Yields the findings of training rows; ``in_batch``: the other rows of a batch are a row's negatives."""
    yield from dropped_rows([train])
    if in_batch:
        yield from filter(None, (repeated_texts(train, batch_rows), false_negatives(train)))


def check_evaluation(train: Sequence[EmbeddingRows], others: Sequence[EmbeddingRows]) -> Iterator[Finding]:
    """Yields the findings of evaluation rows: those not used, and those whose texts also occur in the training rows.

    Rows of another format are compared by their first two texts.
    """
    yield from dropped_rows(others)
    for part in train:
        same = [rows for rows in others if rows.format.kind == part.format.kind]
        different = [rows for rows in others if rows.format.kind != part.format.kind]
        for texts_of, group in ((joined_texts, same), (first_texts, different)):
            yield from filter(None, leakage(part, group, texts_of, "texts", "{count} also occur in train"))


def check_search(train: EmbeddingRows, search: Retrieval) -> Iterator[Finding]:
    """Yields a finding about the queries of a search that are also texts of training rows; documents may be."""
    texts = [text for side in train.sides for text in side]
    leaks = find_leaks(texts, search.queries)
    if leaks:
        shown = tuple(
            {
                "row_id": search.query_ids[leak.position],
                "split": "the search",
                "reason": leak.reason(train.row_ids[leak.train_position % len(train)]),
            }
            for leak in leaks[:LISTED_ROWS]
        )
        n_queries = plural(len(search.queries), "query")
        summary = f"{len(leaks):,} of {n_queries} of the search also occur in train {counted(leaks)}"
        remedy = "Remove them from train: metrics on training rows are too high."
        yield Finding("leakage_retrieval", summary, len(leaks), rows=shown, remedy=remedy)


def rows_with_shared_text(rows: EmbeddingRows) -> Array:
    """Counts for each row (N) the other rows that have a text in common with it, in any column."""
    rows_by_text: dict[str, list[int]] = {}
    for i, texts in enumerate(zip(*rows.sides, strict=True)):
        for text in set(texts):
            rows_by_text.setdefault(text, []).append(i)
    counts = np.zeros(len(rows), dtype=np.int64)
    for positions in rows_by_text.values():
        counts[positions] += len(positions) - 1
    return np.minimum(counts, len(rows) - 1)


def meeting_share(rows: EmbeddingRows, batch_rows: int) -> float:
    """Returns the expected share, in [0, 1], of rows that meet one of their texts again in a batch drawn at random."""
    others = max(1, len(rows) - 1)
    drawn = min(batch_rows, len(rows)) - 1
    return float(np.mean(1 - (1 - drawn / others) ** rows_with_shared_text(rows)))


def repeated_texts(rows: EmbeddingRows, batch_rows: int) -> Finding | None:
    """Finds texts that stand in several rows: in one batch each would be its own negative."""
    share, counts = meeting_share(rows, batch_rows), rows_with_shared_text(rows)
    if share < MIN_MEETING_SHARE:
        return None
    summary = (
        f"in a batch of {batch_rows} drawn at random {share:.0%} of the rows would have one of their own texts as a negative"
    )
    remedy = "Batches are drawn without repeats (embedding.batch_sampler: no_duplicates) unless the recipe sets another sampler."
    order = np.argsort(-counts, kind="stable").tolist()
    flagged = ((i, f"other rows with a text of this one: {counts[i]:,}") for i in order if counts[i])
    return row_finding("repeated_texts", rows, flagged, summary, remedy)


def false_negatives(rows: EmbeddingRows) -> Finding | None:
    """Finds positives of different queries that are nearly the same text: in one batch each is a negative of the other."""
    if rows.format.kind not in QUERY_DOCUMENT_KINDS:
        return None
    near = near_duplicates(rows.sides[1])
    anchors = [normalise(text) for text in rows.sides[0]]
    pairs = list(zip(near.a.tolist(), near.b.tolist(), strict=True))
    partner = {a: b for a, b in pairs} | {b: a for a, b in pairs}
    flagged = []
    for i, text in enumerate(near.text_ids.tolist()):
        j = int(near.first_row[partner[text]]) if text in partner else i
        if anchors[i] != anchors[j]:
            flagged.append((i, f"nearly the positive of row {rows.row_ids[j]}"))
    remedy = "Remove one of each two, or use embedding.loss: GISTEmbedLoss, which excludes such negatives."
    summary = "the positives of {n} rows are nearly those of others: in one batch each is a negative for the other"
    return row_finding("false_negatives", rows, flagged, summary, remedy)


def first_texts(rows: EmbeddingRows) -> list[str]:
    """Returns the first two texts of each row (N), which every format of pairs has, in alphabetical order."""
    return ["\n".join(sorted(texts)) for texts in zip(*rows.sides[:2], strict=True)]


def joined_texts(rows: EmbeddingRows) -> list[str]:
    """Returns the texts of each row (N), one after the other."""
    return ["\n".join(texts) for texts in zip(*rows.sides, strict=True)]
