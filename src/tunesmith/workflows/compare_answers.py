"""Compares language models of any task by the reward of their sampled answers to the same prompts (``compare --reward``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.data.chat.load import read_tables
from tunesmith.data.chat.prompts import detect_prompt_format, usable_prompts
from tunesmith.data.chat.rows import Conversations, first_prompt
from tunesmith.data.readers.given import read_rows_or_text
from tunesmith.data.row_clusters import row_clusters
from tunesmith.data.run_rows import held_out, record_of, run_of_model
from tunesmith.data.table import Table
from tunesmith.errors import DataError, InputError
from tunesmith.evaluation.metrics.answers import repetition
from tunesmith.evaluation.metrics.means import mean_metric, mean_verdict
from tunesmith.evaluation.metrics.resample import Resampling, cluster_numbers
from tunesmith.evaluation.metrics.verdict import holm
from tunesmith.evaluation.rewards import RewardSource
from tunesmith.models.reward.source import load_source
from tunesmith.progress import Event, Listener, silent
from tunesmith.recipe.sections import ColumnsSection, Recipe
from tunesmith.results import Metric, Verdict
from tunesmith.tasks.finished import Run
from tunesmith.workflows.predict import columns_section
from tunesmith.workflows.reward_test import prompts_of, rewards_of

SPLIT, KEY = "test", "reward"
NO_ROOM = "whose prompt and answer do not fit into the positions of a model"


@dataclass(frozen=True)
class SampledAnswers:
    """One sampled answer of a model to each prompt (N); ``has_room`` tells the prompts that fit into its positions."""

    texts: tuple[str, ...]
    n_tokens: tuple[int, ...]
    finished: tuple[bool, ...]
    has_room: tuple[bool, ...]


@dataclass(frozen=True)
class ComparedModel:
    """A model with the means of its answers: ``reward``, ``answer_tokens``, ``repetition``, ``finished``."""

    name: str
    metrics: tuple[Metric, ...]


@dataclass(frozen=True)
class AnswerComparison:
    """Models and the verdicts of the first against each other one.

    Attributes:
        notes: what was left out, for the user.
    """

    reward: str
    n_prompts: int
    models: tuple[ComparedModel, ...]
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]


def compare_answers(
    models: Sequence[str | Path | Run],
    reward: str,
    data: object = None,
    *,
    columns: ColumnsSection | Mapping[str, Any] | None = None,
    max_new_tokens: int = 64,
    seed: int = 0,
    listener: Listener = silent,
) -> AnswerComparison:
    """Samples an answer of each model to each prompt, by the same random numbers, and compares their rewards pair by pair.

    Args:
        models: runs of language models of any task, or other language models.
        reward: a function, by its file and name as in recipes, or a run of task: reward.
        data: prompts. Default: those that the first run held out, less those that another one learnt from.

    Raises InputError if the prompts, the reward or a model cannot be used.

    Example::

        tunesmith.compare_answers(["runs/ppo", "runs/sft"], "runs/gold").verdicts[0].word
    """
    names = [str(model.folder if isinstance(model, Run) else model) for model in models]
    if len(names) < 2:
        raise InputError.one("compare", "two models are needed.", "tunesmith compare RUN RUN --reward REWARD")
    source = load_source(reward, Path(), KEY)
    rows = held_out_prompts(names) if data is None else given_prompts(data, columns_section(columns), listener)
    answers = []
    for name in names:
        listener(Event("note", f"answers of {name}"))
        listener(Event("phase", "generating"))
        answers.append(sample_each(name, rows, max_new_tokens, seed))
    kept = with_room(rows, answers, max_new_tokens)
    notes = [f"{plural(len(ids), 'row')} {reason} left out" for reason, ids in rows.left_out.items()]
    if len(kept) < len(rows):
        notes.append(f"{plural(len(rows) - len(kept), 'prompt')} {NO_ROOM} left out")
    listener(Event("phase", "rewards"))
    rows = rows.take(kept, rows.split)
    found = [values_of(source, rows, of_model, kept) for of_model in answers]
    return comparison_of(names, found, clusters_of(rows, seed), AnswerComparison(reward, len(rows), (), (), tuple(notes)))


def clusters_of(rows: Conversations, seed: int) -> Resampling:
    """Returns resamples in which nearly equal prompts, and those of one group, stay together."""
    clusters = row_clusters([first_prompt(turns) for turns in rows.turns], groups=rows.groups)
    return Resampling(seed=seed).of_rows(cluster_numbers(clusters))


def comparison_of(
    names: Sequence[str], values: Sequence[Mapping[str, Array]], resampling: Resampling, empty: AnswerComparison
) -> AnswerComparison:
    """Adds the means of each model's values, and the verdicts of the first model's rewards, to a comparison."""
    rewards = [of_model[KEY] for of_model in values]
    verdicts = [
        mean_verdict(KEY, [rewards[0]], [other], name, SPLIT, resampling)
        for name, other in zip(names[1:], rewards[1:], strict=True)
    ]
    compared = [
        ComparedModel(name, tuple(mean_metric(metric, SPLIT, [column], resampling) for metric, column in of_model.items()))
        for name, of_model in zip(names, values, strict=True)
    ]
    return replace(empty, models=tuple(compared), verdicts=tuple(holm(verdicts)))


def with_room(rows: Conversations, answers: Sequence[SampledAnswers], max_new_tokens: int) -> list[int]:
    """Returns the positions of the prompts that leave room for an answer in every model. Raises DataError if there is none."""
    kept = [i for i in range(len(rows)) if all(of_model.has_room[i] for of_model in answers)]
    if not kept:
        message = f"none of {plural(len(rows), 'prompt')} leaves room for {plural(max_new_tokens, 'token')} in every model."
        raise DataError.one(rows.source, message, "Lower --max-new-tokens, or give shorter prompts.")
    return kept


def given_prompts(data: object, columns: ColumnsSection, listener: Listener) -> Conversations:
    """Reads the prompts of a file or a table in memory."""
    return prompts_of_table(read_rows_or_text(data, listener), columns)


def prompts_of_table(table: Table, columns: ColumnsSection) -> Conversations:
    return usable_prompts(table, detect_prompt_format(table, columns), SPLIT, columns)


def held_out_prompts(names: Sequence[str]) -> Conversations:
    """Reads the prompts that the first run held out, less those that another run on the same file did not hold out.

    Raises InputError if the first model is no run, or no such prompt is left.
    """
    first, *others = (run_of_model(Path(name)) for name in names)
    if first is None:
        message = "it is no finished run, whose held-out prompts the models could answer."
        raise InputError.one(names[0], message, "Give prompts: --data FILE.")
    recipe = Recipe.model_validate(record_of(first)["recipe"])
    tables = read_tables(recipe, Path(), {}, [])
    file = next((tables[split] for split in (SPLIT, "validation") if recipe.data.file(split) and split in tables), None)
    if file is not None:
        return prompts_of_table(file, recipe.data.columns)
    rows = prompts_of_table(tables["train"], recipe.data.columns)
    ids = ids_held_out(first, rows.sha256)
    for other in others:
        if other is not None and (theirs := held_out(record_of(other), rows.sha256)):
            ids &= frozenset().union(*theirs.values())
    kept = [i for i, row_id in enumerate(rows.row_ids) if row_id in ids]
    if not kept:
        message = f"there is no prompt that {names[0]} was evaluated on and that no other run learnt from."
        raise DataError.one(
            rows.source, message, "Train with the same held-out rows (data.split_as), or give prompts: --data FILE."
        )
    return rows.take(kept, SPLIT)


def ids_held_out(run: Path, sha256: str) -> frozenset[int]:
    """Returns the rows of its training file that a run was evaluated on: test, else validation."""
    splits = held_out(record_of(run), sha256)
    return splits.get(SPLIT, splits.get("validation", frozenset()))


def sample_each(name: str, rows: Conversations, max_new_tokens: int, seed: int) -> SampledAnswers:
    """Samples an answer to each prompt that leaves room for one; the random numbers belong to the row, whatever the model."""
    from tunesmith.generation.decode import model_end_ids
    from tunesmith.generation.generator import load_text_generator
    from tunesmith.generation.sampling import Sampling, sample_answers
    from tunesmith.generation.token_text import continuation

    writer = load_text_generator(name)
    prompts = [writer.prompt_ids(prompt) for prompt in prompts_of(rows)]
    room = tuple(writer.has_room(ids, max_new_tokens) for ids in prompts)
    fitting = [i for i, fits in enumerate(room) if fits]
    sampling = Sampling(max_new_tokens, seed=(seed,))
    tokens: list[list[int]] = [[] for _ in prompts]
    sampled = sample_answers(writer.model, writer.tokenizer, [prompts[i] for i in fitting], sampling, rows=fitting)
    for i, of_prompt in zip(fitting, sampled, strict=True):
        tokens[i] = of_prompt
    ends = set(model_end_ids(writer.model, writer.tokenizer))
    befores = prompts if writer.continues else [[]] * len(prompts)
    texts = [continuation(writer.tokenizer, before, of_prompt) for before, of_prompt in zip(befores, tokens, strict=True)]
    return SampledAnswers(
        tuple(text.strip() for text in texts),
        tuple(map(len, tokens)),
        tuple(bool(of_prompt) and of_prompt[-1] in ends for of_prompt in tokens),
        room,
    )


def values_of(source: RewardSource, rows: Conversations, answers: SampledAnswers, kept: Sequence[int]) -> dict[str, Array]:
    """Returns metric -> its value of each kept answer (N). Raises DataError where the reward does not apply to one."""
    texts, finished = [answers.texts[i] for i in kept], [answers.finished[i] for i in kept]
    return {
        KEY: rewards_of(source, rows, texts, finished),
        "answer_tokens": np.array([answers.n_tokens[i] for i in kept], dtype=np.float64),
        "repetition": np.array([repetition(text) for text in texts], dtype=np.float64),
        "finished": np.array(finished, dtype=np.float64),
    }
