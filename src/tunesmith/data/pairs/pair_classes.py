"""Tells which class of labelled pairs means the same, and which classes give negatives.

Numbers are ambiguous: 0 is entailment in the usual coding of NLI, contradiction in that of cross-encoders, and "different" in
data of duplicates. They are read only where the data leave one meaning; otherwise the user is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tunesmith.data.cells import is_whole, listed, plural
from tunesmith.data.column_names import plain_name
from tunesmith.data.labelled.labels import class_name
from tunesmith.errors import DataError, InputError

ENTAILMENT = ("entailment", "entails", "entailed")
CONTRADICTION = ("contradiction", "contradicts", "contradictory")
SAME = ("true", "yes", "duplicate", "same", "similar", "positive", "paraphrase", "equivalent", *ENTAILMENT)
"""Lower-case labels of pairs with the same meaning. Only one of them may occur in a file."""
LETTERS = frozenset({"e", "n", "c"})
"""The initials of entailment, neutral and contradiction, which mean them only among themselves."""
DUPLICATES = frozenset({"0", "1"})
"""The numbers of data of duplicates, where 1 means the same."""
NLI_COLUMNS = frozenset({"premise", "hypothesis"})
CODINGS = "Usual codings: NLI 0 entailment, 1 neutral, 2 contradiction; NLI with two classes 0 entailment; duplicates 1 the same"
REVERSED_ERRORS = 3.0
"""Standard errors by which the words of the pairs of 1 must be less alike than those of 0 for 1 not to mean the same."""
WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class NamedClasses:
    """The classes of pairs that the user named, and what else is known of the coding.

    Attributes:
        same, different: the label of pairs with the same meaning, and of those with another; None where the user named none.
        remedy: how a label is named, for messages, with a place for ``same`` or ``different``.
        beside: classes of the training rows, whose coding the rows share.
    """

    same: str | int | None = None
    different: str | int | None = None
    remedy: str = "Name it: embedding.{}: LABEL."
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class PairLabels:
    """Labelled pairs of texts.

    Attributes:
        rows: (N) both texts and the class of each pair.
        columns: names of the two text columns.
        source: for messages.
    """

    rows: Sequence[tuple[str, ...]]
    columns: Sequence[str]
    source: str
    named: NamedClasses = NamedClasses()

    @property
    def classes(self) -> list[str]:
        """The classes in lower case, sorted."""
        return sorted({class_key(row[-1]) for row in self.rows})


def class_key(label: object) -> str:
    """Returns the label as it is compared: in lower case, whole numbers without decimals."""
    return class_name(label).casefold()


def same_class(pairs: PairLabels) -> str:
    """Returns the class of pairs with the same meaning, as ``class_key``. Raises DataError if it is not known."""
    classes = pairs.classes
    if pairs.named.same is not None and not is_named_elsewhere(pairs.named.same, pairs):
        return named_class(pairs.named.same, pairs, "same")
    if is_numbers(classes):
        return same_number(pairs)
    if {"e"} < {*classes} <= LETTERS:
        return "e"
    meant = [name for name in SAME if name in classes]
    if len(meant) != 1:
        raise undecided(pairs, "same", "several could" if meant else "none is a usual word for it")
    return meant[0]


def same_number(pairs: PairLabels) -> str:
    """Returns 1 for classes 0 and 1 of data of duplicates. Raises DataError for other numbers, and where the texts contradict."""
    classes = {*pairs.classes, *(key for label in pairs.named.beside if is_whole(key := class_key(label)))}
    if not classes <= DUPLICATES:
        raise undecided(pairs, "same", f"{plural(len(classes), 'number')} can be coded in several ways. {CODINGS}")
    if NLI_COLUMNS & {plain_name(name) for name in pairs.columns}:
        raise undecided(pairs, "same", f"in NLI data with two classes 0 is mostly entailment. {CODINGS}")
    if is_reversed(pairs):
        message = "the words of the pairs labelled 0 are more alike than those of the pairs labelled 1"
        raise undecided(pairs, "same", f"{message}. {CODINGS}")
    return "1"


def different_classes(pairs: PairLabels, same: str) -> frozenset[str]:
    """Returns the classes whose second text is a negative of the first: contradictions, else every class that is not ``same``.

    Neutral texts may be positives, so numbers of three classes or more have to be named. Raises DataError for those.
    """
    classes = pairs.classes
    if pairs.named.different is not None and not is_named_elsewhere(pairs.named.different, pairs):
        named = named_class(pairs.named.different, pairs, "different")
        if named == same:
            message = f"the label {same} cannot mean both the same and something else."
            raise DataError.one(pairs.source, message, pairs.named.remedy.format("different"))
        return frozenset({named})
    contradictions = {*CONTRADICTION} & {*classes} or ({"c"} & {*classes} if {*classes} <= LETTERS else set())
    if contradictions:
        return frozenset(contradictions)
    if len(classes) > 2 and is_numbers(classes):
        raise undecided(pairs, "different", f"{plural(len(classes), 'number')} can be coded in several ways. {CODINGS}")
    return frozenset(classes) - {same}


def means_same(pairs: PairLabels) -> list[int]:
    """Returns 1 for each pair whose class means the same, else 0.

    Raises DataError if that class is not known, or all pairs have one class.
    """
    same = same_class(pairs)
    if len(pairs.classes) < 2:
        message = f"all pairs are of the class {pairs.classes[0]}."
        raise DataError.one(pairs.source, message, "Two classes are the least.")
    return [int(class_key(label) == same) for *_, label in pairs.rows]


def named_class(name: str | int, pairs: PairLabels, role: str) -> str:
    """Returns the class that the user named. Raises DataError if no pair has it."""
    key = class_key(name)
    if key not in pairs.classes:
        message = f"no pair has the label {name}; the classes are {listed(pairs.classes)}."
        raise DataError.one(pairs.source, message, pairs.named.remedy.format(role))
    return key


def is_named_elsewhere(name: str | int, pairs: PairLabels) -> bool:
    """Returns whether a named class is one of the training rows, which write all classes in another way than these rows."""
    key, beside = class_key(name), {class_key(label) for label in pairs.named.beside}
    return key in beside and not beside & {*pairs.classes}


def undecided(pairs: PairLabels, role: str, why: str) -> InputError:
    """Asks for the class that means the same, or something else, with the choices."""
    what = "the same" if role == "same" else "a contradiction"
    message = f"the classes are {listed(pairs.classes)}; which of them means {what} cannot be detected: {why}."
    return DataError.one(pairs.source, message, pairs.named.remedy.format(role))


def is_numbers(classes: Iterable[str]) -> bool:
    """Returns whether all classes are whole numbers."""
    return all(is_whole(name) for name in classes)


def is_reversed(pairs: PairLabels) -> bool:
    """Returns whether pairs labelled 0 have clearly more words in common than those labelled 1.

    Compares the Jaccard overlap of words by the test of Mann and Whitney (1947), normal approximation.
    """
    from scipy.stats import rankdata

    is_one = np.array([class_key(label) == "1" for *_, label in pairs.rows])
    n_ones, n_others = int(is_one.sum()), int((~is_one).sum())
    if not n_ones or not n_others:
        return False
    overlap = [word_overlap(first, second) for first, second, _ in pairs.rows]
    wins = float(rankdata(overlap)[~is_one].sum()) - n_others * (n_others + 1) / 2
    error = np.sqrt(n_ones * n_others * (n_ones + n_others + 1) / 12)
    return bool(wins - n_ones * n_others / 2 > REVERSED_ERRORS * error)


def word_overlap(first: str, second: str) -> float:
    """Returns the Jaccard overlap of the words of two texts, in [0, 1]."""
    words, others = ({*WORD.findall(text.casefold())} for text in (first, second))
    return len(words & others) / max(1, len(words | others))
