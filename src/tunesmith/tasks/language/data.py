"""Reads and checks the conversations and texts of language models, and the general texts, without torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tunesmith.data.cells import listed, plural
from tunesmith.data.chat.formats import MESSAGE_KEYS, NOT_READ, ChatKind
from tunesmith.data.chat.load import ConversationData, load_conversation_data, read_texts
from tunesmith.data.chat.messages import unread_keys
from tunesmith.data.chat.rows import Conversations
from tunesmith.data.checks import chat as chat_checks
from tunesmith.data.checks.control_tokens import control_tokens
from tunesmith.data.column_names import plain_name
from tunesmith.data.readers.read import sample_folder
from tunesmith.data.split import at_most
from tunesmith.errors import MissingExtra
from tunesmith.models.model_files import read_settings
from tunesmith.models.source import ModelSource, file_of, find_model, special_tokens
from tunesmith.preflight.report import CheckLine
from tunesmith.preflight.static import evaluated_on, not_used, read_as, require_validation
from tunesmith.recipe.resolved import with_defaults
from tunesmith.recipe.sections import Recipe
from tunesmith.tasks.task import Request, TaskData, TaskReading

GENERAL = "general"
"""The name of the split of general texts, whose loss should not rise."""
GENERAL_TEXTS = "general_text.jsonl"


@dataclass(frozen=True, kw_only=True)
class LanguageTaskData(TaskData):
    """Conversations or texts of a recipe.

    Attributes:
        general: plain texts whose loss should not rise.
    """

    rows: ConversationData
    general: Conversations

    @property
    def evaluation_rows(self) -> dict[str, Conversations]:
        """Returns the evaluation splits, the main one last."""
        return {name: rows for name, rows in self.rows.named().items() if name != "train"}

    @property
    def all_rows(self) -> dict[str, Conversations]:
        """Returns every split and the general texts."""
        return {**self.rows.named(), GENERAL: self.general}


def read(request: Request) -> LanguageTaskData:
    """Reads rows, general texts and the base model's files. Raises InputError if they cannot be used."""
    recipe, base = request.loaded.recipe, request.loaded.base
    if find_spec("trl") is None:
        raise MissingExtra.of("trl", "language", f"task {recipe.task}")
    rows = load_conversation_data(recipe, base, request.frames)
    require_validation(rows.validation)
    cut: dict[str, Any] = {name: at_most(part, request.max_rows) for name, part in rows.named().items()}
    rows = replace(rows, **cut)
    source = find_model(recipe.model, base)
    recipe = with_defaults(recipe, source.n_bytes, len(rows.train))
    joined, tokens = is_joined(recipe, rows, source), special_tokens(source)
    findings = chat_checks.check_rows(rows.named(), joined=joined, special_tokens=tokens or ())
    findings += tuple(control_tokens((), tokens))
    return LanguageTaskData(
        recipe=recipe,
        source=source,
        base=base,
        findings=findings,
        rows=rows,
        general=at_most(general_texts(recipe, base), request.max_rows),
    )


def is_joined(recipe: Recipe, data: ConversationData, source: ModelSource) -> bool:
    """Tells whether prompts and completions are joined without a template, according to the model's files."""
    if data.train.kind != "prompt_completion" or recipe.sft.chat_template is not None or has_encoder(source):
        return False
    settings = file_of(source, "tokenizer_config.json")
    if settings is None or file_of(source, "chat_template.jinja") is not None:
        return False
    return "chat_template" not in settings.read_text(encoding="utf-8")


def has_encoder(source: ModelSource) -> bool:
    """Tells whether the model's config.json is that of an encoder-decoder, whose prompts and answers are never joined."""
    config = file_of(source, "config.json")
    return config is not None and read_settings(config, source.name).get("is_encoder_decoder") is True


def general_texts(recipe: Recipe, base: Path) -> Conversations:
    """Returns the general texts: the recipe's, or built-in ones that resemble the model's pretraining texts."""
    if recipe.evaluate.general is not None:
        return read_texts(recipe.evaluate.general, GENERAL, base)
    texts = read_texts(str(sample_folder() / GENERAL_TEXTS), GENERAL, base)
    kind = "pocket" if recipe.model.name == "builtin:pocket" else "general"
    return texts.take([i for i, row in enumerate(texts.rows) if row["kind"] == kind], GENERAL)


def check_rows(data: LanguageTaskData) -> Iterator[CheckLine]:
    """Checks the rows and the size of the evaluation split."""
    for rows in data.rows.named().values():
        n_left = sum(map(len, rows.left_out.values()))
        why = "; ".join(f"{len(ids):,} {reason}" for reason, ids in rows.left_out.items())
        description = f"{rows.kind.replace('_', ' ')}: {' + '.join(rows.columns)}"
        yield CheckLine(
            f"rows of {rows.split}",
            f"{len(rows):,} used, {n_left:,} left out ({rows.source}; {description}){': ' if why else ''}{why}",
        )
    yield from read_as(data.rows.notes)
    yield columns_line(data)
    split, rows = list(data.evaluation_rows.items())[-1]
    yield evaluated_on(split, len(rows), f", and {plural(len(data.general), 'general text')}")


def columns_line(data: LanguageTaskData) -> CheckLine:
    """Lists the columns that are read and not read; a note names tools, system prompts or a history that are not read."""
    train, given = data.rows.train, data.recipe.data.columns
    used = {*train.columns, given.id, given.group, given.split}
    unused = [name for name in (train.rows[0] if train.rows else ()) if name not in used]
    figure = " + ".join(train.columns) + not_used(unused) + unread_words(train)
    context = [name for name in unused if plain_name(name) in NOT_READ]
    are = "is" if len(context) == 1 else "are"
    note = f"the turns may depend on {listed(context)}, which {are} not read" if context else ""
    return CheckLine("columns", figure, note=note, remedy=context_remedy(train.kind, context))


def context_remedy(kind: ChatKind, unread: Sequence[str]) -> str:
    """Says how columns of context can be read: in the turns, or as the one column that is read beside them."""
    if kind in ("text", "labelled"):
        return "Write it into the text, if the answers depend on it."
    columns = " and ".join(dict.fromkeys(NOT_READ[plain_name(name)] for name in unread))
    return f"Write it into the turns, or into one column {columns}, if the answers depend on it."


def unread_words(rows: Conversations) -> str:
    """Lists the keys of messages that are not read, with the number of rows; empty if there are none."""
    if rows.kind not in MESSAGE_KEYS.values():
        return ""
    counts = Counter(key for row in rows.rows for key in sorted(unread_keys(row[rows.columns[0]])))
    shown = listed(f"{key} ({plural(n, 'row')})" for key, n in counts.most_common())
    return f"; not used in messages: {shown}" if counts else ""


READING = TaskReading(read, check_rows)
