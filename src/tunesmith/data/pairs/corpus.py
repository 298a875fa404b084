"""Collects the texts that the second texts of pairs are searched among: those of other splits, or of a file.

A search among a few dozen texts is solved by every system. The texts of train make it harder without another file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tunesmith.data.cells import is_missing, plural
from tunesmith.data.columns import detect_columns
from tunesmith.data.pairs.rows import QUERY_DOCUMENT_KINDS, EmbeddingRows
from tunesmith.data.readers.read import read_table
from tunesmith.data.split import spread_positions
from tunesmith.errors import DataError
from tunesmith.recipe.sections import ColumnsSection

ALL, SPLIT = "all", "split"
"""Values of ``evaluate.corpus`` that are no files: the texts of all splits, or of the evaluated one alone."""
MOST_TEXTS = 50_000
MOST_TEXTS_OF_SELECTION = 1_000
"""A checkpoint is selected ten times or more in a training, so that its search is smaller than that of the test."""


@dataclass(frozen=True)
class Corpus:
    """Texts that second texts are searched among, beside those of their own split.

    Attributes:
        texts: (M) different ones, none of which is a second text of the split.
        known: pairs of a query of the split and another text that belongs to it, as another split says.
        n_available: number of texts of which ``texts`` is a sample; M if it is not one.
        sources: where they come from, for the user.
    """

    texts: tuple[str, ...] = ()
    known: tuple[tuple[str, str], ...] = ()
    n_available: int = 0
    sources: tuple[str, ...] = ()

    def first(self, share: float) -> Corpus:
        """Returns a corpus with that share of the texts, for a trial."""
        kept = spread_positions(len(self.texts), round(share * len(self.texts)))
        texts = tuple(self.texts[i] for i in kept)
        present = {*texts}
        return Corpus(texts, tuple(pair for pair in self.known if pair[1] in present), self.n_available, self.sources)

    def words(self, rows: EmbeddingRows) -> str:
        """Describes the size of the search for the user."""
        own = len({*rows.sides[1]})
        text = f"each second text is searched among {plural(own + len(self.texts), 'text')}: {own:,} of {rows.split}"
        if not self.texts:
            return f"{text} alone"
        sample = f", a sample of {self.n_available:,}" if self.n_available > len(self.texts) else ""
        return f"{text}, {len(self.texts):,} of {' and '.join(self.sources)}{sample}"


NO_CORPUS = Corpus()


def split_corpus(rows: EmbeddingRows, others: Iterable[EmbeddingRows], most: int, seed: int) -> Corpus:
    """Collects the documents of other splits and files; a random sample if there are more than ``most``.

    Texts that another split gives for a query of this one are kept, and are right answers to it.
    """
    queries, own, others = (
        {*rows.sides[0]},
        {*rows.sides[1]},
        [part for part in others if part.format.kind in QUERY_DOCUMENT_KINDS],
    )
    texts = dict.fromkeys(text for part in others for side in part.sides[1:] for text in side)
    pairs = dict.fromkeys(pair for part in others for pair in zip(*part.sides[:2], strict=True) if pair[0] in queries)
    needed = {document for _, document in pairs} - own
    further = [text for text in texts if text not in own and text not in needed]
    n_drawn = min(len(further), max(0, most - len(needed)))
    drawn = sorted(np.random.default_rng(seed).choice(len(further), n_drawn, replace=False).tolist()) if n_drawn else []
    names = tuple(dict.fromkeys(part.split for part in others))
    return Corpus((*sorted(needed), *(further[i] for i in drawn)), tuple(pairs), len(needed) + len(further), names)


def file_corpus(rows: EmbeddingRows, source: str, base: Path) -> Corpus:
    """Reads the texts of a file, without those that the split has. Raises DataError if it has no text."""
    table = read_table(source, base=base, split="test")
    cells = table.columns[detect_columns(table, "classification", ColumnsSection(), need_label=False).text]
    texts = dict.fromkeys(str(cell).strip() for cell in cells if not is_missing(cell))
    if not texts:
        raise DataError.one(source, "it has no text to search among.", "Give a file with a column of texts.")
    further = tuple(text for text in texts if text not in {*rows.sides[1]})
    return Corpus(further, (), len(further), (source,))


def corpus_of(setting: str, rows: EmbeddingRows, others: Sequence[EmbeddingRows], base: Path, seed: int) -> Corpus:
    """Collects the corpus of one split that ``evaluate.corpus`` asks for; empty for rows that are not evaluated by a search."""
    if rows.format.kind != "positive_pair" or setting == SPLIT:
        return NO_CORPUS
    if setting != ALL:
        return file_corpus(rows, setting, base)
    return split_corpus(rows, others, MOST_TEXTS_OF_SELECTION if rows.split == "validation" else MOST_TEXTS, seed)
