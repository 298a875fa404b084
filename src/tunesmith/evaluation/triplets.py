"""Draws triplets (anchor, positive, negative) from labelled texts, such that their dependence on each other is known.

Triplets that share a text are right or wrong together. If positives and negatives were drawn from all rows, any two triplets
would be linked through others, and an interval over anchors would be too narrow. Here the texts are divided into small blocks
of at least two classes, each triplet stays in one block, and the blocks are independent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.evaluation.search import cosine
from tunesmith.recipe.metric_names import TRIPLET_ACCURACY


@dataclass(frozen=True)
class Triplets:
    """Triplets of one list of texts, in the order of their anchors.

    Attributes:
        anchor, positive, negative: (T,) positions of texts; each text is the anchor of at most one triplet.
        block: (T,) the number of the triplet's block; triplets of different blocks share no text.
        n_texts: texts that they were drawn from.
        n_dependent: texts left out because another text of their row cluster is used.
        n_alone: texts left out because no other usable text is of their class.
    """

    anchor: Array
    positive: Array
    negative: Array
    block: Array
    n_texts: int
    n_dependent: int
    n_alone: int

    def __len__(self) -> int:
        return len(self.anchor)

    @property
    def n_left_out(self) -> int:
        return self.n_dependent + self.n_alone

    def summary(self) -> str:
        """Describes the number of triplets, of blocks and of left-out texts."""
        reasons = [
            f"{plural(n, 'text')} left out, {why}"
            for n, why in (
                (self.n_dependent, "equal or nearly equal to a used text or of its group"),
                (self.n_alone, "alone in their class"),
            )
            if n
        ]
        n_blocks = len(np.unique(self.block))
        drawn = f"{plural(len(self), 'triplet')} in {plural(n_blocks, 'independent block')} from {plural(self.n_texts, 'text')}"
        return "; ".join([drawn, *reasons])


def draw_triplets(classes: Array, clusters: Array, seed: int) -> Triplets:
    """Draws one triplet for each usable text as anchor: with another text of its class, and one of another class.

    Of each row cluster one text is used. The texts of a class are joined at random in units of two (one of three if their
    number is odd), the units in blocks of two classes; of a class with more units than all others together, a block has several.

    Args:
        classes: (N,) the class of each text.
        clusters: (N,) the cluster of each text, see ``data.row_clusters``.
    """
    draw, n_texts = np.random.default_rng(seed), len(classes)
    order = draw.permutation(n_texts)
    used = order[np.sort(np.unique(clusters[order], return_index=True)[1])]
    units = [unit for name in np.unique(classes) for unit in units_of(used[classes[used] == name])]
    blocks = join_units(units, [int(classes[unit[0]]) for unit in units], draw)
    rows: list[tuple[int, int, int, int]] = []
    for number, block in enumerate(blocks):
        texts = np.concatenate([units[i] for i in block])
        for unit in (units[i] for i in block):
            others = texts[classes[texts] != classes[unit[0]]]
            positives, negatives = np.roll(unit, -1), others[draw.integers(len(others), size=len(unit))]
            rows += zip(unit.tolist(), positives.tolist(), negatives.tolist(), [number] * len(unit), strict=True)
    anchor, positive, negative, block_of = np.array(sorted(rows), dtype=np.int64).reshape(-1, 4).T
    return Triplets(
        anchor=anchor,
        positive=positive,
        negative=negative,
        block=block_of,
        n_texts=n_texts,
        n_dependent=n_texts - len(used),
        n_alone=len(used) - len(anchor),
    )


def units_of(texts: Array) -> list[Array]:
    """Cuts the texts of one class, in random order, into units of two, and one of three if their number is odd."""
    return [*np.array_split(texts, len(texts) // 2)] if len(texts) >= 2 else []


def join_units(units: Sequence[Array], names: Sequence[int], draw: np.random.Generator) -> list[list[int]]:
    """Joins units in as many blocks as possible that each have units of at least two classes; none if all are of one class."""
    order, own = draw.permutation(len(units)).tolist(), list(names)
    if len(set(own)) < 2:
        return []
    largest = max(dict.fromkeys(own), key=own.count)
    of_largest, others = [i for i in order if own[i] == largest], [i for i in order if own[i] != largest]
    if len(of_largest) >= len(others):
        return [[other, *of_largest[k :: len(others)]] for k, other in enumerate(others)]
    spare = of_largest.pop() if len(order) % 2 else None
    order = [i for i in order if i != spare]
    pairs = [order[k : k + 2] for k in range(0, len(order), 2)]
    for pair in pairs:
        if own[pair[0]] == own[pair[1]]:  # exchanged with a random pair that has no unit of this class
            fitting = [other for other in pairs if own[pair[0]] not in (own[other[0]], own[other[1]])]
            other = fitting[int(draw.integers(len(fitting)))]
            pair[1], other[1] = other[1], pair[1]
    if spare is not None:
        pairs[int(draw.integers(len(pairs)))].append(spare)
    return pairs


def triplet_accuracy(near: Array, far: Array) -> Array:
    """Returns 1.0 for each triplet (T,) whose positive has a higher similarity than its negative, else 0.0.

    Equal similarities are wrong, as ``TripletEvaluator`` of sentence-transformers counts them.
    """
    return (near > far).astype(float)


def triplet_scores(triplets: Triplets | None, vectors: Any) -> Mapping[str, Array]:
    """Returns the triplet accuracy of vectors of length 1 (N, D), dense or sparse; empty without triplets."""
    if triplets is None:
        return {}
    anchors = vectors[triplets.anchor]
    near, far = cosine(anchors, vectors[triplets.positive]), cosine(anchors, vectors[triplets.negative])
    return {TRIPLET_ACCURACY: triplet_accuracy(near, far)}
