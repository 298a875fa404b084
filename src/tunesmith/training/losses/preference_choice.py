"""Chooses the losses of a preference run with their options, and refuses options that its losses do not read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tunesmith.data.cells import listed, plural
from tunesmith.errors import RecipeError
from tunesmith.recipe.suggest import closest
from tunesmith.recipe.task_sections import PreferenceSection
from tunesmith.training.losses.preference import LOSSES, PreferenceLoss, TrainerKind

SYNC, SYNC_OPTIONS = "sync_ref_model", ("ref_model_mixup_alpha", "ref_model_sync_steps")
REFERENCED: tuple[TrainerKind, ...] = ("dpo", "kto")
# Option -> the trainers that read it; the others of the section are in ``PreferenceLoss.more``.
TRAINERS: Mapping[str, tuple[TrainerKind, ...]] = MappingProxyType(
    {
        "loss_weights": ("dpo",),
        "f_divergence_type": ("dpo",),
        "f_alpha_divergence_coef": ("dpo",),
        "ld_alpha": ("dpo",),
        "use_weighting": ("dpo",),
        SYNC: REFERENCED,
        **dict.fromkeys(SYNC_OPTIONS, REFERENCED),
    }
)
# Option -> the word for it in ``PreferenceLoss.more``.
OF_A_LOSS: Mapping[str, str] = MappingProxyType(
    {
        "discopop_tau": "discopop_tau",
        "desirable_weight": "weights",
        "undesirable_weight": "weights",
        "cpo_alpha": "cpo_alpha",
        "simpo_gamma": "simpo_gamma",
        "alpha": "alpha",
    }
)
# Loss -> options that have another default than TRL's: without them TRL's simpo adds the loss of the chosen answer, which the
# paper has not, and its alphapo is simpo.
OWN_DEFAULTS: Mapping[str, Mapping[str, float]] = MappingProxyType({"simpo": {"cpo_alpha": 0.0}, "alphapo": {"alpha": 0.25}})
PLAIN_SORTED = ("aot", "aot_unpaired")


@dataclass(frozen=True)
class ChosenLosses:
    """The losses of a run and their options.

    Attributes:
        names, losses: the losses, all of one trainer.
        weights: the weight of each.
        options: the options of TRL's config beside ``loss_type``, ``loss_weights``, ``beta`` and ``label_smoothing``.
    """

    names: tuple[str, ...]
    losses: tuple[PreferenceLoss, ...]
    weights: tuple[float, ...]
    beta: float
    label_smoothing: float
    options: Mapping[str, Any]

    @property
    def trainer(self) -> TrainerKind:
        return self.losses[0].trainer

    @property
    def has_reference(self) -> bool:
        return self.losses[0].has_reference

    @property
    def is_unpaired(self) -> bool:
        """Tells whether the rows are single judged answers."""
        return self.trainer == "kto"

    @property
    def per_token(self) -> bool:
        """Tells whether the implicit reward is a mean over the tokens of an answer."""
        return self.losses[0].per_token

    @property
    def is_moving(self) -> bool:
        """Tells whether the reference follows the model."""
        return bool(self.options.get(SYNC))

    @property
    def is_experimental(self) -> bool:
        return any(loss.experimental for loss in self.losses)

    @property
    def unbounded_start(self) -> float:
        """Returns the value, where nothing is learnt yet, of the losses that fall without limit; 0 where all are bounded."""
        if not self.label_smoothing:
            return 0.0
        parts = [(weight, loss.first) for weight, loss in zip(self.weights, self.losses, strict=True) if loss.unbounded]
        return sum(weight * first(self.beta, self.label_smoothing) for weight, first in parts if first is not None)

    def first_loss(self, chosen_nll: float, desirable_share: float) -> float | None:
        """Returns the loss while model and reference are equal; None where it is not known, as without a reference.

        Args:
            chosen_nll: loss per token of the chosen answers, which is the loss ``sft``.
            desirable_share: share of good answers, for the weights of kto.
        """
        if not self.has_reference or self.options.get("use_weighting"):
            return None
        firsts = [chosen_nll if loss.first is None else loss.first(self.beta, self.label_smoothing) for loss in self.losses]
        total = sum(weight * first for weight, first in zip(self.weights, firsts, strict=True))
        good, bad = (self.options.get(f"{word}_weight", 1.0) for word in ("desirable", "undesirable"))
        return float(total * (good * desirable_share + bad * (1 - desirable_share))) if self.is_unpaired else total

    def arguments(self) -> dict[str, Any]:
        """Returns the arguments of TRL's config for these losses."""
        names = [loss.upstream for loss in self.losses]
        given: dict[str, Any] = {"beta": self.beta, **self.options}
        if self.trainer == "dpo":
            given |= {"loss_type": names, "loss_weights": list(self.weights), "label_smoothing": self.label_smoothing}
        elif self.trainer == "kto":
            given["loss_type"] = names[0]
        elif self.trainer == "cpo":
            given |= {"loss_type": names[0], "label_smoothing": self.label_smoothing}
        return given

    def sentence(self) -> str:
        """Names the losses with their weights and beta."""
        parts = [
            f"{weight:g} {name}" if len(self.names) > 1 else name for name, weight in zip(self.names, self.weights, strict=True)
        ]
        note = ", experimental in TRL" if self.is_experimental else ""
        return f"{' + '.join(parts)}, beta {self.beta:g}: {self.losses[0].does}{note}"


def choose_losses(section: PreferenceSection) -> ChosenLosses:
    """Returns the losses of a recipe with their options. Raises RecipeError for unknown losses and options without effect."""
    names = (section.loss_type,) if isinstance(section.loss_type, str) else tuple(section.loss_type)
    losses = tuple(loss_of(name) for name in names)
    check_list(names, losses, section)
    for option in (*TRAINERS, *OF_A_LOSS):
        check_read(option, names, losses, section)
    smoothing = label_smoothing(names, losses, section)
    check_together(names, losses, section)
    options = {option: value for option in (*TRAINERS, *OF_A_LOSS) if (value := getattr(section, option)) not in (None, False)}
    options.pop("loss_weights")
    if losses[0].trainer != "dpo":
        options.pop("f_divergence_type")
    weights = tuple(section.loss_weights) or (1.0,) * len(names)
    beta = section.beta or losses[0].beta
    return ChosenLosses(names, losses, weights, beta, smoothing, {**OWN_DEFAULTS.get(names[0], {}), **options})


def loss_of(name: str) -> PreferenceLoss:
    """Returns the loss of that name. Raises RecipeError for another one."""
    if name not in LOSSES:
        remedy = (
            "DPO is called sigmoid." if name.lower() == "dpo" else closest(name, LOSSES) or f"There are: {', '.join(LOSSES)}."
        )
        raise RecipeError.one("preference.loss_type", f"there is no loss {name!r}.", remedy)
    return LOSSES[name]


def check_list(names: tuple[str, ...], losses: tuple[PreferenceLoss, ...], section: PreferenceSection) -> None:
    """Raises RecipeError for a list of losses that cannot be added."""
    where = "preference.loss_type"
    if not names:
        raise RecipeError.one(where, "the list is empty.", "Write sigmoid.")
    if len(set(names)) < len(names):
        raise RecipeError.one(where, f"a loss is listed twice: {', '.join(names)}.", "Give it one weight in loss_weights.")
    others = [name for name, loss in zip(names, losses, strict=True) if loss.trainer != "dpo"]
    if len(names) > 1 and others:
        raise RecipeError.one(where, f"{others[0]} cannot be added to another loss.", "Write it alone.")
    if len(losses) == 1 and losses[0].has_reference and losses[0].first is None:
        message = "sft alone trains on the chosen answers and learns nothing from the rejected ones."
        raise RecipeError.one(where, message, "Add a loss: [sigmoid, sft]; or write task: sft.")
    if section.loss_weights and len(section.loss_weights) != len(names):
        message = f"{plural(len(section.loss_weights), 'weight')} for {plural(len(names), 'loss')}."
        raise RecipeError.one("preference.loss_weights", message, "Give one for each loss, in their order.")
    if any(weight <= 0 for weight in section.loss_weights):
        raise RecipeError.one("preference.loss_weights", "a weight is not above 0.", "Leave the loss out instead.")


def check_read(option: str, names: tuple[str, ...], losses: tuple[PreferenceLoss, ...], section: PreferenceSection) -> None:
    """Raises RecipeError for an option that is given and that no loss of the run reads."""
    if getattr(section, option) == type(section).model_fields[option].default:
        return
    trainers, word = TRAINERS.get(option), OF_A_LOSS.get(option)
    readers = [name for name, loss in LOSSES.items() if (loss.trainer in trainers if trainers else word in loss.more)]
    if set(names).isdisjoint(readers):
        message = f"{listed(names)} does not read it: it would have no effect."
        raise RecipeError.one(f"preference.{option}", message, f"Remove it. It is read by: {', '.join(readers)}.")


def label_smoothing(names: tuple[str, ...], losses: tuple[PreferenceLoss, ...], section: PreferenceSection) -> float:
    """Returns the label smoothing. Raises RecipeError where no loss reads it, and for 0 where a loss needs more."""
    where, given = "preference.label_smoothing", section.label_smoothing
    readers = [name for name, loss in LOSSES.items() if loss.smoothing]
    if given and set(names).isdisjoint(readers):
        message = f"{listed(names)} does not read it: it would have no effect."
        raise RecipeError.one(where, message, f"Remove it. It is read by: {', '.join(readers)}.")
    value = max(loss.label_smoothing for loss in losses) if given is None else given
    for name, loss in zip(names, losses, strict=True):
        if loss.smoothing == "required" and value == 0:
            raise RecipeError.one(where, f"{name} needs a value above 0.", f"Its paper has {loss.label_smoothing:g}.")
    return value


def check_together(names: tuple[str, ...], losses: tuple[PreferenceLoss, ...], section: PreferenceSection) -> None:
    """Raises RecipeError for options that contradict each other."""
    if section.f_divergence_type != "reverse_kl":
        unable = [name for name, loss in zip(names, losses, strict=True) if not loss.f_divergence]
        if unable:
            message = f"{unable[0]} is defined for reverse_kl alone."
            able = [name for name, loss in LOSSES.items() if loss.f_divergence]
            raise RecipeError.one("preference.f_divergence_type", message, f"Remove it, or use one of {', '.join(able)}.")
    if section.f_alpha_divergence_coef is not None and section.f_divergence_type != "alpha_divergence":
        message = f"{section.f_divergence_type} does not read it: it would have no effect."
        raise RecipeError.one("preference.f_alpha_divergence_coef", message, "Write f_divergence_type: alpha_divergence.")
    if section.use_weighting and (sorting := [name for name in names if name in PLAIN_SORTED]):
        message = f"{sorting[0]} sorts the rewards of a batch, and weights of pairs would go to others."
        raise RecipeError.one("preference.use_weighting", message, "Remove it.")
    for option in SYNC_OPTIONS:
        if getattr(section, option) is not None and not section.sync_ref_model:
            message = "the reference does not move without sync_ref_model: it would have no effect."
            raise RecipeError.one(f"preference.{option}", message, "Write preference.sync_ref_model: true, or remove it.")
    if section.alpha == 0:
        message = "with alpha 0 alphapo is simpo."
        raise RecipeError.one("preference.alpha", message, "Write loss_type: simpo, or another value.")
