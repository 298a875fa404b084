"""What the rows of an embedding data set are: pairs, triplets, scored pairs, labelled texts; by names and content, not by order.

Upstream reads the columns of such a data set by their position; a file with the query after its answer then trains without
an error and learns the wrong thing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from tunesmith.data.cells import listed
from tunesmith.data.column_names import ID, LABEL, PAIRS, SCORE, SPLIT, plain_name
from tunesmith.data.columns import find_column
from tunesmith.data.profile import Profile, profile
from tunesmith.data.table import Table
from tunesmith.errors import DataError, Problem

Kind = Literal[
    "triplet", "tuple", "positive_pair", "scored_pair", "labelled_pair", "labelled_text", "single_text", "teacher_scores",
    "teacher_vectors",
]  # fmt: skip
MEANING: Mapping[Kind, str] = MappingProxyType(
    {
        "triplet": "an anchor, a text that belongs to it and one that does not",
        "tuple": "an anchor, a text that belongs to it and several that do not",
        "positive_pair": "two texts that belong together",
        "scored_pair": "two texts and how alike they are",
        "labelled_pair": "two texts and the class of the pair",
        "labelled_text": "a text and its class",
        "single_text": "texts by themselves",
        "teacher_scores": "an anchor, texts, and what a teacher says of them",
        "teacher_vectors": "texts and the vectors a teacher gives them",
    }
)
# Names in the order in which they decide; a name means this part only beside one of the other part.
ANCHOR = (
    "anchor", "query", "question", "claim", "request", "prompt", "title", "headline", "english", "source", "src", "input",
    "full_text", "original",
)  # fmt: skip
POSITIVE = (
    "positive", "pos", "response", "answer", "reply", "passage", "context", "document", "abstract", "summary", "translation",
    "non_english", "target", "tgt", "duplicate", "paraphrase", "output", "body", "text", "completion",
)  # fmt: skip
NEGATIVE = re.compile(r"(?:hard_)?neg(?:ative)?s?_?(\d*)")
TEACHER_SCORE = re.compile(r"(?:teacher_)?(?:scores?|margins?)(?:_?\d+)?")
TEACHER_VECTOR = ("embedding", "teacher_embedding", "vector", "teacher_vector")
PARTS = ("anchor", "positive", "negative", "text", "pair", "label", "score", "vector")


@dataclass(frozen=True)
class Shape:
    """What rows are made of.

    Attributes:
        texts: columns of texts in the order in which losses read them: anchor, positive, negatives; or both sides of a pair.
        target: the column of the class, score or vector; several where a teacher scores each text; empty where there is none.
        reason: why, for the user.
    """

    kind: Kind
    texts: tuple[str, ...]
    target: tuple[str, ...]
    reason: str

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.texts, *self.target)


def detect_shape(table: Table, given: Mapping[str, str | Sequence[str]] = MappingProxyType({})) -> Shape:
    """The shape of a table's rows.

    Args:
        given: part -> column or columns, where the recipe says so; parts are those of ``PARTS``.

    Raises:
        DataError: a named column is missing, or the parts do not make a shape; the message shows the columns and what to say.
    """
    said = {part: columns_said(table, part, wanted) for part, wanted in given.items()}
    used = {name for names in said.values() for name in names}
    rest = [name for name in table.columns if name not in used and plain_name(name) not in {*ID, *SPLIT}]
    found = {name: profile(table.columns[name]) for name in table.columns}
    if said:
        return from_parts(said, table, found, "named in the recipe")
    empty = [name for name in rest if not found[name].n and plain_name(name) in {*ANCHOR, *POSITIVE}]
    if empty:
        raise DataError.one(table.source, f"the column {empty[0]!r} has no text in any row.", "Fill it, or leave it out.")
    named = named_parts(rest, found)
    if named:
        return from_parts(named, table, found, f"by the names {listed(name for names in named.values() for name in names)}")
    return from_parts(parts_by_content(rest, found, table), table, found, "by what the columns hold")


def columns_said(table: Table, part: str, wanted: str | Sequence[str]) -> tuple[str, ...]:
    """The columns the recipe names for a part."""
    if part not in PARTS:
        raise DataError.one(table.source, f"columns has no part {part!r}.", f"Parts: {listed(PARTS)}.")
    names = []
    for one in [wanted] if isinstance(wanted, str) else wanted:
        name = find_column(table, one)
        if name is None:
            raise DataError.one(table.source, f"There is no column {one!r} for the {part}.", f"Columns: {listed(table.columns)}.")
        names.append(name)
    return tuple(names)


def named_parts(names: Sequence[str], found: Mapping[str, Profile]) -> dict[str, tuple[str, ...]]:
    """Part -> columns by their names; empty where names do not tell."""
    negatives = sorted((name for name in names if NEGATIVE.fullmatch(plain_name(name))), key=number_of)
    texts = [name for name in names if is_text(found[name])]
    pair = usual_pair(texts)
    target = target_of(names, found, {*negatives, *(pair or ())})
    if negatives:
        anchor, positive = first_of(texts, ANCHOR, negatives), first_of(texts, POSITIVE, negatives)
        if anchor and positive and anchor != positive:
            return {"anchor": (anchor,), "positive": (positive,), "negative": tuple(negatives), **target}
        return {}
    if pair and target:
        return {"text": pair[:1], "pair": pair[1:], **target}
    anchor = first_of(texts, ANCHOR, ())
    positive = first_of(texts, POSITIVE, (anchor,) if anchor else ())
    if anchor and positive:
        return {"anchor": (anchor,), "positive": (positive,), **target}
    if pair:
        return {"anchor": pair[:1], "positive": pair[1:]}
    return {"text": (texts[0],), **target} if len(texts) == 1 and "vector" in target else {}


def number_of(name: str) -> int:
    """The number at the end of ``negative_3``; 0 where there is none."""
    match = NEGATIVE.fullmatch(plain_name(name))
    return int(match.group(1)) if match and match.group(1) else 0


def is_text(found: Profile) -> bool:
    """Cells that can be a side of a pair: words, not numbers or lists, and not the same few for all rows."""
    return found.n > 0 and found.number_share < 0.5 and found.list_share == 0 and (found.is_text or found.distinct_share > 0.3)


def usual_pair(names: Sequence[str]) -> tuple[str, str] | None:
    """Two columns whose names are those of a pair."""
    by_plain = {plain_name(name): name for name in names}
    for first, second in PAIRS:
        if first in by_plain and second in by_plain:
            return by_plain[first], by_plain[second]
    return None


def first_of(names: Sequence[str], known: Sequence[str], taken: Iterable[str]) -> str | None:
    """The free column whose name stands first in ``known``."""
    by_plain = {plain_name(name): name for name in names if name not in {*taken}}
    return next((by_plain[name] for name in known if name in by_plain), None)


def target_of(names: Sequence[str], found: Mapping[str, Profile], taken: set[str]) -> dict[str, tuple[str, ...]]:
    """The column of the class, the score or the vectors, by name and content."""
    free = [name for name in names if name not in taken]
    by_plain = {plain_name(name): name for name in free}
    for plain in TEACHER_VECTOR:
        if plain in by_plain and found[by_plain[plain]].list_share > 0.5:
            return {"vector": (by_plain[plain],)}
    scores = tuple(n for n in free if TEACHER_SCORE.fullmatch(plain_name(n)) and is_measured(found[n]))
    if scores:
        return {"score": scores}
    for tier in SCORE[:1] + LABEL:
        for plain in tier:
            name = by_plain.get(plain)
            if name and found[name].is_score:
                return {"score": (name,)}
            if name and (found[name].is_classes or found[name].is_codes):
                return {"label": (name,)}
    return {}


def is_measured(found: Profile) -> bool:
    """Numbers, or lists of them."""
    return found.number_share >= 0.9 or found.list_share > 0.5


def parts_by_content(names: Sequence[str], found: Mapping[str, Profile], table: Table) -> dict[str, tuple[str, ...]]:
    """Part -> columns by what they hold, where at most two columns are texts."""
    texts = [name for name in names if found[name].is_text]
    targets = [name for name in names if name not in texts and found[name].n]
    scores = [name for name in targets if found[name].is_score]
    classes = [name for name in targets if found[name].is_codes or (found[name].is_classes and not found[name].is_score)]
    if not 1 <= len(texts) <= 2:
        raise undecided(table, found, f"{len(texts)} columns read like text")
    measured = scores or classes
    if len(measured) > 1:
        raise undecided(table, found, f"{listed(measured)} could each hold the score or the class")
    target: dict[str, tuple[str, ...]] = {}
    if measured:
        target = {"score" if scores else "label": (measured[0],)}
    if len(texts) == 2 and not target:
        raise undecided(table, found, "two columns read like text, and no name says whether they belong together")
    return {"text": (texts[0],), **({"pair": (texts[1],)} if len(texts) == 2 else {}), **target}


def from_parts(parts: Mapping[str, tuple[str, ...]], table: Table, found: Mapping[str, Profile], reason: str) -> Shape:
    """The shape that these parts make. Raises DataError where they make none."""
    have = {part for part, names in parts.items() if names}
    texts = tuple(name for part in ("anchor", "positive", "negative", "text", "pair") for name in parts.get(part, ()))
    target = tuple(name for part in ("label", "score", "vector") for name in parts.get(part, ()))
    for kind, needed in NEEDED.items():
        if have == needed and fits(kind, parts):
            return Shape(kind, texts, target, reason)
    raise undecided(table, found, f"{listed(sorted(have)) or 'nothing'} make no shape of data")


NEEDED: Mapping[Kind, frozenset[str]] = MappingProxyType(
    {
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
)


def fits(kind: Kind, parts: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether a shape with these parts has as many columns as it needs."""
    n_negatives = len(parts.get("negative", ()))
    return {"triplet": n_negatives == 1, "tuple": n_negatives > 1}.get(kind, True)


def undecided(table: Table, found: Mapping[str, Profile], what: str) -> DataError:
    """The question to the user, with what can be said."""
    columns = listed(f"{name} ({found[name].words()})" for name in table.columns)
    message = f"What the rows are cannot be seen: {what}. Columns: {columns}."
    remedy = (
        'Say which is which, e.g. "columns: {anchor: NAME, positive: NAME}" or "columns: {text: NAME, pair: NAME, score: NAME}".'
    )
    return DataError([Problem("data", table.source, message, remedy)])
