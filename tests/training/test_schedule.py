"""Schedules resolve to whole steps whatever the size of the data."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tunesmith.recipe.sections import TrainSection
from tunesmith.training.schedule import plan_schedule, spread


@given(total=st.integers(1, 10_000), count=st.integers(1, 500))
def test_spread_is_whole_increasing_and_ends_at_the_last_step(total: int, count: int) -> None:
    steps = spread(total, count)
    assert steps[-1] == total
    assert list(steps) == sorted(set(steps))
    assert len(steps) == min(total, count)
    assert steps[0] >= 1
    gaps = [b - a for a, b in zip((0, *steps), steps, strict=False)]
    assert max(gaps) - min(gaps) <= 1


def test_warmup_below_one_is_a_share() -> None:
    assert plan_schedule(100, TrainSection(num_train_epochs=2, warmup_steps=0.1)).warmup_steps == 20
    assert plan_schedule(100, TrainSection(num_train_epochs=2, warmup_steps=7)).warmup_steps == 7


def test_accumulation_and_max_steps() -> None:
    plan = plan_schedule(10, TrainSection(num_train_epochs=3, gradient_accumulation_steps=4))
    assert (plan.steps_per_epoch, plan.total_steps) == (3, 9)
    assert plan_schedule(10, TrainSection(max_steps=5)).total_steps == 5
