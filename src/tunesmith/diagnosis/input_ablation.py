"""Input ablations: linear models of nothing or of parts of a row, and predictions without a word or of single words.

Linear models in the folds of the diagnosis make the predictions. ``checks/input_variants.py`` makes the ablated inputs; the other
modules of ``checks`` evaluate the predictions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import listed
from tunesmith.data.labelled.labels import SINGLE
from tunesmith.data.labelled.load import LabelledData
from tunesmith.data.readers.lines import split_lines
from tunesmith.data.table import Examples
from tunesmith.diagnosis.checks.input_variants import (
    ALIASES,
    DESCRIPTIONS,
    NULL,
    PAIR_VARIANTS,
    make_variant,
    n_words,
    variant_columns,
    without_each_word,
)
from tunesmith.diagnosis.checks.partial_inputs import lowest_pvi, partial_input, words_left_out
from tunesmith.diagnosis.checks.pvi import SMALLEST, slices, tempered
from tunesmith.diagnosis.checks.word_bias import LabelledTexts, WordList, hypernym_effect, word_list_bias
from tunesmith.diagnosis.evidence import UNLABELLED, Diagnosis, Evidence, class_ids
from tunesmith.diagnosis.out_of_fold import FoldModels, OutOfFold, predict_folds
from tunesmith.diagnosis.outcome import private_rows
from tunesmith.diagnosis.pool import write_csv
from tunesmith.errors import DataError, RecipeError
from tunesmith.evaluation.baselines.frozen import Embedded
from tunesmith.models.source import ModelSource
from tunesmith.progress import Clock, Event
from tunesmith.recipe.files import locate
from tunesmith.recipe.sections import DiagnoseSection

Embed = Callable[[list[str]], Array]
"""Texts to vectors (N, D)."""

MAX_WORDS = 200
"""Words of a text that are omitted, one at a time; the model truncates a longer text at about as many."""
TABLES = (
    ("inputs.csv", "input_", "table"),
    ("added.csv", "input_", "added"),
    ("slices.csv", "slices_", "table"),
    ("words.csv", "words_left_out", "table"),
    ("word_lists.csv", "word_list_", "table"),
    ("hypernyms.csv", "hypernyms_", "table"),
)
"""The file of each table, the prefix of the diagnoses that have it, and its name among their figures."""


@dataclass(frozen=True)
class AblationRequest:
    """The input ablations of a recipe, checked against the rows.

    Attributes:
        inputs: names of ``checks/input_variants.py``, or columns joined by ``+``.
        words_of_rows: number of rows of each split, or row ids of train.
        word_lists: name -> words.
    """

    trained_null: bool = False
    inputs: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    words_of_rows: int | tuple[int, ...] = 0
    word_lists: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class InputAblation:
    """Predictions on ablated inputs over the rows of all splits, and the models for further ones.

    Attributes:
        linear: the linear models and their predictions on the whole rows.
        whole: their probabilities (N, K), tempered like those of the parts.
        parts: input -> probabilities (N, K) by models of that input in the same folds, tempered by the other folds.
        null_log2: log2 of the trained null model's probability of each row's label (N); None for the class prior.
        embed: embeds texts by the untouched base model.
    """

    request: AblationRequest
    linear: OutOfFold
    whole: Array
    parts: dict[str, Array]
    null_log2: Array | None
    embed: Embed

    @property
    def models(self) -> FoldModels:
        """The models of the folds, which ``out_of_fold`` keeps if words of rows or word lists are requested."""
        assert self.linear.models is not None, "the models of the folds were not kept"
        return self.linear.models


def ablation_columns(section: DiagnoseSection) -> dict[str, tuple[str, ...]]:
    """Further columns that the diagnosis reads -> the other names such a column may be confused with."""
    inputs = {column: tuple(DESCRIPTIONS) for name in section.inputs for column in variant_columns(name)}
    return {**{column: () for column in section.slices}, **inputs}


def make_ablation_request(section: DiagnoseSection, splits: LabelledData, base: Path) -> AblationRequest:
    """Checks the input ablations of a recipe against its rows."""
    inputs = tuple(dict.fromkeys(ALIASES.get(name, name) for name in section.inputs))
    rows = section.words_of_rows if isinstance(section.words_of_rows, int) else tuple(dict.fromkeys(section.words_of_rows))
    keys = {"inputs": inputs, "slices": section.slices, "words_of_rows": rows, "word_lists": section.word_lists}
    used = [key for key, value in keys.items() if value]
    if used and splits.labels.problem_type != SINGLE:
        raise RecipeError.one(f"diagnose.{used[0]}", "it needs rows with one class each.", "Leave it out.")
    of_pairs = [name for name in inputs if name in PAIR_VARIANTS]
    if of_pairs and splits.train.pairs is None:
        raise RecipeError.one("diagnose.inputs", f"{of_pairs[0]} needs pairs of texts, and each row has one.", "Leave it out.")
    if section.word_lists and splits.train.pairs is not None:
        raise RecipeError.one("diagnose.word_lists", "a word alone is no pair of texts, as these rows are.", "Leave it out.")
    absent = [] if isinstance(rows, int) else sorted(set(rows) - set(splits.train.row_ids))
    if absent:
        message = f"train has no usable row {listed(absent, 5)}."
        raise RecipeError.one("diagnose.words_of_rows", message, "Row ids count the data rows of the file from 0.")
    lists = {name: read_word_list(name, words, base) for name, words in section.word_lists.items()}
    return AblationRequest(section.null_model == "trained", inputs, tuple(dict.fromkeys(section.slices)), rows, lists)


def read_word_list(name: str, source: str | list[str], base: Path) -> tuple[str, ...]:
    """Returns the words of a list, each once; a file has one a line, and blank lines and lines that begin with # are skipped."""
    lines = source
    if isinstance(source, str):
        path = locate(source, base)
        try:
            lines = [line for line in split_lines(path.read_text(encoding="utf-8-sig")) if not line.startswith("#")]
        except (OSError, UnicodeDecodeError) as error:
            why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else (error.strerror or "it cannot be opened")
            message = f"The word list {name} cannot be read from {source}: {why}."
            raise DataError.one(f"diagnose.word_lists.{name}", message, "Give a file with a word a line, or a list.") from error
    words = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not words:
        raise DataError.one(f"diagnose.word_lists.{name}", "The word list is empty.", "Give at least one word.")
    return words


def ablate_inputs(
    request: AblationRequest, rows: Examples, vectors: Embedded, linear: OutOfFold, embed: Embed, *, seed: int, clock: Clock
) -> InputAblation:
    """Cross-validates models of nothing and of parts of each row, in the folds of the models of the whole.

    Args:
        vectors: embeddings of the whole rows; those of one side are reused for models of that side.
    """
    if not request.inputs and not request.trained_null:
        return InputAblation(request, linear, linear.pred_probs, {}, None, embed)
    folds, n_classes = linear.folds, linear.pred_probs.shape[1]
    n_folds = int(folds.max()) + 1
    total, done = n_folds * (len(request.inputs) + request.trained_null), 0

    def cross_validate(part: Examples, part_vectors: Embedded) -> Array:
        nonlocal done

        def progress(fold: int) -> None:
            clock.listener(Event("step", "changed inputs", done + fold, total))

        pred_probs, _ = predict_folds(part, n_classes, part_vectors, folds, progress)
        done += n_folds
        return pred_probs

    given = class_ids(rows)
    parts, null_log2 = {}, None
    with clock.phase("changed inputs"):
        for name in request.inputs:
            part = make_variant(rows, name, seed)
            parts[name] = tempered(cross_validate(part, embed_variant(name, part, vectors, embed)), given, folds)
        if request.trained_null:
            blank = blank_rows(rows)
            own = cross_validate(blank, embed_examples(blank, embed))[np.arange(len(given)), given]
            null_log2 = np.where(given == UNLABELLED, 0.0, np.log2(np.clip(own, SMALLEST, 1)))
    return InputAblation(request, linear, tempered(linear.pred_probs, given, folds), parts, null_log2, embed)


def blank_rows(rows: Examples) -> Examples:
    """Returns the rows with texts without content: the input of the null model."""
    return replace(rows, texts=[NULL] * len(rows), pairs=None)


def embed_variant(name: str, part: Examples, vectors: Embedded, embed: Embed) -> Embedded:
    """Embeddings of an input variant; those of one side of a pair are taken from the whole rows' ``vectors``."""
    if isinstance(vectors, tuple) and name in ("text_only", "pair_only"):
        return vectors[name == "pair_only"]
    return embed_examples(part, embed)


def embed_examples(rows: Examples, embed: Embed) -> Embedded:
    """Embeddings of rows; each distinct text is embedded once."""
    numbers: dict[str, int] = {}
    sides = [[numbers.setdefault(text, len(numbers)) for text in texts] for texts in (rows.texts, rows.pairs or [])]
    each = embed(list(numbers))
    return each[sides[0]] if rows.pairs is None else (each[sides[0]], each[sides[1]])


def lazy_embedder(source: ModelSource, max_length: int | None, n_layers: int) -> Embed:
    """Returns an ``embedder`` of ``models.base_embeddings`` that loads the model at its first call."""

    @cache
    def loaded() -> Embed:
        from tunesmith.models.base_embeddings import embedder

        return embedder(source, max_length, n_layers)

    return lambda texts: loaded()(texts)


def ablation_diagnoses(ablation: InputAblation, evidence: Evidence, start: int, others: Sequence[Diagnosis]) -> list[Diagnosis]:
    """Returns the diagnoses of one split that the recipe requests.

    Args:
        evidence: of the split, whose rows begin at ``start`` among the rows of all splits.
        others: diagnoses of the split; rows in which they find personal data are not gone through word by word.
    """
    rows, request = slice(start, start + len(evidence)), ablation.request
    diagnoses = []
    for name, part in ablation.parts.items():
        within = {inner: ablation.parts[inner][rows] for inner in contained_inputs(name, ablation.parts)}
        diagnoses.append(partial_input(evidence, name, part[rows], ablation.whole[rows], within))
    diagnoses += [slices(evidence, column, evidence.rows.others[column]) for column in request.slices]
    applies_here = evidence.rows.split == "train" or isinstance(request.words_of_rows, int)
    if request.words_of_rows and applies_here:
        diagnoses.append(omit_each_word(ablation, evidence, rows, others))
    for name, words in request.word_lists.items():
        diagnoses += word_list_diagnoses(ablation, evidence, rows, WordList(name, words))
    return diagnoses


def contained_inputs(name: str, names: Iterable[str]) -> list[str]:
    """Returns the inputs of columns that are some of the columns of an input: ``source`` of ``source+author``."""
    columns = set(variant_columns(name))
    return [other for other in names if variant_columns(other) and set(variant_columns(other)) < columns]


def omit_each_word(ablation: InputAblation, evidence: Evidence, rows: slice, others: Sequence[Diagnosis]) -> Diagnosis:
    """Predicts the requested rows without each of their words by the models of their own fold, in one batch."""
    hidden = private_rows(others)
    requested = ablation.request.words_of_rows
    if isinstance(requested, int):
        selected, n_hidden = lowest_pvi(evidence, requested, hidden), 0
    else:
        place = {evidence.row_ids[i]: i for i in evidence.labelled.tolist()}
        positions = [place[row_id] for row_id in requested if row_id in place]
        selected = [i for i in positions if i not in hidden]
        n_hidden = len(positions) - len(selected)
    omitted, shorter = without_each_word(evidence.rows, selected, MAX_WORDS)
    without = np.zeros((0, evidence.labels.n))
    if omitted:
        folds = ablation.linear.folds[rows][[word.row for word in omitted]]
        without = ablation.models.pred_probs(shorter, embed_examples(shorter, ablation.embed), folds)
    n_cut = sum(n_words(evidence.rows, i) > MAX_WORDS for i in selected)
    return words_left_out(evidence, omitted, without, ablation.linear.pred_probs[rows], n_cut, n_hidden)


def word_list_diagnoses(ablation: InputAblation, evidence: Evidence, rows: slice, word_list: WordList) -> Iterator[Diagnosis]:
    """Measures the bias of a list by the models of all folds, and its hypernyms in the split's rows by those of their fold."""
    models, labelled, embed = ablation.models, evidence.labelled, ablation.embed

    @cache
    def scores(texts: tuple[str, ...]) -> Array:
        alone = Examples("", "", list(range(len(texts))), list(texts), [None] * len(texts))
        return models.mean_pred_probs(alone, embed_examples(alone, embed))

    def row_scores(positions: list[int], texts: list[str]) -> Array:
        part = replace(evidence.rows.take(labelled[positions].tolist(), evidence.rows.split), texts=texts)
        folds = ablation.linear.folds[rows][labelled[positions]]
        return models.pred_probs(part, embed_examples(part, embed), folds) if texts else np.zeros((0, evidence.labels.n))

    bias, target = word_list_bias(word_list, evidence.labels, scores)
    if evidence.rows.split == "train":  # words that stand alone belong to no split
        yield bias
    texts = LabelledTexts([evidence.rows.texts[i] for i in labelled.tolist()], evidence.given[labelled], row_scores)
    yield hypernym_effect(word_list, texts, scores, evidence.class_name(target), target)


def write_tables(folder: Path, results: Sequence[tuple[Evidence, list[Diagnosis]]]) -> None:
    """Writes the tables of the diagnoses that have one; each file holds one kind for all splits."""
    for file, prefix, part in TABLES:
        rows = [
            {"split": evidence.rows.split, **row}
            for evidence, diagnoses in results
            for diagnosis in diagnoses
            if diagnosis.name.startswith(prefix)
            for row in diagnosis.figures.get(part, [])
        ]
        if rows:
            write_csv(folder / file, list(rows[0]), (list(map(plain_cell, row.values())) for row in rows))


def plain_cell(value: object) -> object:
    """Returns a number in six digits; empty for None and NaN."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value
