"""Lists the losses of preferences: TRL's trainer and name of each, what it needs, and its value where nothing is learnt yet.

The table is data: a test compares the names, the options and the first losses with the installed TRL. Nothing here computes a
training loss: TRL does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import log, log1p
from types import MappingProxyType
from typing import Literal

TrainerKind = Literal["dpo", "kto", "cpo", "orpo"]
LN_2 = log(2.0)


@dataclass(frozen=True)
class PreferenceLoss:
    """One loss.

    Attributes:
        trainer: TRL's trainer; ``dpo`` and ``kto`` compare the model with a reference, ``cpo`` and ``orpo`` have none.
        upstream: TRL's ``loss_type``; empty where the trainer has one loss.
        does: its objective, in words.
        first: (beta, label_smoothing) -> the loss while model and reference are equal; None where it depends on the rows.
        smoothing: whether ``label_smoothing`` is read; ``required`` where it must be above 0.
        f_divergence: whether ``f_divergence_type`` may be another than reverse_kl.
        per_token: the implicit reward is a mean over the tokens of an answer; else it is their sum.
        beta, label_smoothing: the defaults.
        more: further options of the section that it reads.
        experimental: TRL marks it as experimental, and may change or remove it.
        unbounded: with ``label_smoothing`` above 0 it falls without limit as the margin grows. All others are never below 0.
    """

    trainer: TrainerKind
    upstream: str
    does: str
    first: Callable[[float, float], float] | None = None
    smoothing: Literal["", "optional", "required"] = ""
    f_divergence: bool = False
    per_token: bool = False
    beta: float = 0.1
    label_smoothing: float = 0.0
    more: tuple[str, ...] = ()
    experimental: bool = False
    unbounded: bool = False

    @property
    def has_reference(self) -> bool:
        return self.trainer in ("dpo", "kto")


def always(value: float) -> Callable[[float, float], float]:
    """Returns a first loss that depends on no option."""
    return lambda _beta, _smoothing: value


def exo(_beta: float, smoothing: float) -> float:
    """Returns the first loss of ``exo_pair``: the divergence of (1/2, 1/2) from (1 - e, e)."""
    return -LN_2 - 0.5 * (log1p(-smoothing) + log(smoothing))


LOSSES: Mapping[str, PreferenceLoss] = MappingProxyType(
    {
        "sigmoid": PreferenceLoss(
            "dpo", "sigmoid", "DPO: the log-odds of chosen over rejected (Rafailov 2023)", always(LN_2), f_divergence=True
        ),
        "hinge": PreferenceLoss("dpo", "hinge", "a margin in place of the log-odds (Zhao 2023)", always(1.0), f_divergence=True),
        "ipo": PreferenceLoss(
            "dpo",
            "ipo",
            "a squared distance to the margin 1 / (2 beta), per token (Azar 2023)",
            lambda beta, _: (1 / (2 * beta)) ** 2,
            f_divergence=True,
            per_token=True,
        ),
        "exo_pair": PreferenceLoss(
            "dpo",
            "exo_pair",
            "the reverse divergence from smoothed preferences (Ji 2024)",
            exo,
            "required",
            f_divergence=True,
            label_smoothing=1e-3,
        ),
        "nca_pair": PreferenceLoss(
            "dpo", "nca_pair", "the likelihood of each answer by itself, not their difference (Chen 2024)", always(2 * LN_2)
        ),
        "robust": PreferenceLoss(
            "dpo",
            "robust",
            "DPO corrected for a share of flipped pairs (Chowdhury 2024)",
            always(LN_2),
            "optional",
            f_divergence=True,
            unbounded=True,
        ),
        "bco_pair": PreferenceLoss("dpo", "bco_pair", "a classifier of good and bad answers (Jung 2024)", always(2 * LN_2)),
        "sppo_hard": PreferenceLoss(
            "dpo", "sppo_hard", "self-play with hard labels (Wu 2024)", lambda beta, _: 2 * (0.5 / beta) ** 2
        ),
        "aot": PreferenceLoss("dpo", "aot", "the sorted rewards of a batch (Melnyk 2024)", always(LN_2), "optional"),
        "aot_unpaired": PreferenceLoss(
            "dpo", "aot_unpaired", "the same, with each side sorted by itself", always(LN_2), "optional"
        ),
        "apo_zero": PreferenceLoss(
            "dpo",
            "apo_zero",
            "chosen up and rejected down, for answers better than the model's (D'Oosterlinck 2024)",
            always(1.0),
        ),
        "apo_down": PreferenceLoss(
            "dpo", "apo_down", "both down, rejected more, for answers worse than the model's (D'Oosterlinck 2024)", always(1.0)
        ),
        "discopop": PreferenceLoss(
            "dpo",
            "discopop",
            "a loss found by search (Lu 2024)",
            always(0.5 * LN_2 + 0.5),
            f_divergence=True,
            more=("discopop_tau",),
        ),
        "sigmoid_norm": PreferenceLoss(
            "dpo", "sigmoid_norm", "DPO of rewards per token (Meng 2024)", always(LN_2), f_divergence=True, per_token=True
        ),
        "sft": PreferenceLoss("dpo", "sft", "the loss of the chosen answer, to be added to another one", f_divergence=True),
        "kto": PreferenceLoss(
            "kto", "kto", "single judged answers against a reference point (Ethayarajh 2024)", always(0.5), more=("weights",)
        ),
        "apo_zero_unpaired": PreferenceLoss(
            "kto", "apo_zero_unpaired", "apo_zero of single judged answers", always(0.5), more=("weights",)
        ),
        "cpo": PreferenceLoss(
            "cpo",
            "sigmoid",
            "DPO without a reference, with the loss of the chosen answer (Xu 2024)",
            smoothing="optional",
            more=("cpo_alpha",),
            experimental=True,
        ),
        "cpo_hinge": PreferenceLoss("cpo", "hinge", "CPO with a margin", more=("cpo_alpha",), experimental=True),
        "cpo_ipo": PreferenceLoss(
            "cpo", "ipo", "CPO with a squared distance", more=("cpo_alpha",), per_token=True, experimental=True
        ),
        "simpo": PreferenceLoss(
            "cpo",
            "simpo",
            "log-probabilities per token with a margin, without a reference (Meng 2024)",
            smoothing="optional",
            per_token=True,
            beta=2.0,
            more=("cpo_alpha", "simpo_gamma"),
            experimental=True,
        ),
        "alphapo": PreferenceLoss(
            "cpo",
            "alphapo",
            "SimPO with a reward of another shape (Gupta 2025)",
            smoothing="optional",
            per_token=True,
            beta=2.0,
            more=("simpo_gamma", "alpha"),
            experimental=True,
        ),
        "orpo": PreferenceLoss(
            "orpo",
            "",
            "the odds ratio beside the loss of prompt and chosen answer (Hong 2024)",
            per_token=True,
            experimental=True,
        ),
    }
)
"""Name in ``preference.loss_type`` -> loss. Names are TRL's; those of its CPO trainer, which DPO has, too, begin with ``cpo``."""
