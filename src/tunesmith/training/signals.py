"""Handles Ctrl-C and SIGTERM during training: noted at once, obeyed at the next step boundary."""

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
    """

    signal_name: str = ""

    def __bool__(self) -> bool:
        return bool(self.signal_name)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Yields a request that turns true with the first signal; a second one interrupts at once.

    Handlers can only be set in the main thread; elsewhere the request stays false and the caller's own handling applies.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, _frame: FrameType | None) -> None:
        if request:
            raise KeyboardInterrupt
        request.signal_name = signal.Signals(number).name

    previous = {number: signal.signal(number, note) for number in STOPPING}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
