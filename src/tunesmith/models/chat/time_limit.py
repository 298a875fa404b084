"""Ends the rendering of a chat template that takes seconds, in any thread, or more depth or memory than there is."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from tunesmith.data.cells import plural
from tunesmith.errors import ModelError

SLOWEST_SECONDS, SECONDS_A_CONVERSATION = 5.0, 0.05
"""A template may take so long for one call and for each conversation in it; usual ones need less than a millisecond."""
SECONDS_BETWEEN_LOOKS = 0.1

T = TypeVar("T")


class TooSlow(BaseException):
    """Raised in the thread that renders; no ``except Exception`` of a library stops it."""


class Watch:
    """Watches renderings, and raises TooSlow, once, in the thread of each that has taken longer than its limit.

    A signal would reach the main thread alone, counting the steps of a template's loops would slow down all templates, and a
    timer of their own would take longer to start than most renderings do. So one thread looks at all of them now and then; it
    ends when there is none.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.ends: dict[int, float] = {}  # thread -> when its rendering has to be done
        self.looking: threading.Thread | None = None

    def begin(self, seconds: float) -> None:
        """Watches this thread from now on."""
        with self.lock:
            self.ends[threading.get_ident()] = time.monotonic() + seconds
            if self.looking is None or not self.looking.is_alive():
                self.looking = threading.Thread(target=self.look, name="chat template time limit", daemon=True)
                self.looking.start()

    def end(self) -> None:
        """Ends the watch of this thread: no TooSlow is raised after it, also if the time was over just before."""
        with self.lock:
            if self.ends.pop(threading.get_ident(), None) is None:
                receive_error()

    def look(self) -> None:
        while True:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            with self.lock:
                for thread in [thread for thread, end in self.ends.items() if time.monotonic() > end]:
                    del self.ends[thread]
                    raise_in(thread, TooSlow)
                if not self.ends:
                    self.looking = None
                    return


WATCH = Watch()


def raise_in(thread: int, error: type[BaseException]) -> None:
    """Raises an error at the next step of a thread's Python code, in place of one that was not raised yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))


def receive_error() -> None:
    """Receives the error that may still be on its way to this thread.

    CPython 3.11 can also take it back, but then believes for ever that one is coming: all code is slower, and no profiler or
    debugger gets beyond the next call.
    """
    try:
        raise_in(threading.get_ident(), TooSlow)
        while True:
            pass
    except TooSlow:
        return


def within_time(render: Callable[[], T], where: str = "chat template", conversations: int = 1) -> T:
    """Returns what ``render`` returns. Raises ModelError if that takes seconds, or has no end or no room in memory."""
    seconds = SLOWEST_SECONDS + conversations * SECONDS_A_CONVERSATION
    WATCH.begin(seconds)
    # The error can arrive at any step up to the end of the watch, so that only code around both can catch it.
    try:
        try:
            return render()
        finally:
            WATCH.end()
    except TooSlow:
        WATCH.end()
        message = f"rendering {plural(conversations, 'conversation')} takes more than {seconds:.0f} seconds."
        cause = "the nested loops"
    except RecursionError:
        message, cause = "rendering is nested too deeply, as by a macro that calls itself.", "such a macro"
    except MemoryError:
        message, cause = "rendering needs more memory than there is.", "what repeats text"
    raise ModelError.one(where, message, f"Remove {cause} from the template, or use a model with another one.")
