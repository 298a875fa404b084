"""Handles Ctrl-C and SIGTERM in the phase of training: at once, but between optimizer steps at the next step boundary."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM)


@dataclass
class StopRequest:
    """A request to stop the training; true after the first signal.

    Attributes:
        signal_name: the first signal; empty before it.
        is_held: whether the first signal is only noted, since its reader stops at the next step boundary and saves.
    """

    signal_name: str = ""
    is_held: bool = False

    def __bool__(self) -> bool:
        return bool(self.signal_name)

    @contextmanager
    def held(self, is_held: bool = True) -> Iterator[None]:
        """Notes the first signal in this block, whose code has to look for it; False: raises KeyboardInterrupt at once."""
        before, self.is_held = self.is_held, is_held
        try:
            if self and not is_held:
                raise KeyboardInterrupt
            yield
        finally:
            self.is_held = before

    def receive(self, number: int) -> None:
        """Notes a signal. Raises KeyboardInterrupt for a second one, and for the first one outside of a held block."""
        is_first, self.signal_name = not self, self.signal_name or signal.Signals(number).name
        if not (is_first and self.is_held):
            raise KeyboardInterrupt


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Yields a request that receives the signals of this process meanwhile.

    Handlers can only be set in the main thread; elsewhere the request stays false and the caller's own handling applies.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def receive(number: int, _frame: FrameType | None) -> None:
        request.receive(number)

    previous = {number: signal.signal(number, receive) for number in STOPPING}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
