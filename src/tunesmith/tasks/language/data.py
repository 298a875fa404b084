"""What the run of a language model reads before it loads the model: rows as turns, general text, the checks without torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tunesmith.data.builtin import sample_folder
from tunesmith.data.chat.conversations import Conversations
from tunesmith.data.chat.load import ConversationData, load_conversations, read_texts
from tunesmith.data.checks.chat import findings_of
from tunesmith.errors import DataError, MissingExtra, Problem
from tunesmith.machine import megabytes
from tunesmith.models.source import ModelSource, find_model, stay_offline_unless_needed
from tunesmith.preflight.report import CheckLine, CheckReport
from tunesmith.preflight.static import LITTLE, disk, from_finding, trackers
from tunesmith.progress import Clock
from tunesmith.recipe.defaults import with_defaults
from tunesmith.recipe.load import LoadedRecipe
from tunesmith.recipe.sections import Recipe
from tunesmith.results import Finding
from tunesmith.run_folder import SMOKE_ROWS

GENERAL = "general"
"""The split of the texts that should not be forgotten."""
GENERAL_TEXTS = "general_text.jsonl"


@dataclass(frozen=True)
class LanguageInputs:
    """What was read before the model was loaded.

    Attributes:
        general: plain texts that should not be forgotten.
        base: the folder that the recipe's paths start from.
    """

    recipe: Recipe
    data: ConversationData
    source: ModelSource
    general: Conversations
    findings: tuple[Finding, ...]
    checks: tuple[CheckLine, ...] = ()
    base: Path = Path()

    @property
    def judged(self) -> dict[str, Conversations]:
        """The splits that the run is judged on, the most telling last."""
        return {name: rows for name, rows in self.data.named().items() if name != "train"}


def read_inputs(
    loaded: LoadedRecipe, clock: Clock, frames: Mapping[str, Any] | None = None, smoke: bool = False
) -> LanguageInputs:
    """Rows, general text and the base model's files, with the checks that need no torch.

    Raises:
        InputError: anything that keeps the run from starting.
    """
    recipe = loaded.recipe
    require_trl(recipe)
    stay_offline_unless_needed(recipe)
    with clock.phase("data"):
        data = load_conversations(recipe, loaded.base, frames)
        if data.validation is None:
            message = "there are no validation rows, and they choose the best checkpoint."
            raise DataError.one("data.validation", message, "Give data.validation a share such as 0.1, or a file.")
        if smoke:
            data = first_rows(data, SMOKE_ROWS)
        source = find_model(recipe.model, loaded.base)
        recipe = with_defaults(recipe, source.n_bytes, len(data.train))
        general = general_texts(recipe, loaded.base)
        findings = findings_of(data.named(), joined=is_joined(recipe, data, source))
        inputs = LanguageInputs(recipe, data, source, general, findings, base=loaded.base)
        inputs = replace(inputs, checks=tuple(static_checks(inputs)))
    CheckReport(inputs.checks).refuse()
    return inputs


def is_joined(recipe: Recipe, data: ConversationData, source: ModelSource) -> bool:
    """Whether prompts and completions become text without a template, as far as the model's files say."""
    if data.train.form != "prompt_completion" or recipe.sft.chat_template is not None:
        return False
    settings = Path(source.location) / "tokenizer_config.json"
    has_own = (settings.parent / "chat_template.jinja").exists()
    return not has_own and settings.exists() and "chat_template" not in settings.read_text(encoding="utf-8")


def require_trl(recipe: Recipe) -> None:
    """Raise MissingExtra where the library that trains is not installed."""
    from importlib.util import find_spec

    if find_spec("trl") is None:
        raise MissingExtra.of("trl", "language", f"task {recipe.task}")


def first_rows(data: ConversationData, count: int) -> ConversationData:
    """At most so many rows of each split, spread over it."""
    cut: dict[str, Any] = {
        name: rows.take([i * len(rows) // count for i in range(count)], name) if len(rows) > count else rows
        for name, rows in data.named().items()
    }
    return replace(data, **cut)


def general_texts(recipe: Recipe, base: Path) -> Conversations:
    """The texts that should not be forgotten: the recipe's, or those that come with tunesmith, of the model's own world."""
    if recipe.evaluate.general is not None:
        return read_texts(recipe.evaluate.general, GENERAL, base)
    found = read_texts(str(sample_folder() / GENERAL_TEXTS), GENERAL, base)
    kind = "pocket" if recipe.model.name == "builtin:pocket" else "general"
    return found.take([i for i, row in enumerate(found.rows) if row["kind"] == kind], GENERAL)


def static_checks(inputs: LanguageInputs) -> Iterator[CheckLine]:
    """Recipe, rows, findings, the model's files, disk."""
    recipe, data = inputs.recipe, inputs.data
    yield CheckLine("recipe", f"task {recipe.task}, model {recipe.model.name}, output {recipe.output}")
    for rows in data.named().values():
        n_left = sum(map(len, rows.left_out.values()))
        why = "; ".join(f"{len(ids):,} {reason}" for reason, ids in rows.left_out.items())
        shape = f"{rows.form.replace('_', ' ')}: {' + '.join(rows.columns)}"
        note = f"{n_left:,} rows of {rows.split} are not used: {why}" if n_left else ""
        yield CheckLine(f"rows of {rows.split}", f"{len(rows):,} used, {n_left:,} left out ({rows.source}; {shape})", note=note)
    yield judged_on(inputs)
    for finding in inputs.findings:
        yield from_finding(finding)
    yield is_quantised(recipe)
    yield CheckLine("model files", f"{inputs.source.kind} {inputs.source.name}, {megabytes(inputs.source.n_bytes)} of weights")
    yield disk(inputs.source, Path(recipe.output))
    yield trackers(recipe)


def judged_on(inputs: LanguageInputs) -> CheckLine:
    """What the verdict is given on, and whether it can say anything."""
    split, rows = list(inputs.judged.items())[-1]
    note = f"{split} has only {len(rows)} rows: intervals will be wide" if len(rows) < LITTLE else ""
    return CheckLine("judged on", f"{split}, {len(rows):,} rows, and {len(inputs.general):,} general texts", note=note)


def is_quantised(recipe: Recipe) -> CheckLine:
    """Whether the library behind the asked quantisation is installed."""
    from importlib.util import find_spec

    problem = None
    if recipe.quantisation is not None and find_spec("bitsandbytes") is None:
        remedy = "Run: pip install 'tunesmith[quantisation]'"
        problem = Problem("install", "quantisation", "bitsandbytes is not installed.", remedy)
    return CheckLine("quantisation", recipe.quantisation or "none", problem)
