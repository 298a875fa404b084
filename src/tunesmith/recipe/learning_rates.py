"""Default learning rates of the tasks, by the size of the model."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

SizeTable = tuple[tuple[float, float], ...]
"""(parameters of the model below, learning rate), in rising order."""


@dataclass(frozen=True)
class LearningRates:
    """Default learning rates of a task.

    Attributes:
        all_layers: for the whole model or its last layers.
        adapter: with an adapter.
        head: where only the head is trained; None: as ``all_layers``.
    """

    all_layers: SizeTable
    adapter: SizeTable
    head: float | None = None

    def rate(self, n_parameters: int, *, with_adapter: bool, only_head: bool) -> float:
        """Return the learning rate for a model of that size."""
        if with_adapter:
            return next(rate for limit, rate in self.adapter if n_parameters < limit)
        if only_head and self.head is not None:
            return self.head
        return next(rate for limit, rate in self.all_layers if n_parameters < limit)


# Small models need the higher rates to leave their starting point.
ENCODER_RATES = LearningRates(((50e6, 1e-4), (150e6, 5e-5), (inf, 2e-5)), adapter=((inf, 1e-3),), head=1e-3)
# Most embedding models that are tuned are good already; a higher rate makes them worse.
EMBEDDING_RATES = LearningRates(((inf, 2e-5),), adapter=((inf, 1e-3),))
LANGUAGE_RATES = LearningRates(((200e6, 1e-4), (1e9, 5e-5), (inf, 2e-5)), adapter=((200e6, 1e-3), (inf, 2e-4)))
# Higher rates leave the reference within a few steps (docs/how-to/reinforcement-learning.md).
REINFORCEMENT_RATES = LearningRates(((20e6, 3e-5), (200e6, 1e-5), (inf, 2e-6)), adapter=((20e6, 3e-4), (inf, 5e-5)))
# The loss measures the distance to the reference, and answers degenerate soon (TRL's default: 1e-6).
PREFERENCE_RATES = LearningRates(((200e6, 1e-5), (1e9, 2e-6), (inf, 1e-6)), adapter=((200e6, 1e-4), (inf, 1e-5)))
