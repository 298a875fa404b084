"""The curves over optimizer steps."""

from __future__ import annotations

import re

from tunesmith.report.curves import training_curve
from tunesmith.report.drawing import draw


def test_steps_are_whole_numbers() -> None:
    events = [{"event": "train", "step": step, "loss": 2.0 - step / 4} for step in (1, 2, 3)]
    figure = training_curve(events, "loss", "loss")
    assert figure is not None
    assert re.findall(r'text-anchor="middle">([^<]+)<', draw(figure)) == ["1", "2", "3"]
