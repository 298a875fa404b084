"""The table of preference losses agrees with the installed TRL."""

from __future__ import annotations

import re

import pytest

from tunesmith.training.losses.preference import LOSSES
from tunesmith.training.trainers.preference_kinds import config_class


def names_of(trainer: str) -> set[str]:
    return {loss.upstream for loss in LOSSES.values() if loss.trainer == trainer}


def test_every_loss_of_dpo_is_in_the_table() -> None:
    help_text = config_class("dpo").__dataclass_fields__["loss_type"].metadata["help"]
    assert set(re.findall(r"`'(\w+)'`", help_text)) == names_of("dpo")


@pytest.mark.parametrize("trainer", ["kto", "cpo"])
def test_every_loss_of_the_other_trainers_is_in_the_table(trainer: str) -> None:
    assert set(config_class(trainer).__dataclass_fields__["loss_type"].metadata["choices"]) == names_of(trainer)  # type: ignore[arg-type]


def test_dpo_takes_f_divergences_where_the_table_says_so() -> None:
    help_text = config_class("dpo").__dataclass_fields__["f_divergence_type"].metadata["help"]
    named = set(re.findall(r"`'(\w+)'`", help_text))
    assert named == {name for name, loss in LOSSES.items() if loss.f_divergence}


def test_losses_with_a_reference_and_without_rows_have_a_first_loss() -> None:
    assert [name for name, loss in LOSSES.items() if loss.has_reference and loss.first is None] == ["sft"]
    assert [name for name, loss in LOSSES.items() if loss.experimental] == [
        name for name, loss in LOSSES.items() if not loss.has_reference
    ]


@pytest.mark.parametrize("trainer", ["dpo", "kto", "cpo", "orpo"])
def test_options_that_every_config_has_have_upstreams_default(trainer: str) -> None:
    fields = config_class(trainer).__dataclass_fields__  # type: ignore[arg-type]
    assert fields["beta"].default == 0.1
    assert fields["disable_dropout"].default is True
