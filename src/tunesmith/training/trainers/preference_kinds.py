"""Returns the trainer and the class of arguments of a preference loss; imports TRL's experimental ones only for theirs."""

from __future__ import annotations

from typing import Any

from tunesmith.training.losses.preference import TrainerKind
from tunesmith.training.trainers.preference import JudgedTrainer, PairTrainer, PreferenceTrainer


def trainer_class(kind: TrainerKind) -> type[PreferenceTrainer]:
    """Returns the trainer of a kind."""
    if kind in ("cpo", "orpo"):
        from tunesmith.training.trainers import preference_experimental

        return preference_experimental.TRAINERS[kind]
    return PairTrainer if kind == "dpo" else JudgedTrainer


def config_class(kind: TrainerKind) -> type[Any]:
    """Returns TRL's class of arguments of a trainer."""
    if kind in ("cpo", "orpo"):
        from tunesmith.training.trainers import preference_experimental

        return preference_experimental.CONFIGS[kind]
    from trl import DPOConfig, KTOConfig

    found: type[Any] = DPOConfig if kind == "dpo" else KTOConfig
    return found
