"""Perplexity by how much of a text a model sees, before and after."""

from __future__ import annotations

from typing import Any

from tunesmith.models.language.perplexity import context_curve
from tunesmith.tasks.language.data import LanguageInputs
from tunesmith.tasks.language.model import Ready


def seen_windows(inputs: LanguageInputs, ready: Ready, model: Any) -> list[dict[str, Any]]:
    """For each size of ``evaluate.context_lengths`` the perplexity of the judged texts with its interval; plain JSON types."""
    section = inputs.recipe.evaluate
    if not section.context_lengths:
        return []
    split = list(inputs.judged)[-1]
    stride = section.stride or max(section.context_lengths)
    points = context_curve(
        model, ready.hearings[split].documents, section.context_lengths, stride, split, ready.prepared.kernels.precision,
        n_resamples=section.n_resamples, seed=inputs.recipe.train.seed,
    )  # fmt: skip
    return [
        {
            "window": point.window, "stride": point.stride, "perplexity": point.perplexity.value, "low": point.perplexity.low,
            "high": point.perplexity.high,
        }
        for point in points
    ]  # fmt: skip
