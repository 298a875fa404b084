"""Detects the format of preference data (chosen and rejected, scores, ranks, comparisons, judgements) by names and content."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from tunesmith.data.cells import first_present, is_number, listed, plural
from tunesmith.data.chat.formats import (
    ASKED,
    CHOSEN_REJECTED,
    MESSAGES,
    context_columns,
    input_of,
    is_list_of_objects,
    message_kind,
    parse_messages,
)
from tunesmith.data.column_names import plain_name
from tunesmith.data.columns import require_column
from tunesmith.data.profile import profile
from tunesmith.data.table import Table
from tunesmith.errors import DataError, Problem
from tunesmith.recipe.sections import ColumnsSection

PreferenceKind = Literal["chosen_rejected", "compared", "two_scores", "best_of_list", "scored", "ranked", "rated", "judged"]

ANSWER = ("completion", "response", "answer", "output", "reply", "generation", "text")
ANSWERS = ("completions", "responses", "answers", "outputs", "replies", "generations", "candidates")
ENDS = (("_a", "_b"), ("_0", "_1"), ("_1", "_2"), ("0", "1"), ("1", "2"), ("a", "b"))
"""What follows the same name in the names of two columns."""
TWO_ANSWERS = tuple(
    (f"{name}{first}", f"{name}{second}")
    for name in (*ANSWER, "summary", "conversation", "human_ref")
    for first, second in ENDS
)  # fmt: skip
WINNER = (
    "winner", "preference", "preferred", "better_response_id", "better", "choice", "chosen", "label", "overall_preference",
    "annotation", "preference_strength",
)  # fmt: skip
WINNERS = ("winner_model_a", "winner_model_b")
"""Two columns of 0 and 1 in the place of one of winners, as in lmsys-arena-human-preference-55k."""
BEST = ("choice", "best", "best_index", "chosen_index")
SCORES = ("scores", "ratings", "rewards", "score", "rating", "reward")
RANKS = ("ranks", "ranking", "rankings", "rank")
SCORE = ("score", "rating", "reward", "overall_score", "overall_rating", "helpfulness", "quality")
JUDGEMENT = (
    "label",
    "labels",
    "desirable",
    "is_desirable",
    "thumbs_up",
    "liked",
    "feedback",
    "good",
    "is_good",
    "accepted",
    "kto_tag",
)
MARGIN = ("margin", "margins")
OBJECT_TEXT = ("text", "response", "completion", "answer", "output", "content", "generation")
OBJECT_SCORE = ("score", "overall_score", "rating", "overall_rating", "reward")
OBJECT_RANK = ("rank", "ranking")
OBJECT_PROMPT = ("full_text", "post", "article")
"""Keys of a prompt that is an object, as in the comparisons of WebGPT and of summaries."""
OPEN_DIALOGUES = (*MESSAGES, "history")
"""Usual names of dialogues that an answer follows."""
SHOWN_FORMATS = (
    "prompt, chosen and rejected (or chosen and rejected dialogues); prompt, response_a, response_b and winner; prompt, "
    "responses and scores (or ranks); prompt, response and score; prompt, completion and label (true or false)"
)


@dataclass(frozen=True)
class PreferenceFormat:
    """The format of preference data.

    Attributes:
        columns: part -> column: ``prompt``, ``chosen``, ``rejected``, ``margin``, ``completion``, ``second`` (the second of two
            compared answers), ``score``, ``second_score``, ``rank``, ``label``, ``second_label``; and the context of the prompt:
            ``input`` (of an instruction), ``system``, ``history``, ``tools``.
        reason: why this format was chosen, for the user.
    """

    kind: PreferenceKind
    columns: Mapping[str, str]
    reason: str

    @property
    def is_judged(self) -> bool:
        """Tells whether a row is one answer that is judged good or bad."""
        return self.kind == "judged"

    def sentence(self) -> str:
        """Describes the format: ``chosen and rejected answers in prompt + chosen + rejected, by their usual names``."""
        return f"{KINDS[self.kind]} in {' + '.join(self.columns.values())}, {self.reason}"


KINDS: Mapping[PreferenceKind, str] = {
    "chosen_rejected": "chosen and rejected answers",
    "compared": "two answers and which of them is better",
    "two_scores": "two answers with a score each",
    "best_of_list": "lists of answers with the position of the best",
    "scored": "lists of answers with scores",
    "ranked": "lists of answers with ranks",
    "rated": "answers with a score, compared within each prompt",
    "judged": "single answers that are good or bad",
}
BY_NAME = "by their usual names"
IN_RECIPE = "named in the recipe"


def detect_preference_format(table: Table, given: ColumnsSection) -> PreferenceFormat:
    """Detects the format of a table's rows, and the columns of context before their prompts.

    Args:
        given: the columns that the recipe names. One that is named decides which formats are possible.

    Raises DataError with the known formats if none fits.
    """
    roles = Roles(table, given)
    for detect in (chosen_rejected, compared, answer_lists, best_of_list, one_answer):
        found = detect(roles)
        if found is not None:
            break
    else:
        raise undecided(roles)
    used = {*found.columns.values(), given.id, given.group, given.split}
    columns = {**found.columns, **context_columns(table, used)}
    beside = input_of(table, columns["prompt"]) if "prompt" in columns else None
    return replace(found, columns={**columns, "input": beside} if beside and beside not in used else columns)


@dataclass(frozen=True)
class Roles:
    """A table whose columns are given roles."""

    table: Table
    given: ColumnsSection

    def named(self, part: str) -> str | None:
        """Returns the column that the recipe names for a part. Raises DataError if the table lacks it."""
        name = getattr(self.given, part)
        if isinstance(name, list):
            message = f"columns.{part} is one column here, and several are named."
            raise DataError.one(self.table.source, message, "Name one column.")
        return None if name is None else require_column(self.table, name, part)

    def usual(self, names: Sequence[str], fits: Callable[[Sequence[Any]], bool]) -> str | None:
        """Returns the first column with a usual name whose cells fit; those that the recipe names for a role are not taken."""
        by_name = {plain_name(name): name for name in self.table.columns}
        for plain in names:
            name = by_name.get(plain)
            if name is not None and name not in self.taken and fits(first_present(self.table.columns[name])):
                return name
        return None

    @property
    def taken(self) -> set[object]:
        """Returns the columns that the recipe names for what is no part of the answers."""
        return {self.given.id, self.given.group, self.given.split}

    def prompt(self) -> dict[str, str]:
        """Returns the column of prompts, if there is one."""
        name = self.named("prompt") or self.usual(ASKED, are_prompts) or self.usual(OPEN_DIALOGUES, are_open)
        return {} if name is None else {"prompt": name}

    def columns_of(self, **parts: str | None) -> dict[str, str]:
        """Returns the columns of the parts that were found, the prompt first."""
        return {**self.prompt(), **{part: name for part, name in parts.items() if name is not None}}

    def reason(self, *parts: str) -> str:
        """Says whether the recipe or the usual names told these parts."""
        return IN_RECIPE if any(getattr(self.given, part) is not None for part in parts) else BY_NAME


def are_texts(cells: Sequence[Any]) -> bool:
    """Tells whether cells are texts, also such as are JSON, or numbers, or lists of messages."""
    return bool(cells) and all(
        not isinstance(cell, list | tuple | Mapping) or message_kind(parse_messages(cell)) is not None for cell in cells
    )


def are_prompts(cells: Sequence[Any]) -> bool:
    """Tells whether cells are texts, lists of messages, or objects that hold the text of a prompt."""
    return bool(cells) and all(
        (isinstance(cell, Mapping) and cell.keys() & {*OBJECT_PROMPT}) or are_texts([cell]) for cell in cells
    )


def are_open(cells: Sequence[Any]) -> bool:
    """Tells whether cells are prompts, and not conversations that are answered already."""
    turns = [parse_messages(cell) for cell in cells]
    ends = [cell[-1] for cell in turns if message_kind(cell)]
    answered = [end for end in ends if str(end.get("role", end.get("from"))).casefold() in ("assistant", "gpt")]
    return are_prompts(cells) and not answered


def are_lists(cells: Sequence[Any]) -> bool:
    """Tells whether cells are lists of texts or of other things than messages."""
    parsed = [parse_messages(cell) for cell in cells]
    return bool(cells) and all(isinstance(cell, list | tuple) and message_kind(cell) is None for cell in parsed)


def are_lists_of_numbers(cells: Sequence[Any]) -> bool:
    parsed = [parse_messages(cell) for cell in cells]
    return are_lists(cells) and all(item is None or is_number(item) for cell in parsed for item in cell)


def are_numbers(cells: Sequence[Any]) -> bool:
    return bool(cells) and all(is_number(cell) for cell in cells)


def are_positions(cells: Sequence[Any]) -> bool:
    return bool(cells) and all(is_number(cell) and float(cell) >= 0 and float(cell).is_integer() for cell in cells)


def are_short(cells: Sequence[Any]) -> bool:
    """Tells whether cells are words or numbers, not texts."""
    return bool(cells) and all(isinstance(cell, bool | int | float) or len(str(cell)) <= 24 for cell in cells)


def chosen_rejected(roles: Roles) -> PreferenceFormat | None:
    """Detects a column of better and one of worse answers."""
    chosen, rejected = roles.named("chosen"), roles.named("rejected")
    if (chosen is None) != (rejected is None):
        given, other = ("chosen", "rejected") if rejected is None else ("rejected", "chosen")
        pair = next((pair for pair in CHOSEN_REJECTED if other in pair and roles.usual((other,), bool)), None)
        missing = roles.usual((other,), bool) if pair else None
        if missing is None:
            message = f"columns.{given} is given, and columns.{other} is not."
            raise DataError.one(roles.table.source, message, f"Columns: {listed(roles.table.columns)}.")
        chosen, rejected = (chosen or missing, rejected or missing)
    names_others = any(getattr(roles.given, part) is not None for part in ("completion", "score", "label"))
    for names in () if chosen or names_others else CHOSEN_REJECTED:
        found = [roles.usual((name,), are_texts) for name in names]
        if all(found):
            chosen, rejected = found
            break
    if chosen is None or rejected is None:
        return None
    columns = roles.columns_of(chosen=chosen, rejected=rejected, margin=roles.named("margin") or roles.usual(MARGIN, are_numbers))
    return PreferenceFormat("chosen_rejected", columns, roles.reason("chosen", "rejected"))


def compared(roles: Roles) -> PreferenceFormat | None:
    """Detects two columns of answers, with a column that says which of them is better or a score for each."""
    named = roles.given.completion if isinstance(roles.given.completion, list) else None
    if named is not None and len(named) != 2:
        message = f"columns.completion names {plural(len(named), 'column')}; a comparison has two answers."
        raise DataError.one(roles.table.source, message, "Name both: completion: [response_a, response_b].")
    if named is not None:
        pair = [require_column(roles.table, name, "completion") for name in named]
    else:
        pairs = ([roles.usual((name,), are_texts) for name in names] for names in TWO_ANSWERS)
        pair = next(([first, second] for first, second in pairs if first and second), [])
    label = roles.given.label
    if not pair or isinstance(label, list):
        return None
    winner = require_column(roles.table, label, "label") if label else roles.usual(WINNER, are_short)
    winners = (winner, None) if winner else [roles.usual((name,), are_short) for name in WINNERS]
    scores = () if winners[0] else scores_of(roles, pair)
    if not winners[0] and not scores:
        return None
    prompt = {} if plain_name(pair[0]).startswith("conversation") else roles.prompt()
    columns = {**prompt, "completion": pair[0], "second": pair[1]}
    if scores:
        return PreferenceFormat("two_scores", {**columns, **scores}, roles.reason("completion", "score"))
    columns |= {part: name for part, name in zip(("label", "second_label"), winners, strict=True) if name is not None}
    return PreferenceFormat("compared", columns, roles.reason("completion", "label"))


def scores_of(roles: Roles, pair: Sequence[str]) -> dict[str, str]:
    """Returns the columns of the scores of two answers: those of the recipe, or with the same ends of their names."""
    named = roles.given.score
    if isinstance(named, list) and len(named) == 2:
        return {part: require_column(roles.table, name, "score") for part, name in zip(SCORE_PARTS, named, strict=True)}
    ends = next(
        (two for two in ENDS if all(plain_name(name).endswith(end) for name, end in zip(pair, two, strict=True))), ("", "")
    )
    for name in OBJECT_SCORE:
        scores = [roles.usual((f"{name}{end}",), are_numbers) for end in ends if end]
        if scores and all(scores):
            return {part: str(score) for part, score in zip(SCORE_PARTS, scores, strict=True)}
    return {}


SCORE_PARTS = ("score", "second_score")


def best_of_list(roles: Roles) -> PreferenceFormat | None:
    """Detects lists of answers with the position of the best one, counted from 0."""
    if roles.given.score is not None or roles.given.label is not None:
        return None
    answers = roles.named("completion") if isinstance(roles.given.completion, str) else None
    answers = answers or roles.usual(("summaries", *ANSWERS), are_lists)
    best = roles.usual(BEST, are_positions)
    if answers is None or best is None:
        return None
    prompt = roles.prompt() or {part: name for part, name in [("prompt", roles.usual(("info",), are_prompts))] if name}
    return PreferenceFormat("best_of_list", {**prompt, "completion": answers, "label": best}, roles.reason("completion"))


def answer_lists(roles: Roles) -> PreferenceFormat | None:
    """Detects lists of answers, with lists of scores or ranks beside them or with both in objects."""
    answers = roles.named("completion") if isinstance(roles.given.completion, str) else None
    if answers is not None and not are_lists(first_present(roles.table.columns[answers])):
        return None
    answers = answers or roles.usual(ANSWERS, are_lists)
    if answers is None:
        return None
    cells, prompt = first_present(roles.table.columns[answers]), roles.prompt()
    reason = roles.reason("completion", "score")
    for kind, keys, names in object_keys():
        if all(is_list_of_objects(parse_messages(cell)) and has_keys(cell, keys) for cell in cells):
            text = f"since {answers!r} holds lists of {{{', '.join(found_keys(cells[0], keys, names))}}}"
            return PreferenceFormat(kind, {**prompt, "completion": answers}, text)
    scores = roles.named("score") or roles.usual(SCORES, are_lists_of_numbers)
    if scores is not None:
        return PreferenceFormat("scored", {**prompt, "completion": answers, "score": scores}, reason)
    ranks = roles.usual(RANKS, are_lists_of_numbers)
    if ranks is not None:
        return PreferenceFormat("ranked", {**prompt, "completion": answers, "rank": ranks}, reason)
    return None


def object_keys() -> Iterator[tuple[PreferenceKind, tuple[str, ...], tuple[str, ...]]]:
    """Yields the kinds of lists of objects, with the keys of which one has to be there."""
    yield "scored", OBJECT_SCORE, OBJECT_TEXT
    yield "ranked", OBJECT_RANK, OBJECT_TEXT


def has_keys(cell: object, keys: Sequence[str]) -> bool:
    """Tells whether each object of a list has a text and one of these keys."""
    items = parse_messages(cell)
    return bool(items) and all(set(keys) & set(item) and set(OBJECT_TEXT) & set(item) for item in items)


def found_keys(cell: object, keys: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Returns the keys of the text and of the value in the first object of a list."""
    item = parse_messages(cell)[0]
    return [next(key for key in names if key in item) for names in (texts, keys)]


def one_answer(roles: Roles) -> PreferenceFormat | None:
    """Detects one answer a row, with a judgement or a score."""
    answer = roles.named("completion") if isinstance(roles.given.completion, str) else roles.usual(ANSWER, are_texts)
    answer = answer or roles.usual(MESSAGES, are_texts)
    prompt = roles.prompt()
    if answer is None or prompt.get("prompt") == answer:
        return None
    columns, reason = {**prompt, "completion": answer}, roles.reason("completion", "label", "score")
    label = roles.given.label
    if isinstance(label, str):
        return PreferenceFormat("judged", {**columns, "label": require_column(roles.table, label, "label")}, reason)
    score = roles.named("score")
    if score is None and (judged := roles.usual(JUDGEMENT, are_short)) is not None:
        return PreferenceFormat("judged", {**columns, "label": judged}, reason)
    score = score or roles.usual(SCORE, are_numbers)
    rank = roles.usual(("rank",), are_numbers) if score is None else None
    if score is None and rank is None:
        return None
    if not prompt:
        message = "answers with a score are compared with other answers to the same prompt, and there is no column of prompts."
        raise DataError.one(roles.table.source, message, 'Name it: "columns: {prompt: NAME}".')
    return PreferenceFormat("rated", {**columns, **({"rank": rank} if rank else {"score": str(score)})}, reason)


def undecided(roles: Roles) -> DataError:
    """Asks the user for the columns, naming what is missing where half of a pair is there."""
    table = roles.table
    sides = ("chosen", "rejected")
    found, missing = ([name for name in sides if (name in table.columns) is is_there] for is_there in (True, False))
    what = "no columns have the names and contents of one"
    if found:
        what = (
            f"there is a column {found[0]!r} and no {missing[0]!r}"
            if missing
            else f"{listed(sides)} hold neither texts nor messages"
        )
    columns = listed(f"{name} ({profile(cells).words()})" for name, cells in table.columns.items())
    message = f"The format of the preferences cannot be detected: {what}. Columns: {columns}. Known formats: {SHOWN_FORMATS}."
    remedy = (
        'Name them in the recipe: "columns: {prompt: NAME, chosen: NAME, rejected: NAME}", or '
        "{prompt: NAME, completion: [NAME, NAME], label: NAME}."
    )
    return DataError([Problem("data", table.source, message, remedy)])
