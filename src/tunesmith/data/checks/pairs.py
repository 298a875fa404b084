"""What goes wrong with pairs in a batch: a text twice, right answers that are nearly the same; and leaks into judged rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from tunesmith.data.near_duplicates import near_duplicates
from tunesmith.data.normalise import normalise
from tunesmith.data.pairs.rows import RANKED, EmbeddingRows
from tunesmith.evaluation.metrics.predictions import Array
from tunesmith.results import Finding

SHOWN = 20
FEW = 0.01
"""A smaller share of rows that meet their own text in a batch is not worth a word."""


def findings_of(splits: Mapping[str, EmbeddingRows], batch_rows: int, in_batch: bool) -> tuple[Finding, ...]:
    """What was found in the rows of an embedding run.

    Args:
        splits: train, and the judged ones.
        in_batch: whether the other rows of a batch are a row's negatives.
    """
    train = splits["train"]
    found: list[Finding | None] = [*left_out(splits.values())]
    if in_batch:
        found.append(repeated(train, batch_rows))
        found.append(false_negatives(train))
    found += [leaked(train, rows) for name, rows in splits.items() if name != "train" and rows.shape.kind == train.shape.kind]
    return tuple(finding for finding in found if finding is not None)


def left_out(splits: Iterable[EmbeddingRows]) -> list[Finding]:
    """Rows that are not used, by reason."""
    return [
        Finding(
            "dropped_rows",
            f"{len(ids):,} rows of {rows.split} {reason} are not used",
            len(ids),
            rows=tuple({"row_id": i, "split": rows.split, "reason": reason} for i in ids[:SHOWN]),
        )
        for rows in splits
        for reason, ids in rows.left_out.items()
    ]


def sharing(rows: EmbeddingRows) -> Array:
    """(N) how many other rows have a text in common with each row, in whichever column."""
    of_text: dict[str, list[int]] = {}
    for i, texts in enumerate(zip(*rows.sides, strict=True)):
        for text in set(texts):
            of_text.setdefault(text, []).append(i)
    counts = np.zeros(len(rows), dtype=np.int64)
    for places in of_text.values():
        counts[places] += len(places) - 1
    return np.minimum(counts, len(rows) - 1)


def meeting_share(rows: EmbeddingRows, batch_rows: int) -> float:
    """The share of rows that meet one of their own texts in another row of a batch drawn at random, in [0, 1]."""
    others = max(1, len(rows) - 1)
    drawn = min(batch_rows, len(rows)) - 1
    return float(np.mean(1 - (1 - drawn / others) ** sharing(rows)))


def repeated(rows: EmbeddingRows, batch_rows: int) -> Finding | None:
    """Texts that stand in several rows: in one batch each would be pushed away from itself."""
    share, counts = meeting_share(rows, batch_rows), sharing(rows)
    if share < FEW:
        return None
    worst = np.argsort(-counts, kind="stable")[:SHOWN].tolist()
    return Finding(
        "repeated_texts",
        f"in a batch of {batch_rows} drawn at random {share:.0%} of the rows would meet a text of their own as a wrong answer",
        int((counts > 0).sum()),
        rows=tuple(
            {"row_id": rows.row_ids[i], "split": rows.split, "reason": f"other rows with a text of this one: {counts[i]:,}"}
            for i in worst if counts[i]
        ),
        remedy="Batches are drawn without repeats (embedding.batch_sampler: no_duplicates) unless the recipe says otherwise.",
    )  # fmt: skip


def false_negatives(rows: EmbeddingRows) -> Finding | None:
    """Right answers of different questions that are nearly the same text: in one batch each is the other's wrong answer."""
    if rows.shape.kind not in RANKED:
        return None
    near = near_duplicates(rows.sides[1])
    anchors = [normalise(text) for text in rows.sides[0]]
    close = set(near.a.tolist()) | set(near.b.tolist())
    partner = {int(a): int(b) for a, b in zip(near.a, near.b, strict=True)} | {
        int(b): int(a) for a, b in zip(near.a, near.b, strict=True)
    }
    flagged = []
    for i, text in enumerate(near.text_of.tolist()):
        if text in close and anchors[i] != anchors[int(near.first_row[partner[text]])]:
            flagged.append((i, int(near.first_row[partner[text]])))
    if not flagged:
        return None
    return Finding(
        "false_negatives",
        f"the right answers of {len(flagged):,} rows are nearly those of others: in one batch each is wrong for the other",
        len(flagged),
        rows=tuple(
            {"row_id": rows.row_ids[i], "split": rows.split, "reason": f"nearly the answer of row {rows.row_ids[j]}"}
            for i, j in flagged[:SHOWN]
        ),
        remedy="Remove one of each two, or use embedding.loss: GISTEmbedLoss, which leaves such negatives out.",
    )  # fmt: skip


def leaked(train: EmbeddingRows, judged: EmbeddingRows) -> Finding | None:
    """Rows that judge and stand in train with all their texts."""
    known = set(keys_of(train))
    both = [i for i, key in enumerate(keys_of(judged)) if key in known]
    if not both:
        return None
    return Finding(
        f"leakage_{judged.split}", f"{len(both):,} of {len(judged):,} rows of {judged.split} stand in train as well", len(both),
        rows=tuple({"row_id": judged.row_ids[i], "split": judged.split, "reason": "stands in train"} for i in both[:SHOWN]),
        remedy="Remove them from train: what is judged on them was learnt by heart.",
    )  # fmt: skip


def keys_of(rows: EmbeddingRows) -> list[tuple[str, ...]]:
    """(N) the normalised texts of each row: equal keys are the same row."""
    return list(zip(*([normalise(text) for text in side] for side in rows.sides), strict=True))
