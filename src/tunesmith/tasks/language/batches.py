"""Prepares the training rows of a language model for batches: mixed, packed or padded, and on which fast path."""

from __future__ import annotations

from dataclasses import replace

from tunesmith.machine import device_name
from tunesmith.models.chat.render import Rendered
from tunesmith.models.fast.packing import attend_by_rows, can_attend_by_rows, certify_packing, pack_rows
from tunesmith.models.fast.path import FastPath, choose_fast_path
from tunesmith.models.language.model import Objective, detect_objective
from tunesmith.models.load import LoadedModel
from tunesmith.recipe.sections import Recipe
from tunesmith.recipe.task_rules import PROMPTED, sequences
from tunesmith.training.trainers.tokens import TrainingTokens


def training_tokens(recipe: Recipe, rows: Rendered, loaded: LoadedModel, max_length: int, fast_path: FastPath) -> TrainingTokens:
    """Returns the training rows, joined by request or to save time; a CPU model then attends to each row alone."""
    section, model, pad_id = sequences(recipe), loaded.model, loaded.tokenizer.pad_token_id
    # Joined rows would be trained differently by learnt prompts, and by noise that depends on the length.
    prompted = recipe.adapter is not None and recipe.adapter.method in PROMPTED
    joining_changes = prompted or "neftune_noise_alpha" in recipe.upstream
    may_join = fast_path.fast and detect_objective(model.config).shifts_labels and not joining_changes
    is_packed = device_name() == "cuda" and may_join if section.packing is None else section.packing
    packs: list[tuple[int, ...]] = [(i,) for i in range(len(rows.input_ids))]
    if is_packed:
        packs = pack_rows([len(ids) for ids in rows.input_ids], max_length)
    # A named attention stays: it is not replaced by one that computes each row alone.
    by_rows = device_name() == "cpu" and recipe.model.attn_implementation is None and can_attend_by_rows(model)
    if by_rows and (is_packed or section.padding_free or (section.padding_free is None and may_join)):
        attend_by_rows(model)
    padding_free = section.padding_free
    if padding_free is None:
        # Models with a state or without positions cannot isolate rows in one sequence.
        has_rows = sum(len(ids) > 1 for ids in rows.input_ids) > 1
        padding_free = by_rows and may_join and not is_packed and has_rows
        padding_free = padding_free and certify_packing(model, rows.input_ids, pad_id, max_length).passed
    return TrainingTokens(rows.row_ids, rows.input_ids, rows.labels, packs, pad_id, padding_free)


def language_fast_path(recipe: Recipe, objective: Objective) -> FastPath:
    """Chooses the fast path for this machine; causal models get mixed batches.

    A batch of short rows of similar length has few tokens, and a model learns less from as many steps (docs/experiments.md).
    """
    fast_path = choose_fast_path(recipe.train.fast, device_name(), attention=recipe.model.attn_implementation)
    if objective.needs_masking:
        return fast_path
    reasons = {name: why for name, why in fast_path.reasons.items() if name != "bucketed"}
    return replace(fast_path, bucketed=False, reasons=reasons)
