"""Trains in rounds on the model's own answers: samples them, has them annotated, learns from the pairs, and gives a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.data.chat.rows import Conversations, first_prompt
from tunesmith.data.preferences.comparisons import Better, in_random_order, read_comparisons, write_comparisons
from tunesmith.data.preferences.sampled import (
    MadePairs,
    SampledAnswer,
    SampledPrompt,
    compared,
    pairs_by_reward,
    pairs_to_compare,
    preference_pairs,
    read_sampled,
    shown_prompt,
    write_sampled,
)
from tunesmith.data.preferences.written import write_pairs
from tunesmith.data.row_clusters import row_clusters
from tunesmith.errors import DataError
from tunesmith.evaluation.metrics.resample import Resampling, cluster_numbers
from tunesmith.progress import Event, Listener, silent
from tunesmith.recipe.load import LoadedRecipe
from tunesmith.results import Alarm
from tunesmith.run_folder import RESULT
from tunesmith.workflows.round_plan import Plan, plan_of
from tunesmith.workflows.round_results import (
    HELD_OUT,
    Round,
    Rounds,
    compared_verdicts,
    metrics_of,
    over_optimised,
    reward_verdicts,
    write_record,
)
from tunesmith.workflows.several_runs import train_on_pairs

if TYPE_CHECKING:
    from tunesmith.tasks.preference.policy import Policy

SAMPLED, ANNOTATE, COMPARE, HELD = "sampled.jsonl", "annotate.csv", "compare.csv", "held-out.jsonl"
SAMPLE_NUMBERS, HELD_NUMBERS, ORDER_NUMBERS, PROMPT_NUMBERS = 10, 11, 12, 13
"""First part of the seeds of sampled answers, of those to held-out prompts, of the order of two answers, and of prompts."""


@dataclass
class Progress:
    """What is finished: the held-out answers of the first model and of each round, and how its pairs were made."""

    held: list[list[SampledPrompt]] = field(default_factory=list)
    sampled: list[list[SampledPrompt]] = field(default_factory=list)
    made: list[MadePairs] = field(default_factory=list)
    shares: dict[int, Array] = field(default_factory=dict)
    waiting: list[Path] = field(default_factory=list)


def rounds(loaded: LoadedRecipe, *, listener: Listener = silent) -> Rounds:
    """Runs the rounds of a recipe, as far as they are not finished and need no person; the next call goes on.

    Each round samples answers of the model so far, makes pairs of them by the rewards or by a file that a person fills in,
    trains the recipe's method on the pairs from that model, and compares the answers to the held-out prompts before and after.

    Raises InputError if the recipe, the rows, a reward or a filled-in file cannot be used, or the recipe is another one than
    that of the finished rounds.
    """
    plan = plan_of(loaded, listener)
    n = plan.section.n
    while (plan.run(n + 1) / RESULT).exists():
        n += 1
    progress = Progress(held=[held_out(plan, 0)])
    found = found_so_far(plan, progress)
    for number in range(1, n + 1):
        if not run_round(plan, number, progress):
            break
        found = found_so_far(plan, progress)
        if plan.recipe.rewards.stop_at_turn and found.alarms and any(a.name == "over-optimised" for a in found.alarms):
            note = f"stopped after round {number}, since the gold reward turned (rewards.stop_at_turn)"
            found = replace(found, notes=(*found.notes, note))
            break
    found = replace(found, waiting=tuple(progress.waiting))
    write_record(found)
    return found


def run_round(plan: Plan, number: int, progress: Progress) -> bool:
    """Runs one round, as far as it is not finished; returns whether its training is, or else a person has to annotate first."""
    sampled = sampled_for(plan, number)
    made = annotated(plan, number, sampled)
    if made is None:
        progress.waiting.append(plan.place(number) / ANNOTATE)
        return False
    require_pairs(plan, number, made)
    train_round(plan, number, made)
    progress.sampled.append(sampled)
    progress.made.append(made)
    progress.held.append(held_out(plan, number))
    if plan.is_compared:
        shares = compared_shares(plan, number, *progress.held[-2:])
        if shares is None:
            progress.waiting.append(plan.place(number) / COMPARE)
        else:
            progress.shares[number] = shares
    return True


def sampled_for(plan: Plan, number: int) -> list[SampledPrompt]:
    """Samples the answers that a round learns from, with their rewards where these annotate them."""
    path = plan.place(number) / SAMPLED
    if path.exists():
        return read_sampled(path)
    from tunesmith.tasks.preference.policy import load_policy

    plan.listener(Event("note", f"round {number}: answers are sampled"))
    plan.listener(Event("phase", "generating"))
    policy = load_policy(plan.recipe_from(number - 1), plan.loaded.base, plan.prompts["train"])
    splits = {"train": drawn_prompts(plan, number), "validation": plan.prompts["validation"]}
    found = [prompt for rows in splits.values() for prompt in sampled_answers(plan, number, policy, rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_sampled(found, path)
    return found


def sampled_answers(plan: Plan, number: int, policy: Policy, rows: Conversations) -> list[SampledPrompt]:
    """Samples several answers to each prompt of a split."""
    from tunesmith.tasks.preference.policy import sampled, tokenised

    prompts = tokenised(policy, rows, plan.section.response_length)
    rewards = plan.rewards if plan.section.annotate == "rewards" else None
    draws = [
        sampled(policy, prompts, plan.sampling(SAMPLE_NUMBERS, plan.seed, number, draw), rewards).answers
        for draw in range(plan.section.answers)
    ]
    return prompt_records(plan, prompts.rows, list(zip(*draws, strict=True)))


def prompt_records(plan: Plan, rows: Conversations, answers: Sequence[Sequence[SampledAnswer]]) -> list[SampledPrompt]:
    """Returns prompts of a split with their answers."""
    place = {row_id: i for i, row_id in enumerate(plan.prompts[rows.split].row_ids)}
    return [
        SampledPrompt(rows.split, place[row_id], row_id, shown_prompt(turns), tuple(of_prompt))
        for row_id, turns, of_prompt in zip(rows.row_ids, rows.turns, answers, strict=True)
    ]


def drawn_prompts(plan: Plan, number: int) -> Conversations:
    """Returns the training prompts of a round: all, or the next ones of a random order, pass after pass."""
    rows, size = plan.prompts["train"], plan.section.prompts
    if size is None or size >= len(rows):
        return rows
    n, places = len(rows), range((number - 1) * size, number * size)
    orders = {k: np.random.default_rng([PROMPT_NUMBERS, plan.seed, k]).permutation(n) for k in {i // n for i in places}}
    return rows.take(sorted({int(orders[i // n][i % n]) for i in places}), "train")


def annotated(plan: Plan, number: int, sampled: Sequence[SampledPrompt]) -> MadePairs | None:
    """Returns the pairs of a round, the better answer first; None if a person has to fill in a file first, which is written."""
    keep_cut = plan.section.cut_answers == "keep"
    if plan.section.annotate == "rewards":
        return pairs_by_reward(sampled, keep_cut=keep_cut)
    made = pairs_to_compare(sampled, keep_cut=keep_cut)
    require_pairs(plan, number, made)
    texts = [(shown_prompt(plan.prompts[pair.split].turns[pair.index]), pair.first, pair.second) for pair in made.pairs]
    words = filled_in(plan.place(number) / ANNOTATE, texts, (ORDER_NUMBERS, plan.seed, number, 0))
    return None if words is None else compared(made, words)


def filled_in(path: Path, texts: Sequence[tuple[str, str, str]], seed: Sequence[int]) -> list[Better] | None:
    """Reads a file of comparisons; if there is none, writes it and returns None."""
    comparisons = in_random_order(texts, seed)
    if path.exists():
        return read_comparisons(comparisons, path)
    write_comparisons(comparisons, path)
    return None


def require_pairs(plan: Plan, number: int, made: MadePairs) -> None:
    """Raises DataError if no pair of train or of validation was made."""
    for split in ("train", "validation"):
        if not any(pair.split == split for pair in made.pairs):
            why = "; ".join(f"{count:,} {reason}" for reason, count in made.left_out.items()) or "none were sampled"
            message = f"round {number} has no pair of {split}. Prompts of train and validation without one: {why}."
            remedy = "Raise rounds.response_length or write rounds.cut_answers: keep, raise rounds.answers, give more prompts, "
            raise DataError.one("rounds", message, remedy + "or a reward that tells answers apart.")


def train_round(plan: Plan, number: int, made: MadePairs) -> None:
    """Trains on the pairs of a round, from the model before it; goes on with a training that was interrupted."""
    output, data = plan.run(number), plan.place(number)
    if (output / RESULT).exists():
        return
    plan.listener(Event("note", f"round {number}: training on {plural(len(made.pairs), 'pair')}"))
    files = {split: data / f"{split}.jsonl" for split in ("train", "validation")}
    for split, path in files.items():
        write_pairs(preference_pairs(made.pairs, plan.prompts[split]), path)
    loaded = replace(plan.loaded, recipe=plan.recipe_from(number - 1))
    has_groups = plan.prompts["train"].groups is not None
    train_on_pairs(loaded, files, output, has_groups=has_groups, listener=plan.listener)


def held_out(plan: Plan, number: int) -> list[SampledPrompt]:
    """Samples an answer of the model after a round to each held-out prompt, with the same random numbers after every round."""
    path = plan.place(number) / HELD
    if path.exists():
        return read_sampled(path)
    from tunesmith.tasks.preference.policy import divergences, load_policy, sampled, tokenised

    plan.listener(Event("note", f"round {number}: answers to the held-out prompts" if number else "the model before round 1"))
    plan.listener(Event("phase", "generating"))
    rows, base = plan.prompts["test"], plan.loaded.base
    policy = load_policy(plan.recipe_from(number), base, rows)
    prompts = tokenised(policy, rows, plan.section.response_length)
    found = sampled(policy, prompts, plan.sampling(HELD_NUMBERS, plan.seed), plan.rewards)
    answers = list(found.answers)
    if number:
        of_round, of_all = (
            divergences(
                policy, load_policy(plan.recipe_from(earlier), base, rows), prompts, found.tokens,
                temperature=plan.section.temperature, batch_rows=plan.recipe.train.per_device_eval_batch_size,
            )
            for earlier in (number - 1, 0)
        )  # fmt: skip
        parts = zip(answers, of_round, of_all, strict=True)
        answers = [replace(answer, kl=step, kl_start=whole) for answer, step, whole in parts]
    records = prompt_records(plan, prompts.rows, [(answer,) for answer in answers])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_sampled(records, path)
    return records


def compared_shares(plan: Plan, number: int, before: Sequence[SampledPrompt], after: Sequence[SampledPrompt]) -> Array | None:
    """Returns 1 for each held-out prompt (N) whose answer after the round a person finds better, 0 for worse, 0.5 for ties.

    Equal answers are ties that nobody is asked about. None if the file has to be filled in first, which is written.
    """
    texts = [(one.prompt, two.answers[0].text, one.answers[0].text) for one, two in zip(before, after, strict=True)]
    differing = [i for i, (_, ours, theirs) in enumerate(texts) if ours.strip() != theirs.strip()]
    shares = np.full(len(texts), 0.5)
    if differing:
        seed = (ORDER_NUMBERS, plan.seed, number, 1)
        words = filled_in(plan.place(number) / COMPARE, [texts[i] for i in differing], seed)
        if words is None:
            return None
        shares[differing] = [{"first": 1.0, "second": 0.0, "tie": 0.5}[word] for word in words]
    return shares


def found_so_far(plan: Plan, progress: Progress) -> Rounds:
    """Computes figures, verdicts and alarms of the finished rounds, and writes their record."""
    answers = [[prompt.answers[0] for prompt in held] for held in progress.held]
    rows = plan.prompts["test"]
    turns = [rows.turns[prompt.index] for prompt in progress.held[0]]
    groups = None if rows.groups is None else tuple(rows.groups[prompt.index] for prompt in progress.held[0])
    clusters = cluster_numbers(row_clusters([first_prompt(of_row) for of_row in turns], groups=groups))
    resampling = Resampling(plan.recipe.evaluate.n_resamples, plan.seed).of_rows(clusters)
    if plan.rewards is not None:
        verdicts = reward_verdicts(answers, resampling)
    else:
        verdicts = compared_verdicts(progress.shares, resampling, len(answers))
    listed = [Round(0, plan.recipe.model.name, metrics=metrics_of(answers[0], resampling))]
    for number, (sampled, made) in enumerate(zip(progress.sampled, progress.made, strict=True), start=1):
        figures = counts_of(sampled, made)
        metrics = metrics_of(answers[number], resampling)
        listed.append(Round(number, str(plan.run(number)), **figures, metrics=metrics, verdicts=verdicts[number - 1]))
    notes = plan.notes
    if plan.rewards is None and not plan.section.compare:
        notes = (*notes, "no verdict: there is no reward, and rounds.compare is false")
    alarms = [*over_optimised(listed), *degenerate(answers)]
    found = Rounds(plan.folder, tuple(listed), tuple(alarms), notes)
    write_record(found)
    return found


def degenerate(answers: Sequence[Sequence[SampledAnswer]]) -> list[Alarm]:
    """Returns the alarms of the newest model: many more answers than before round 1 are empty or repeat themselves."""
    if len(answers) < 2:
        return []
    from tunesmith.tasks.language.evaluation import degenerate_answers

    before, after = ([answer.text for answer in of_policy] for of_policy in (answers[0], answers[-1]))
    return degenerate_answers(after, before, HELD_OUT)


def counts_of(sampled: Sequence[SampledPrompt], made: MadePairs) -> dict[str, Any]:
    """Returns the counts of a round."""
    return {
        "n_prompts": len(sampled),
        "n_pairs": sum(pair.split == "train" for pair in made.pairs),
        "n_validation_pairs": sum(pair.split == "validation" for pair in made.pairs),
        "cut": float(np.mean([not answer.finished for prompt in sampled for answer in prompt.answers])),
        "left_out": made.left_out,
    }
