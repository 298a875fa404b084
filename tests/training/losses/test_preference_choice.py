"""Losses are chosen with their options, and options without an effect are refused."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
from pydantic import ValidationError

from tunesmith.errors import RecipeError
from tunesmith.recipe.task_sections import PreferenceSection
from tunesmith.training.losses.preference import LOSSES
from tunesmith.training.losses.preference_choice import OF_A_LOSS, TRAINERS, choose_losses
from tunesmith.training.trainers.preference_kinds import config_class

VALUES: dict[str, Any] = {
    "loss_weights": [1.0],
    "f_divergence_type": "js_divergence",
    "f_alpha_divergence_coef": 0.3,
    "ld_alpha": 0.5,
    "use_weighting": True,
    "sync_ref_model": True,
    "ref_model_mixup_alpha": 0.5,
    "ref_model_sync_steps": 3,
    "discopop_tau": 0.1,
    "desirable_weight": 2.0,
    "undesirable_weight": 2.0,
    "cpo_alpha": 0.5,
    "simpo_gamma": 0.7,
    "alpha": 0.3,
    "label_smoothing": 0.1,
}
ALONE = [name for name in LOSSES if name != "sft"]


@pytest.mark.parametrize("name", ALONE)
def test_every_argument_is_a_field_of_upstreams_config(name: str) -> None:
    losses = choose_losses(PreferenceSection(loss_type=name))
    fields = {field.name for field in dataclasses.fields(config_class(losses.trainer))}
    assert losses.arguments().keys() <= fields


@pytest.mark.parametrize("name", ALONE)
def test_an_option_reaches_upstream_or_is_refused(name: str) -> None:
    """The recipe has no option that a loss silently ignores."""
    synced, together = {"sync_ref_model": True}, {"f_alpha_divergence_coef": {"f_divergence_type": "alpha_divergence"}}
    together |= {"ref_model_mixup_alpha": synced, "ref_model_sync_steps": synced}
    for option, value in VALUES.items():
        section = PreferenceSection(**{"loss_type": name, option: value, **together.get(option, {})})
        try:
            arguments = choose_losses(section).arguments()
        except RecipeError:
            continue
        assert arguments[option] == value, option


@pytest.mark.parametrize("name", [name for name in ALONE if not LOSSES[name].smoothing])
def test_smoothing_is_refused_where_no_loss_reads_it(name: str) -> None:
    with pytest.raises(RecipeError, match="would have no effect"):
        choose_losses(PreferenceSection(loss_type=name, label_smoothing=0.1))


REFUSED = [
    ({"loss_type": "sigmod"}, "there is no loss 'sigmod'", "Did you mean sigmoid?"),
    ({"loss_type": "dpo"}, "there is no loss 'dpo'", "DPO is called sigmoid"),
    ({"loss_type": []}, "the list is empty", ""),
    ({"loss_type": "sft"}, "learns nothing from the rejected ones", "task: sft"),
    ({"loss_type": ["sigmoid", "sigmoid"]}, "listed twice", ""),
    ({"loss_type": ["sigmoid", "kto"]}, "kto cannot be added", ""),
    ({"loss_type": ["sigmoid", "ipo"], "loss_weights": [1.0]}, "1 weight for 2 losses", ""),
    ({"loss_weights": [0.0]}, "not above 0", ""),
    ({"loss_type": "exo_pair", "label_smoothing": 0.0}, "needs a value above 0", "0.001"),
    ({"loss_type": "nca_pair", "f_divergence_type": "forward_kl"}, "defined for reverse_kl alone", "sigmoid"),
    ({"f_alpha_divergence_coef": 0.4}, "would have no effect", "alpha_divergence"),
    ({"loss_type": "aot", "use_weighting": True}, "sorts the rewards", ""),
    ({"ref_model_sync_steps": 8}, "does not move", "sync_ref_model: true"),
    ({"loss_type": "alphapo", "alpha": 0.0}, "alphapo is simpo", ""),
    ({"loss_type": "simpo", "sync_ref_model": True}, "simpo does not read it", "sigmoid"),
]


@pytest.mark.parametrize(("section", "message", "remedy"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_contradicts_itself_is_refused_in_one_line(section: dict[str, Any], message: str, remedy: str) -> None:
    with pytest.raises(RecipeError) as caught:
        choose_losses(PreferenceSection(**section))
    (problem,) = caught.value.problems
    assert message in problem.message
    assert remedy in problem.remedy
    assert problem.where.startswith("preference.")


@pytest.mark.parametrize("values", [{"beta": 0}, {"beta": -0.1}, {"label_smoothing": 0.5}, {"ld_alpha": 1.5}])
def test_values_outside_of_their_range_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        PreferenceSection(**values)


def test_simpo_is_that_of_its_paper_and_alphapo_another_one() -> None:
    simpo, alphapo = (choose_losses(PreferenceSection(loss_type=name)).arguments() for name in ("simpo", "alphapo"))
    assert simpo == {"beta": 2.0, "cpo_alpha": 0.0, "loss_type": "simpo", "label_smoothing": 0.0}
    assert alphapo["alpha"] == 0.25
    assert choose_losses(PreferenceSection(loss_type="simpo", cpo_alpha=1.0)).arguments()["cpo_alpha"] == 1.0


def test_the_first_loss_of_several_losses() -> None:
    losses = choose_losses(PreferenceSection(loss_type=["sigmoid", "sft"], loss_weights=[2.0, 0.5]))
    assert losses.first_loss(4.0, 1.0) == pytest.approx(2 * math.log(2) + 2)
    assert choose_losses(PreferenceSection(use_weighting=True)).first_loss(4.0, 1.0) is None
    assert choose_losses(PreferenceSection(loss_type="orpo")).first_loss(4.0, 1.0) is None
    assert choose_losses(PreferenceSection(loss_type="kto", undesirable_weight=3.0)).first_loss(4.0, 0.25) == 0.5 * (0.25 + 2.25)


def test_every_option_of_the_section_is_checked() -> None:
    plain = {"loss_type", "beta", "label_smoothing", "chat_template", "long_rows"}
    assert PreferenceSection.model_fields.keys() - plain == TRAINERS.keys() | OF_A_LOSS.keys()
