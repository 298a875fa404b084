"""What the models of a diagnosis say of changed inputs: nothing, parts of a row, a row without a word, single words.

Each step asks linear models in the folds of the diagnosis; what is changed stands in ``diagnoses/inputs.py``, what it means in
the modules of its diagnosis.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import listed
from tunesmith.data.labelled.load import LabelledData
from tunesmith.data.table import Examples, Labels
from tunesmith.diagnosis.checks.input_variants import (
    IN_WORDS,
    OF_PAIRS,
    changed,
    columns_of,
    known_name,
    n_words,
    null_input,
    without_each_word,
)
from tunesmith.diagnosis.checks.partial_inputs import partial_input
from tunesmith.diagnosis.checks.pvi import SMALLEST, tempered
from tunesmith.diagnosis.checks.slices import slices
from tunesmith.diagnosis.checks.word_bias import hypernym_list, word_list
from tunesmith.diagnosis.checks.words_left_out import asked_rows, lowest_pvi, words_left_out
from tunesmith.diagnosis.evidence import UNLABELLED, Diagnosis, Evidence, class_ids
from tunesmith.diagnosis.out_of_fold import FoldModels, OutOfFold, judged_in_folds
from tunesmith.diagnosis.outcome import private_rows
from tunesmith.errors import DataError, RecipeError
from tunesmith.evaluation.baselines.frozen import Embedded
from tunesmith.evaluation.metrics.predictions import SINGLE
from tunesmith.models.source import ModelSource
from tunesmith.progress import Clock, Event
from tunesmith.recipe.files import locate
from tunesmith.recipe.sections import DiagnoseSection

Embed = Callable[[list[str]], Array]

MOST_WORDS = 200
"""Of a text that are left out, one at a time; a longer text is cut by the model at about as many."""
TABLES = (
    ("inputs.csv", "input_"),
    ("slices.csv", "slices_"),
    ("words.csv", "words_left_out"),
    ("word_lists.csv", "word_list_"),
    ("hypernyms.csv", "hypernyms_"),
)
"""The file of each kind of diagnosis that has a table, by the beginning of its name."""


@dataclass(frozen=True)
class Wanted:
    """What the recipe asks of changed inputs, checked against the rows.

    Attributes:
        inputs: names of ``diagnoses/inputs.py``, or columns joined by ``+``.
        words_of_rows: how many rows of each split, or the row ids of train.
        word_lists: name -> words.
    """

    trained_null: bool = False
    inputs: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    words_of_rows: int | tuple[int, ...] = 0
    word_lists: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def needs_models(self) -> bool:
        """Whether the models of the folds are asked about rows that are not theirs."""
        return bool(self.words_of_rows or self.word_lists)


@dataclass(frozen=True)
class ChangedInputs:
    """What was found over the rows of all splits, and what more can be asked.

    Attributes:
        said: the linear models' answers to the untouched rows, and the models.
        whole: their probabilities (N, K), tempered as those of the parts are.
        parts: input -> probabilities (N, K) by models of that input in the same folds, tempered by the other folds.
        null_log2: log2 of the trained null model's probability of each row's label (N); None for the class prior.
        embed: texts to vectors (N, D), by the untouched base model.
    """

    asked: Wanted
    said: OutOfFold
    whole: Array
    parts: dict[str, Array]
    null_log2: Array | None
    embed: Embed


def columns_asked(section: DiagnoseSection) -> dict[str, tuple[str, ...]]:
    """Further columns that the diagnosis reads -> what else such a name may mean."""
    inputs = {column: tuple(IN_WORDS) for name in section.inputs for column in columns_of(name)}
    return {**{column: () for column in section.slices}, **inputs}


def wanted_of(section: DiagnoseSection, splits: LabelledData, base: Path) -> Wanted:
    """What the recipe asks of changed inputs.

    Raises:
        RecipeError: the rows are not what it is asked of, or a row or word is not there.
        DataError: a word list cannot be read.
    """
    inputs = tuple(dict.fromkeys(known_name(name) for name in section.inputs))
    rows = section.words_of_rows if isinstance(section.words_of_rows, int) else tuple(dict.fromkeys(section.words_of_rows))
    given = {"inputs": inputs, "slices": section.slices, "words_of_rows": rows, "word_lists": section.word_lists}
    used = [key for key, value in given.items() if value]
    if used and splits.labels.problem_type != SINGLE:
        raise RecipeError.one(f"diagnose.{used[0]}", "it needs rows with one class each.", "Leave it out.")
    alone = [name for name in inputs if name in OF_PAIRS]
    if alone and splits.train.pairs is None:
        raise RecipeError.one("diagnose.inputs", f"{alone[0]} needs pairs of texts, and each row has one.", "Leave it out.")
    if section.word_lists and splits.train.pairs is not None:
        raise RecipeError.one("diagnose.word_lists", "a word alone is no pair of texts, as these rows are.", "Leave it out.")
    absent = [] if isinstance(rows, int) else sorted(set(rows) - set(splits.train.row_ids))
    if absent:
        message = f"train has no usable row {listed(absent, 5)}."
        raise RecipeError.one("diagnose.words_of_rows", message, "Row ids count the data rows of the file from 0.")
    lists = {name: words_of_list(name, words, base) for name, words in section.word_lists.items()}
    return Wanted(section.null_model == "trained", inputs, tuple(dict.fromkeys(section.slices)), rows, lists)


def words_of_list(name: str, given: str | list[str], base: Path) -> tuple[str, ...]:
    """The words of a list, each once; of a file one a line, blank lines and lines that begin with # left out.

    Raises:
        DataError: the file cannot be read, or there is no word.
    """
    lines = given
    if isinstance(given, str):
        path = locate(given, base)
        try:
            lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if not line.startswith("#")]
        except (OSError, UnicodeDecodeError) as error:
            why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else (error.strerror or "it cannot be opened")
            message = f"The word list {name} cannot be read from {given}: {why}."
            raise DataError.one(f"diagnose.word_lists.{name}", message, "Give a file with a word a line, or a list.") from error
    words = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not words:
        raise DataError.one(f"diagnose.word_lists.{name}", "The word list is empty.", "Give at least one word.")
    return words


def changed_inputs(
    asked: Wanted, rows: Examples, labels: Labels, vectors: Embedded, said: OutOfFold, embed: Embed, seed: int, clock: Clock
) -> ChangedInputs:
    """What models of nothing and of parts of each row say, in the folds of the models of the whole.

    Args:
        vectors: embeddings of the whole rows; those of one side are used again for models of that side.
    """
    if not asked.inputs and not asked.trained_null:
        return ChangedInputs(asked, said, said.pred_probs, {}, None, embed)
    n_folds = int(said.folds.max()) + 1
    total, done = n_folds * (len(asked.inputs) + asked.trained_null), 0

    def judged(part: Examples, part_vectors: Embedded) -> Array:
        nonlocal done
        probs, _ = judged_in_folds(
            part, labels.n, part_vectors, said.folds,
            lambda fold: clock.listener(Event("step", "changed inputs", done + fold, total)),
        )  # fmt: skip
        done += n_folds
        return probs

    given = class_ids(rows)
    parts, null_log2 = {}, None
    with clock.phase("changed inputs"):
        for name in asked.inputs:
            part = changed(rows, name, seed)
            parts[name] = tempered(judged(part, vectors_of_part(name, part, vectors, embed)), given, said.folds)
        if asked.trained_null:
            nothing = null_input(rows)
            null_log2 = own_log2(judged(nothing, vectors_of(nothing, embed)), given)
    return ChangedInputs(asked, said, tempered(said.pred_probs, given, said.folds), parts, null_log2, embed)


def own_log2(pred_probs: Array, given: Array) -> Array:
    """log2 of each row's probability of its label (N); 0 where it has none."""
    own = pred_probs[np.arange(len(given)), given]
    return np.where(given == UNLABELLED, 0.0, np.log2(np.clip(own, SMALLEST, 1)))


def vectors_of_part(name: str, part: Examples, vectors: Embedded, embed: Embed) -> Embedded:
    """Embeddings of a part of each row; those of one side of a pair are there already."""
    if isinstance(vectors, tuple) and name in ("text_only", "pair_only"):
        return vectors[name == "pair_only"]
    return vectors_of(part, embed)


def vectors_of(rows: Examples, embed: Embed) -> Embedded:
    """Embeddings of rows, each different text embedded once."""
    numbers: dict[str, int] = {}
    sides = [[numbers.setdefault(text, len(numbers)) for text in texts] for texts in (rows.texts, rows.pairs or [])]
    each = embed(list(numbers))
    return each[sides[0]] if rows.pairs is None else (each[sides[0]], each[sides[1]])


def lazy_embedder(source: ModelSource, max_length: int | None, n_layers: int) -> Embed:
    """``embeddings.embedder`` that loads the model when it is first asked, and once."""

    @cache
    def loaded() -> Embed:
        from tunesmith.models.base_embeddings import embedder

        return embedder(source, max_length, n_layers)

    return lambda texts: loaded()(texts)


def changed_diagnoses(found: ChangedInputs, evidence: Evidence, start: int, others: Sequence[Diagnosis]) -> list[Diagnosis]:
    """The diagnoses of one split that the recipe asks for.

    Args:
        evidence: of the split, whose rows begin at ``start`` among the rows of all splits.
        others: diagnoses of the split; rows in which they find personal data are not gone through word by word.
    """
    rows, asked = slice(start, start + len(evidence)), found.asked
    diagnoses = [partial_input(evidence, name, part[rows], found.whole[rows]) for name, part in found.parts.items()]
    diagnoses += [slices(evidence, column, evidence.rows.others[column]) for column in asked.slices]
    is_asked_here = evidence.rows.split == "train" or isinstance(asked.words_of_rows, int)
    if asked.words_of_rows and is_asked_here:
        diagnoses.append(each_word(found, evidence, rows, others))
    for name, words in asked.word_lists.items():
        diagnoses += listed_words(found, evidence, rows, name, words)
    return diagnoses


def models_of(found: ChangedInputs) -> FoldModels:
    """The models of the folds, which ``out_of_fold`` keeps where ``Wanted.needs_models``."""
    assert found.said.models is not None, "the models of the folds were not kept"
    return found.said.models


def each_word(found: ChangedInputs, evidence: Evidence, rows: slice, others: Sequence[Diagnosis]) -> Diagnosis:
    """The rows that were asked for without each of their words, judged by the models of their own fold in one pass."""
    hidden = private_rows(others)
    wanted = found.asked.words_of_rows
    if isinstance(wanted, int):
        chosen, n_hidden = lowest_pvi(evidence, wanted, hidden), 0
    else:
        all_asked = asked_rows(evidence, wanted)
        chosen = [i for i in all_asked if i not in hidden]
        n_hidden = len(all_asked) - len(chosen)
    left, shorter = without_each_word(evidence.rows, chosen, MOST_WORDS)
    without = np.zeros((0, evidence.labels.n))
    if left:
        folds = found.said.folds[rows][[word.row for word in left]]
        without = models_of(found).pred_probs(shorter, vectors_of(shorter, found.embed), folds)
    n_cut = sum(n_words(evidence.rows, i) > MOST_WORDS for i in chosen)
    return words_left_out(evidence, left, without, found.said.pred_probs[rows], n_cut, n_hidden)


def listed_words(
    found: ChangedInputs, evidence: Evidence, rows: slice, name: str, words: tuple[str, ...]
) -> Iterator[Diagnosis]:  # fmt: skip
    """The pinned bias of a list by the models of all folds, and its hypernyms in the rows of the split by those of their fold."""
    models, known = models_of(found), evidence.labelled

    @cache
    def of_words(texts: tuple[str, ...]) -> Array:
        alone = Examples("", "", list(range(len(texts))), list(texts), [None] * len(texts))
        return models.mean_pred_probs(alone, vectors_of(alone, found.embed))

    def of_rows(positions: list[int], texts: list[str]) -> Array:
        part = replace(evidence.rows.take(known[positions].tolist(), evidence.rows.split), texts=texts)
        folds = found.said.folds[rows][known[positions]]
        return models.pred_probs(part, vectors_of(part, found.embed), folds) if texts else np.zeros((0, evidence.labels.n))

    def scores(texts: list[str]) -> Array:
        return of_words(tuple(texts))

    bias, target = word_list(name, words, evidence.labels, scores)
    if evidence.rows.split == "train":  # words that stand alone are of no split
        yield bias
    texts = [evidence.rows.texts[i] for i in known.tolist()]
    yield hypernym_list(name, words, texts, evidence.given[known], evidence.name(target), target, of_rows, scores)


def write_tables(folder: Path, found: Sequence[tuple[Evidence, list[Diagnosis]]]) -> None:
    """Write the tables of the diagnoses that have one, all splits in one file of each kind."""
    for file, prefix in TABLES:
        rows = [
            {"split": evidence.rows.split, **row}
            for evidence, diagnoses in found
            for diagnosis in diagnoses if diagnosis.name.startswith(prefix)
            for row in diagnosis.figures.get("table", [])
        ]  # fmt: skip
        if not rows:
            continue
        with (folder / file).open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows({key: plain_cell(value) for key, value in row.items()} for row in rows)


def plain_cell(value: Any) -> Any:
    """A number in six digits; empty for none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value
