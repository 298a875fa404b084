"""Shows the progress of long work: a bar with the remaining time on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TextIO

from tunesmith.cli.terminal import is_terminal, paint, printable
from tunesmith.progress import Event
from tunesmith.report.numbers import duration
from tunesmith.report.words import values_text

# Plain lines for steps: at most one per LINE_SECONDS; one per LINE_SHARE of all steps, or after QUIET_SECONDS.
LINE_SECONDS = 10.0
QUIET_SECONDS = 60.0
LINE_SHARE = 0.1
BAR = "  {desc} {percentage:3.0f} % {bar} {n_fmt} of {total_fmt}, {remaining} left{postfix}"
USUAL_COLUMNS = 80
CLEAR_LINE = "\r\x1b[2K"


@dataclass
class Phase:
    """The running phase.

    Attributes:
        began: start time in seconds of the clock.
        first: time and number of the first reported step; the remaining time is estimated from it.
        shown: time and step of the last printed line.
    """

    name: str
    began: float
    first: tuple[float, int] | None = None
    shown: tuple[float, int] = (0.0, 0)


@dataclass
class Progress:
    """Progress listener that prints plain lines at the start and end of a phase, and from time to time in between.

    If the stream is closed, it prints nothing more and the work continues.
    """

    stream: TextIO
    clock: Callable[[], float] = time.monotonic
    phase: Phase | None = None
    is_closed: bool = False

    def __call__(self, event: Event) -> None:
        try:
            self.handle(event)
        except BrokenPipeError:
            self.is_closed = True

    def handle(self, event: Event) -> None:
        if self.is_closed:
            return
        if event.kind == "phase" and self.phase is not None and self.phase.name == event.text:
            self.restart(event)
        elif event.kind == "phase":
            self.end_phase()
            self.phase = Phase(event.text, self.clock(), shown=(self.clock(), event.done))
            self.begin_phase()
        elif event.kind == "step":
            self.step(event)
        elif event.kind == "part":
            self.part(event.text)
        else:
            self.note(event.text)

    def close(self, done: bool = True) -> None:
        """Ends the last phase; ``done`` is False if an error ended it."""
        with suppress(BrokenPipeError):
            if not self.is_closed:
                self.end_phase(done)
        self.is_closed = True

    def end_phase(self, done: bool = True) -> None:
        if self.phase is not None and done:
            self.line(f"{self.phase.name}: done in {duration(self.clock() - self.phase.began)}")
        self.phase = None

    def begin_phase(self) -> None:
        if self.phase is not None:
            self.line(f"{self.phase.name} ...")

    def restart(self, event: Event) -> None:
        """Restarts the step count of the phase, as for every seed."""
        if self.phase is not None:
            self.phase.first, self.phase.shown = None, (self.clock(), event.done)

    def step(self, event: Event) -> None:
        if self.phase is None:
            self.phase = Phase(event.text, self.clock(), shown=(self.clock(), 0))
        phase, now = self.phase, self.clock()
        phase.first = phase.first or (now, event.done)
        waited, gained = now - phase.shown[0], event.done - phase.shown[1]
        if waited < LINE_SECONDS or (waited < QUIET_SECONDS and gained < LINE_SHARE * event.total) or event.done >= event.total:
            return
        phase.shown = (now, event.done)
        began, start = phase.first
        left = ""
        if event.done > start:
            left = f", {duration(round((now - began) / (event.done - start) * (event.total - event.done)))} left"
        values = values_text(event.values)
        self.line(f"{event.text}: {event.done:,} of {event.total:,}{left}{'; ' * bool(values)}{values}")

    def part(self, name: str) -> None:
        """Reports a part of the phase; plain lines leave it out."""

    def note(self, text: str) -> None:
        self.line(text)

    def line(self, text: str) -> None:
        print(printable(text, self.stream), file=self.stream, flush=True)


@dataclass
class BarProgress(Progress):
    """Progress listener for terminals: redraws one line, with a bar if the number of steps is known."""

    bar: Any = field(default=None)

    def begin_phase(self) -> None:
        if self.phase is not None:
            self.stream.write(f"  {self.phase.name} ...")
            self.stream.flush()

    def part(self, name: str) -> None:
        if self.phase is not None and self.bar is None:
            self.stream.write(f"{CLEAR_LINE}  {self.phase.name}: {printable(name, self.stream)} ...")
            self.stream.flush()

    def end_phase(self, done: bool = True) -> None:
        if self.phase is None:
            return
        self.erase()
        if done:
            took = duration(self.clock() - self.phase.began)
            self.line(f"  {self.phase.name} {paint(took, 'dim', self.stream)}")
        self.phase = None

    def restart(self, event: Event) -> None:
        super().restart(event)
        if self.bar is not None:
            self.erase()
            self.begin_phase()

    def step(self, event: Event) -> None:
        if self.phase is None:
            self.phase = Phase(event.text, self.clock())
        if self.bar is None or self.bar.total != event.total or self.bar.desc != event.text:
            self.erase()
            from tqdm import tqdm  # type: ignore[import-untyped]

            # Some terminals (in containers) report a width of 0 columns, for which tqdm would draw nothing.
            is_sized = os.get_terminal_size(self.stream.fileno()).columns > 0
            self.bar = tqdm(
                total=event.total,
                initial=event.done,  # so that the remaining time of a resumed run is correct
                desc=event.text,
                file=self.stream,
                leave=False,
                bar_format=BAR,
                dynamic_ncols=is_sized,
                ncols=None if is_sized else USUAL_COLUMNS,
                mininterval=0.2,
            )
        self.bar.set_postfix_str(values_text(event.values), refresh=False)
        self.bar.update(event.done - self.bar.n)

    def note(self, text: str) -> None:
        bar, self.bar = self.bar, None
        if bar is not None:
            bar.clear()
        else:
            self.stream.write(CLEAR_LINE)
        self.line(f"  {text}")
        if bar is not None:
            bar.refresh()
            self.bar = bar
        else:
            self.begin_phase()

    def erase(self) -> None:
        """Clears the line and moves the cursor to its beginning."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
        self.stream.write(CLEAR_LINE)


def progress_on(stream: TextIO) -> Progress:
    """Returns the listener that fits the stream."""
    return BarProgress(stream) if is_terminal(stream) else Progress(stream)
