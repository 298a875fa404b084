"""How the training rows of a language model become batches: mixed, joined or padded, and by which fast_path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

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
    """The training rows, joined where that is asked for or saves time; on a CPU the model then attends to them one by one."""
    asked, model = sequences(recipe), loaded.model
    may_join = fast_path.fast and detect_objective(model.config).shifts_labels and not joining_changes(recipe)
    is_packed = device_name() == "cuda" and may_join if asked.packing is None else asked.packing
    packs: list[tuple[int, ...]] = [(i,) for i in range(len(rows.input_ids))]
    if is_packed:
        packs = [tuple(pack.tolist()) for pack in pack_rows([len(ids) for ids in rows.input_ids], max_length).rows]
    by_rows = device_name() == "cpu" and can_attend_by_rows(model)
    if by_rows and (is_packed or asked.padding_free or (asked.padding_free is None and may_join)):
        attend_by_rows(model)
    padding_free = asked.padding_free
    if padding_free is None:
        padding_free = by_rows and may_join and not is_packed and keeps_apart(loaded, rows.input_ids)
    return TrainingTokens(rows.row_ids, rows.input_ids, rows.labels, packs, loaded.tokenizer.pad_token_id, padding_free)


def keeps_apart(loaded: LoadedModel, input_ids: Sequence[np.ndarray]) -> bool:
    """Whether rows in one sequence do not see each other in this model; those with a state or without positions cannot."""
    if sum(len(ids) > 1 for ids in input_ids) < 2:
        return False
    return certify_packing(loaded.model, input_ids, loaded.tokenizer.pad_token_id).passed


def joining_changes(recipe: Recipe) -> bool:
    """Whether joined rows would be trained in another way: by learnt prompts, or by noise that depends on a sequence's length."""
    prompted = recipe.adapter is not None and recipe.adapter.method in PROMPTED
    return prompted or "neftune_noise_alpha" in recipe.upstream


def language_fast_path(recipe: Recipe, objective: Objective) -> FastPath:
    """The fast path for this machine. Causal models get mixed batches: where rows of like length share one, a batch of short rows
    has few tokens, and a model learns less from as many steps (docs/experiments.md)."""
    found = choose_fast_path(fast=recipe.train.fast, device=device_name())
    if objective.needs_masking:
        return found
    reasons = {name: why for name, why in found.reasons.items() if name != "bucketed"}
    return replace(found, bucketed=False, reasons=reasons)
