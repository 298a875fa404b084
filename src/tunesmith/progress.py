"""Reports progress: long work calls a listener with events, and never prints."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Event:
    """One progress event.

    Attributes:
        kind: ``phase``: a section of the work began; ``part``: a part of the phase began, which only a display that is redrawn
            shows; ``step``: ``done`` of ``total`` steps of the phase are finished; ``note``: a message for the user.
        text: the name of the phase or part, or the line.
        values: of a training step: the newest ``loss``, and the newest ``validation_METRIC`` that selects checkpoints.
    """

    kind: Literal["phase", "part", "step", "note"]
    text: str
    done: int = 0
    total: int = 0
    values: Mapping[str, float] = field(default_factory=dict)


Listener = Callable[[Event], None]


def silent(_event: Event) -> None:
    """Ignores the event: the listener that does nothing."""


@dataclass
class Clock:
    """The seconds spent in each phase, in the order they began; ``current``: the phase that the work is in."""

    listener: Listener
    seconds: dict[str, float]
    current: str = ""

    def part(self, name: str) -> None:
        """Sends the listener an event for the part of the phase that begins."""
        self.listener(Event("part", name))

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Sends the listener an event for the phase that begins, and adds its time to the record."""
        self.listener(Event("phase", name))
        started, outer, self.current = time.perf_counter(), self.current, name
        try:
            yield
        finally:
            self.current = outer
            self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - started, 3)
