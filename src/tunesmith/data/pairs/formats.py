"""Detects the format of an embedding data set (pairs, triplets, scored pairs, ...) by column names and content.

sentence-transformers reads the columns of such a data set by their position; a file with the query after its document then
trains without an error and learns the wrong direction.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from tunesmith.data.cells import clip, is_missing, listed, plural
from tunesmith.data.column_names import ID, LABEL, PAIRS, SCORE, SPLIT, plain_name
from tunesmith.data.columns import require_column
from tunesmith.data.profile import Profile, profile
from tunesmith.data.table import Table
from tunesmith.errors import DataError, Problem

PairKind = Literal[
    "triplet",
    "tuple",
    "positive_pair",
    "scored_pair",
    "labelled_pair",
    "labelled_text",
    "single_text",
    "teacher_scores",
    "teacher_vectors",
]
MEANING: Mapping[PairKind, str] = {
    "triplet": "an anchor, a text that belongs to it and one that does not",
    "tuple": "an anchor, a text that belongs to it and several that do not",
    "positive_pair": "two texts that belong together",
    "scored_pair": "two texts and how alike they are",
    "labelled_pair": "two texts and the class of the pair",
    "labelled_text": "a text and its class",
    "single_text": "texts by themselves",
    "teacher_scores": "an anchor, texts, and a teacher's scores of them",
    "teacher_vectors": "texts and a teacher's vectors of them",
}
# Names by priority; a name means this part only beside a name of the other part.
ANCHOR = (
    "anchor", "query", "question", "claim", "request", "prompt", "title", "headline", "english", "source", "src", "input",
    "full_text", "original",
)  # fmt: skip
POSITIVE = (
    "positive", "pos", "response", "answer", "reply", "passage", "context", "document", "abstract", "summary", "translation",
    "non_english", "target", "tgt", "duplicate", "paraphrase", "output", "body", "text", "completion", "positive_passages",
    "positive_ctxs",
)  # fmt: skip
POSITIVE_LISTS = ("positive", "pos", "positive_passages", "positive_ctxs")
"""Columns that may hold lists of texts; the formats above read one text a column, see ``text_lists``."""
NEGATIVE = re.compile(r"(?:hard_)?neg(?:ative)?s?(?:_(?:passages|ctxs))?_?(\d{0,9})")
TEACHER_SCORE = re.compile(r"(?:teacher_)?(?:scores?|margins?)(?:_?\d+)?")
TEACHER_VECTOR = ("embedding", "teacher_embedding", "vector", "teacher_vector")
PARTS = ("anchor", "positive", "negative", "text", "pair", "label", "score", "vector")


@dataclass(frozen=True)
class PairFormat:
    """The format of a data set, as sentence-transformers uses the word.

    Attributes:
        texts: text columns in the order in which losses read them: anchor, positive, negatives; or both sides of a pair.
        target: the column of the class, score or vector; several where a teacher scores each text; empty where there is none.
        reason: why this format was chosen, for the user.
    """

    kind: PairKind
    texts: tuple[str, ...]
    target: tuple[str, ...]
    reason: str

    @property
    def name(self) -> str:
        """The kind in words: ``positive pair``."""
        return self.kind.replace("_", " ")

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.texts, *self.target)


def detect_pair_format(table: Table, given: Mapping[str, str | Sequence[str]] = MappingProxyType({})) -> PairFormat:
    """Detects the format of a table's rows.

    Args:
        given: part of ``PARTS`` -> column or columns that the recipe names.
    """
    requested = {}
    for part, names in given.items():
        if part not in PARTS:
            raise DataError.one(table.source, f"columns has no part {part!r}.", f"Parts: {listed(PARTS)}.")
        names = [names] if isinstance(names, str) else names
        names = [name for wanted in names for name in numbered(table, wanted)]
        requested[part] = tuple(require_column(table, name, part) for name in names)
    used = {name for names in requested.values() for name in names}
    rest = [name for name in table.columns if name not in used and plain_name(name) not in {*ID, *SPLIT}]
    profiles = {name: profile(table.columns[name]) for name in table.columns}
    if requested:
        return format_from_parts(requested, table, profiles, "named in the recipe")
    empty = [name for name in rest if not profiles[name].n and plain_name(name) in {*ANCHOR, *POSITIVE}]
    if empty:
        raise DataError.one(table.source, f"the column {empty[0]!r} has no text in any row.", "Fill it, or remove it.")
    require_text_lists(table, rest, profiles)
    parts, reason = parts_by_name(rest, profiles), "by the content of the columns"
    if parts:
        reason = f"by the names {listed(name for names in parts.values() for name in names)}"
    return format_from_parts(parts or parts_by_content(rest, profiles, table), table, profiles, reason)


def require_text_lists(table: Table, names: Sequence[str], profiles: Mapping[str, Profile]) -> None:
    """Raises DataError if most cells of the positives or the negatives are lists that are no texts, and nothing else is."""
    positives = [name for name in names if plain_name(name) in POSITIVE_LISTS]
    negatives = [name for name in names if NEGATIVE.fullmatch(plain_name(name))]
    has_positive = any(profiles[name].is_worded for name in names if plain_name(name) in POSITIVE)
    for name in [*([] if has_positive else positives), *negatives]:
        if profiles[name].list_share > 0.5:
            cell = next((cell for cell in table.columns[name] if isinstance(cell, list) and None in map(text_of_item, cell)), [])
            message = f"The column {name!r} holds lists that are neither texts nor objects with a text, such as {clip(cell)}."
            raise DataError.one(table.source, message, "Write each as a list of texts, or one text a column.")


def text_of_item(item: Any) -> str | None:
    """Returns a text, or that of a passage with its title before it, as Tevatron and DPR read one.

    A missing item is the empty text; every other one None.
    """
    if is_missing(item):
        return ""
    if isinstance(item, str):
        return item
    if not isinstance(item, dict) or not isinstance(item.get("text"), str):
        return None
    return f"{item.get('title') or ''} {item['text']}".strip()


def numbered(table: Table, wanted: str) -> list[str]:
    """Returns the columns NAME_1, NAME_2, ... that a list of texts was divided into; otherwise the name itself."""
    columns = [name for name in table.columns if re.fullmatch(rf"{re.escape(wanted)}_\d+", name)]
    return columns if columns and wanted not in table.columns else [wanted]


def parts_by_name(names: Sequence[str], profiles: Mapping[str, Profile]) -> dict[str, tuple[str, ...]]:
    """Assigns columns to parts by their names; empty where names do not decide."""
    numbers = {name: match.group(1) for name in names if (match := NEGATIVE.fullmatch(plain_name(name)))}
    negatives = sorted(numbers, key=lambda name: int(numbers[name] or 0))
    # A side of a pair holds words, not numbers or lists, and not the same few in all rows.
    worded = [name for name in names if profiles[name].is_worded]
    texts = [name for name in worded if profiles[name].is_text or profiles[name].distinct_share > 0.3]
    pair = usual_pair(texts)
    target = find_target(names, profiles, {*negatives, *(pair or ())})
    if negatives:
        anchor, positive = first_named(texts, ANCHOR, negatives), first_named(texts, POSITIVE, negatives)
        if anchor and positive and anchor != positive:
            return {"anchor": (anchor,), "positive": (positive,), "negative": tuple(negatives), **target}
        return {}
    if pair and target:
        return {"text": pair[:1], "pair": pair[1:], **target}
    anchor = first_named(texts, ANCHOR, ())
    positive = first_named(texts, POSITIVE, (anchor,) if anchor else ())
    if anchor and positive:
        return {"anchor": (anchor,), "positive": (positive,), **target}
    if pair:
        return {"anchor": pair[:1], "positive": pair[1:]}
    return {"text": (texts[0],), **target} if len(texts) == 1 and "vector" in target else {}


def usual_pair(names: Sequence[str]) -> tuple[str, str] | None:
    """Returns the two columns with a usual pair of names."""
    by_plain = {plain_name(name): name for name in names}
    pairs = ((by_plain[first], by_plain[second]) for first, second in PAIRS if {first, second} <= by_plain.keys())
    return next(pairs, None)


def first_named(names: Sequence[str], usual: Sequence[str], taken: Iterable[str]) -> str | None:
    """Returns the free column whose name stands first in ``usual``."""
    by_plain = {plain_name(name): name for name in names if name not in {*taken}}
    return next((by_plain[name] for name in usual if name in by_plain), None)


def find_target(names: Sequence[str], profiles: Mapping[str, Profile], taken: set[str]) -> dict[str, tuple[str, ...]]:
    """Finds the column of the class, the score or the vectors, by name and content."""
    free = [name for name in names if name not in taken]
    by_plain = {plain_name(name): name for name in free}
    for plain in TEACHER_VECTOR:
        if plain in by_plain and profiles[by_plain[plain]].list_share > 0.5:
            return {"vector": (by_plain[plain],)}
    measured = [name for name in free if profiles[name].number_share >= 0.9 or profiles[name].list_share > 0.5]
    scores = tuple(name for name in measured if TEACHER_SCORE.fullmatch(plain_name(name)))
    if scores:
        return {"score": scores}
    for tier in SCORE[:1] + LABEL:
        for plain in tier:
            name = by_plain.get(plain)
            if name and profiles[name].is_score:
                return {"score": (name,)}
            if name and (profiles[name].is_classes or profiles[name].is_codes):
                return {"label": (name,)}
    return {}


def parts_by_content(names: Sequence[str], profiles: Mapping[str, Profile], table: Table) -> dict[str, tuple[str, ...]]:
    """Assigns columns to parts by their content; at most two columns may be texts."""
    texts = [name for name in names if profiles[name].is_text]
    targets = [name for name in names if name not in texts and profiles[name].n]
    scores = [name for name in targets if profiles[name].is_score]
    classes = [name for name in targets if profiles[name].is_codes or profiles[name].is_classes]
    if not 1 <= len(texts) <= 2:
        raise undecided(table, profiles, f"{plural(len(texts), 'column', 'looks', 'look')} like text")
    measured = scores or classes
    if len(measured) > 1:
        raise undecided(table, profiles, f"{listed(measured)} could each hold the score or the class")
    target = {"score" if scores else "label": (measured[0],)} if measured else {}
    if len(texts) == 2 and not target:
        raise undecided(table, profiles, "two columns look like text, and no column name shows whether they belong together")
    return {"text": (texts[0],), **({"pair": (texts[1],)} if len(texts) == 2 else {}), **target}


def format_from_parts(
    parts: Mapping[str, tuple[str, ...]], table: Table, profiles: Mapping[str, Profile], reason: str
) -> PairFormat:
    """Returns the format that these parts make. Raises DataError if they make none."""
    have = {part for part, names in parts.items() if names}
    texts = tuple(name for part in ("anchor", "positive", "negative", "text", "pair") for name in parts.get(part, ()))
    target = tuple(name for part in ("label", "score", "vector") for name in parts.get(part, ()))
    n_negatives = len(parts.get("negative", ()))
    for kind, needed in NEEDED_PARTS.items():
        if have == needed and {"triplet": n_negatives == 1, "tuple": n_negatives > 1}.get(kind, True):
            return PairFormat(kind, texts, target, reason)
    raise undecided(table, profiles, f"{listed(sorted(have)) or 'nothing'} make no format of data")


NEEDED_PARTS: Mapping[PairKind, frozenset[str]] = {
    "triplet": frozenset({"anchor", "positive", "negative"}),
    "tuple": frozenset({"anchor", "positive", "negative"}),
    "positive_pair": frozenset({"anchor", "positive"}),
    "scored_pair": frozenset({"text", "pair", "score"}),
    "labelled_pair": frozenset({"text", "pair", "label"}),
    "labelled_text": frozenset({"text", "label"}),
    "single_text": frozenset({"text"}),
    "teacher_scores": frozenset({"anchor", "positive", "negative", "score"}),
    "teacher_vectors": frozenset({"text", "vector"}),
}


def undecided(table: Table, profiles: Mapping[str, Profile], what: str) -> DataError:
    """Asks the user for the parts, with examples of the recipe line."""
    columns = listed(f"{name} ({profiles[name].words()})" for name in table.columns)
    message = f"The format of the rows cannot be detected: {what}. Columns: {columns}."
    lines = '"columns: {anchor: NAME, positive: NAME}" or "columns: {text: NAME, pair: NAME, score: NAME}"'
    return DataError([Problem("data", table.source, message, f"Name them in the recipe, e.g. {lines}.")])
