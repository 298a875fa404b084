"""Tests a reward on good answers and on spoilt ones, before a model is trained on it (``reward-test``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.data.chat.load import read_chat_rows
from tunesmith.data.chat.rows import Conversations, first_prompt
from tunesmith.data.readers.given import read_rows_or_text
from tunesmith.data.row_clusters import row_clusters
from tunesmith.errors import DataError
from tunesmith.evaluation.metrics.means import mean_metric, mean_verdict
from tunesmith.evaluation.metrics.resample import Resampling, cluster_numbers
from tunesmith.evaluation.metrics.verdict import holm
from tunesmith.evaluation.reward_variants import UNFINISHED, variants_of
from tunesmith.evaluation.rewards import Completions, RewardSource
from tunesmith.models.chat.template import to_messages
from tunesmith.models.reward.source import load_source
from tunesmith.progress import Event, Listener, silent
from tunesmith.recipe.load import recipe_from_mapping
from tunesmith.results import Metric, Verdict

if TYPE_CHECKING:
    from tunesmith.generation.decode import GeneratedText

GOLD, GENERATED = "gold", "generated"
KEY = "reward"
FEW = 20
"""Below so many rows a note warns that little can be told."""


@dataclass(frozen=True)
class VariantResult:
    """What a reward says about one kind of answers.

    Attributes:
        reward: the mean over the rows whose variant differs from the good answer, with its interval.
        verdict: the good answers against it; None for the good answers themselves, and where no row differs.
        n_preferred: rows in which the variant has the higher reward.
        n_tied: rows in which both have the same.
    """

    name: str
    reward: Metric | None
    verdict: Verdict | None
    n_preferred: int = 0
    n_tied: int = 0


@dataclass(frozen=True)
class RewardTest:
    """The result of a test.

    Attributes:
        variants: the good answers first.
        notes: messages for the user.
    """

    reward: str
    n_rows: int
    variants: tuple[VariantResult, ...]
    notes: tuple[str, ...] = ()

    @property
    def preferred(self) -> list[str]:
        """Names the spoilt answers that the reward prefers to good ones, by verdict."""
        return [v.name for v in self.variants if v.verdict is not None and v.verdict.word == "worse"]

    @property
    def untold(self) -> list[str]:
        """Names the spoilt answers that the reward is not shown to tell from good ones."""
        return [v.name for v in self.variants if v.verdict is not None and v.verdict.word == "cannot tell"]


def reward_test(
    reward: str,
    data: object,
    *,
    columns: Mapping[str, Any] | None = None,
    model: str | None = None,
    max_new_tokens: int = 64,
    seed: int = 0,
    listener: Listener = silent,
) -> RewardTest:
    """Scores good answers, spoilt ones, and those of a model, and gives the verdict on each: can the reward tell them apart?

    Args:
        reward: a reward function of a file as recipes name it, or a run of task: reward.
        data: prompts with good answers, in any format of ``task: sft``.
        model: a language model whose answers are scored as well, such as the model to be trained.

    Raises InputError if the rows or the reward cannot be used: a function that fails, a wrong number of rewards, rewards that are
    no finite numbers.
    """
    source = load_source(reward, Path(), KEY)
    table = read_rows_or_text(data, listener)
    recipe = recipe_from_mapping({"task": "sft", "data": {"train": table.source, "columns": dict(columns or {})}}, "columns")
    rows = read_chat_rows(table, "test", recipe, [])
    if rows.kind == "text":
        message = "these are plain texts, and a reward is that of an answer to a prompt."
        raise DataError.one(table.source, message, "Give prompts and answers, or conversations that end with one.")
    answers = [turns[-1].text for turns in rows.turns]
    spoilt = variants_of(answers, seed)
    finished = {name: [False] * len(answers) for name in UNFINISHED}
    if model is not None:
        listener(Event("phase", "generating"))
        generated = generated_answers(model, rows, max_new_tokens, seed)
        spoilt[GENERATED] = [answer.text.strip() for answer in generated]
        finished[GENERATED] = [answer.finished for answer in generated]
    listener(Event("phase", "rewards"))
    given = {name: rewards_of(source, rows, texts, finished.get(name)) for name, texts in spoilt.items()}
    good = rewards_of(source, rows, answers)
    clusters = row_clusters([first_prompt(turns) for turns in rows.turns], groups=rows.groups)
    results = [VariantResult(GOLD, mean_metric("reward", "test", [good], of_clusters(clusters, seed)), None)]
    for name, values in given.items():
        differs = np.array([text != answer for text, answer in zip(spoilt[name], answers, strict=True)])
        results.append(compared(name, good[differs], values[differs], of_clusters(clusters[differs], seed)))
    return RewardTest(reward, len(rows), with_holm(results), tuple(notes_on(rows, good)))


def of_clusters(clusters: Array, seed: int) -> Resampling:
    return Resampling(seed=seed).of_rows(cluster_numbers(clusters))


def compared(name: str, good: Array, values: Array, resampling: Resampling) -> VariantResult:
    """Compares good answers with a variant of them on the same rows."""
    if not len(good):
        return VariantResult(name, None, None)
    return VariantResult(
        name,
        mean_metric("reward", "test", [values], resampling),
        mean_verdict("reward", [good], [values], name, "test", resampling),
        int((values > good).sum()),
        int((values == good).sum()),
    )


def with_holm(results: Sequence[VariantResult]) -> tuple[VariantResult, ...]:
    """Adjusts the verdicts, which are one family."""
    verdicts = iter(holm([result.verdict for result in results if result.verdict is not None]))
    return tuple(
        result
        if result.verdict is None
        else VariantResult(result.name, result.reward, next(verdicts), result.n_preferred, result.n_tied)
        for result in results
    )


def rewards_of(source: RewardSource, rows: Conversations, texts: Sequence[str], finished: Sequence[bool] | None = None) -> Array:
    """Returns the reward of each answer (N). Raises RecipeError as the source does, and where it applies to no answer."""
    prompts = prompts_of(rows)
    completions: list[Any] = [
        [{"role": "assistant", "content": text}] if isinstance(prompt, list) else text
        for prompt, text in zip(prompts, texts, strict=True)
    ]
    columns = {name: [row.get(name) for row in rows.rows] for name in (rows.rows[0] if rows.rows else ())}
    ids: list[Sequence[int]] = [()] * len(rows)
    values = source.rewards(Completions(prompts, completions, ids, columns, finished))
    missing = [i for i, value in enumerate(values) if value is None]
    if missing:
        message = (
            f"it gives no reward (None) to {plural(len(missing), 'answer')}, such as that of row {rows.row_ids[missing[0]]}."
        )
        raise DataError.one(f"{KEY} {source.reference}", message, "Test it on rows that it applies to.")
    return np.array(values, dtype=np.float64)


def prompts_of(rows: Conversations) -> list[Any]:
    """Returns each prompt as a text, or as messages where it has several turns."""
    return [turns[0].content if len(turns) < 3 else to_messages(turns[:-1]) for turns in rows.turns]


def generated_answers(model: str, rows: Conversations, max_new_tokens: int, seed: int) -> list[GeneratedText]:
    """Samples an answer of a model to each prompt."""
    from tunesmith.generation.generator import generate

    found = generate(model, prompts_of(rows), max_new_tokens=max_new_tokens, do_sample=True, seed=seed)
    return [of_prompt[0] for of_prompt in found]


def notes_on(rows: Conversations, good: Array) -> list[str]:
    """Lists what limits the test: few rows, left-out rows, and a reward that is the same for all good answers."""
    notes = [f"{plural(len(ids), 'row')} {reason} not tested" for reason, ids in rows.left_out.items()]
    if len(rows) < FEW:
        notes.append(f"{plural(len(rows), 'row')} can tell little: give {FEW} or more")
    if len(rows) > 1 and np.ptp(good) == 0:
        notes.append("every good answer has the same reward: a policy that gives good answers has nothing to learn from it")
    return notes
