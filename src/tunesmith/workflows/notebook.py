"""Shows the progress of long work in a notebook: a bar with the loss and the newest validation metric."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from importlib.util import find_spec
from typing import Any

from tunesmith.progress import Event, Listener, silent
from tunesmith.report.words import values_text

NOTEBOOK_SHELL = "ZMQInteractiveShell"
"""IPython's shell behind every notebook; in a terminal it has another name."""


@contextmanager
def listener_here(listener: Listener | None) -> Iterator[Listener]:
    """Gives the caller's listener; without one, the progress of a notebook, or nothing elsewhere. Ends the display at the end."""
    if listener is not None or not is_notebook():
        yield silent if listener is None else listener
        return
    progress = WidgetProgress() if find_spec("ipywidgets") else LineProgress()
    try:
        yield progress
    finally:
        progress.close()


def is_notebook() -> bool:
    """Returns whether this process runs the cells of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return type(shell).__name__ == NOTEBOOK_SHELL


@dataclass
class LineProgress:
    """Progress listener that updates one line of a notebook; needs no further library.

    Attributes:
        notes: messages, which stay below the line.
    """

    phase: str = ""
    line: str = ""
    notes: list[str] = field(default_factory=list)
    handle: Any = None

    def __call__(self, event: Event) -> None:
        if event.kind == "note":
            self.notes.append(event.text)
        else:
            self.phase = event.text if event.kind == "phase" else self.phase or event.text
            self.line = escape(f"{self.phase}: {event.text} ..." if event.kind == "part" else self.phase)
        if event.kind == "step" and event.total:
            bar = f'<progress value="{event.done}" max="{event.total}"></progress>'
            values = escape(values_text(event.values))
            self.line += f" {bar} {event.done:,} of {event.total:,}{'; ' * bool(values)}{values}"
        self.show()

    def show(self) -> None:
        from IPython.display import HTML, display

        page = HTML("<br>".join([self.line, *map(escape, self.notes)]))
        if self.handle is None:
            self.handle = display(page, display_id=True)
        else:
            self.handle.update(page)

    def close(self) -> None:
        """Leaves only the notes."""
        self.line = ""
        if self.handle is not None:
            self.show()


@dataclass
class WidgetProgress:
    """Progress listener that draws tqdm's notebook bar, one per phase with a number of steps; needs ipywidgets."""

    phase: str = ""
    bar: Any = None

    def __call__(self, event: Event) -> None:
        from IPython.display import display
        from tqdm.notebook import tqdm

        if event.kind == "note":
            display({"text/plain": event.text}, raw=True)
        elif event.kind == "phase":
            self.close()
            self.phase = event.text
        elif event.kind == "step":
            if self.bar is None or self.bar.total != event.total:
                self.close()
                self.bar = tqdm(total=event.total, initial=event.done, desc=self.phase or event.text, leave=False)
            self.bar.set_postfix_str(values_text(event.values), refresh=False)
            self.bar.update(event.done - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None
