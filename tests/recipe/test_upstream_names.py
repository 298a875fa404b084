"""The literal lists against the installed transformers."""

import dataclasses

import pytest

from tunesmith.recipe.tree import all_keys
from tunesmith.recipe.upstream_names import ATTENTIONS, OPTIMIZERS, OWNED, RENAMED, SCHEDULES, UPSTREAM_FIELDS, UPSTREAM_KEYS


def test_owned_are_fields_and_renamed_are_not() -> None:
    assert OWNED.keys() <= UPSTREAM_FIELDS
    assert not RENAMED.keys() & UPSTREAM_FIELDS
    assert UPSTREAM_FIELDS - OWNED.keys() == UPSTREAM_KEYS


def test_every_field_that_is_a_key_of_train_is_owned() -> None:
    train = {path[1] for path in all_keys() if path[0] == "train" and len(path) == 2}
    assert train & UPSTREAM_FIELDS <= OWNED.keys()
    assert all(OWNED[name] == f"Write train.{name}." for name in train & UPSTREAM_FIELDS)


@pytest.mark.slow
def test_lists_are_those_of_the_installed_version() -> None:
    from transformers import TrainingArguments
    from transformers.trainer_utils import SchedulerType
    from transformers.training_args import OptimizerNames

    assert {field.name for field in dataclasses.fields(TrainingArguments) if field.init} == UPSTREAM_FIELDS
    assert {entry.value for entry in SchedulerType} == SCHEDULES
    assert {entry.value for entry in OptimizerNames} == OPTIMIZERS


@pytest.mark.slow
def test_attentions_are_those_of_the_installed_version() -> None:
    from transformers.modeling_utils import AttentionInterface

    of_training = {name for name in AttentionInterface._global_mapping if not name.startswith(("paged|", "tunesmith"))}
    assert {"eager", *of_training} == set(ATTENTIONS)
