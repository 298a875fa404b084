from __future__ import annotations

import contextlib
import io
import os
import pty
import termios
import threading
import time
from itertools import pairwise

import pytest

from tunesmith.cli.progress import BarProgress, Progress, progress_on
from tunesmith.progress import Event


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def plain_lines(events: list[tuple[float, Event]], done: bool = True) -> list[str]:
    """The plain lines for events at those seconds."""
    clock, stream = Clock(), io.StringIO()
    progress = Progress(stream, clock)
    for seconds, event in events:
        clock.now = seconds
        progress(event)
    progress.close(done)
    return stream.getvalue().splitlines()


def steps(seconds_each: float, total: int) -> list[tuple[float, Event]]:
    return [(i * seconds_each, Event("step", "training", i, total)) for i in range(1, total + 1)]


def test_phases_report_when_they_begin_and_how_long_they_took() -> None:
    lines = plain_lines(
        [(0, Event("phase", "data")), (1.5, Event("note", "12 rows")), (2, Event("phase", "model")), (5, Event("note", "x"))]
    )
    assert lines == ["data ...", "12 rows", "data: done in 2 s", "model ...", "x", "model: done in 3 s"]


def test_a_phase_that_failed_is_not_called_done() -> None:
    assert plain_lines([(0, Event("phase", "data"))], done=False) == ["data ..."]


def test_a_quick_phase_has_no_step_lines() -> None:
    assert plain_lines([(0, Event("phase", "training")), *steps(0.05, 100)]) == ["training ...", "training: done in 5 s"]


@pytest.mark.parametrize(("seconds_each", "total"), [(1.0, 100), (0.01, 5000), (30.0, 1000), (0.5, 40)])
def test_step_lines_are_ten_seconds_apart_or_more_and_never_more_than_a_minute_and_a_step(
    seconds_each: float, total: int
) -> None:
    events = steps(seconds_each, total)
    lines = [line for line in plain_lines([(0, Event("phase", "training")), *events]) if " of " in line]
    at = [0.0, *(int(line.split(": ")[1].split(" of")[0].replace(",", "")) * seconds_each for line in lines)]
    gaps = [later - earlier for earlier, later in pairwise(at)]
    assert all(10 <= gap <= max(60, 2 * seconds_each) + seconds_each for gap in gaps)


def test_the_time_left_is_reckoned_from_the_first_step() -> None:
    # 100 seconds of preparation before the first step must not be counted as time per step.
    events = [(0.0, Event("phase", "training")), *((100.0 + i, Event("step", "training", i, 100)) for i in range(1, 60))]
    lines = [line for line in plain_lines(events) if " of " in line]
    assert lines[0] == "training: 1 of 100"
    assert lines[1] == "training: 11 of 100, 89 s left"


def test_the_same_phase_again_goes_on_and_counts_from_the_start() -> None:
    events = [(0.0, Event("phase", "training")), (1.0, Event("phase", "training", 0, 10)), (5.0, Event("phase", "save"))]
    assert plain_lines(events) == ["training ...", "training: done in 5 s", "save ...", "save: done in 0 s"]


def test_nobody_listening_does_not_stop_the_work() -> None:
    class Closed(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    progress = Progress(Closed())
    progress(Event("phase", "training"))
    progress(Event("step", "training", 1, 2))
    progress.close()
    assert progress.is_closed


def on_a_terminal(events: list[Event], columns: int = 0) -> str:
    """What a terminal is sent; read meanwhile, since its buffer holds only a few thousand characters."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, columns))
    sent: list[bytes] = []
    reader = threading.Thread(target=read_all, args=(master, sent))
    reader.start()
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        progress = progress_on(stream)
        assert isinstance(progress, BarProgress)
        for event in events:
            progress(event)
            time.sleep(0.02)
        progress.close()
    reader.join(10)
    os.close(master)
    return b"".join(sent).decode()


def read_all(master: int, sent: list[bytes]) -> None:
    # Linux answers EIO once the other side is closed.
    with contextlib.suppress(OSError):
        while chunk := os.read(master, 4096):
            sent.append(chunk)


@pytest.fixture
def _screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.usefixtures("_screen")
def test_a_terminal_gets_a_bar_with_the_time_left() -> None:
    sent = on_a_terminal(
        [Event("phase", "training"), *(Event("step", "training", i, 50) for i in range(1, 51)), Event("phase", "save")]
    )
    assert "training" in sent
    assert "of 50" in sent
    assert "left" in sent
    assert "\x1b[2K" in sent
    last = sent.replace("\r\n", "\n").split("\n")
    assert last[0].rpartition("\x1b[2K")[2].startswith("  training \x1b[2m")
    assert last[1].rpartition("\x1b[2K")[2].startswith("  save \x1b[2m")


@pytest.mark.usefixtures("_screen")
def test_a_note_stands_above_the_bar() -> None:
    sent = on_a_terminal(
        [Event("phase", "training"), Event("step", "training", 1, 9), Event("note", "loss 0.5"), Event("step", "training", 9, 9)]
    )
    before = sent.partition("  loss 0.5\r\n")[0]
    assert before != sent
    assert before.rpartition("\r")[2].strip() == ""
    assert before.rpartition("\r")[0].rpartition("\r")[2].strip() == ""


@pytest.mark.usefixtures("_screen")
def test_no_color_is_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[2m" not in on_a_terminal([Event("phase", "data")])


def test_a_dumb_terminal_and_a_file_get_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(progress_on(io.StringIO())) is Progress
    monkeypatch.setenv("TERM", "dumb")
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as stream:
        assert type(progress_on(stream)) is Progress
    os.close(master)


def test_steps_of_a_part_have_its_name_and_the_phase_then_counts_anew() -> None:
    part = [(0.0, Event("phase", "training")), *((float(i), Event("step", "distillation", i, 40)) for i in range(1, 41))]
    phase = [(41.0, Event("phase", "training", 0, 40)), *((41.0 + i, Event("step", "training", i, 40)) for i in range(1, 41))]
    lines = plain_lines([*part, *phase])
    assert [lines[0], lines[1], lines[4]] == [
        "training ...",
        "distillation: 10 of 40, 30 s left",
        "training: 10 of 40, 30 s left",
    ]
    assert lines[-1] == "training: done in 81 s"


VALUES = {"loss": 0.2154, "validation_macro_f1": 0.8312}


def test_plain_lines_show_the_newest_loss_and_validation_metric() -> None:
    events = [(0.0, Event("phase", "training")), (1.0, Event("step", "training", 1, 40))]
    lines = plain_lines([*events, (20.0, Event("step", "training", 20, 40, VALUES))])
    assert lines[1] == "training: 20 of 40, 20 s left; loss 0.215, validation macro F1 0.831"


@pytest.mark.usefixtures("_screen")
def test_the_bar_shows_the_newest_loss_and_validation_metric() -> None:
    steps = [Event("step", "training", i, 40, {} if i < 5 else VALUES) for i in range(1, 41)]
    sent = on_a_terminal([Event("phase", "training"), *steps])
    assert "left, loss 0.215, validation macro F1 0.831" in sent


@pytest.mark.usefixtures("_screen")
@pytest.mark.parametrize("size", [0, 100])
def test_a_terminal_of_any_width_gets_the_bar(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "0")
    sent = on_a_terminal([Event("phase", "training"), *(Event("step", "training", i, 9) for i in range(1, 10))], size)
    assert "of 9" in sent


@pytest.mark.usefixtures("_screen")
def test_a_terminal_shows_the_part_of_the_phase_in_one_line() -> None:
    sent = on_a_terminal([Event("phase", "check"), Event("part", "trial step"), Event("part", "time of a step")])
    assert sent.count("\n") == 1
    assert "\x1b[2K  check: trial step ...\r\x1b[2K  check: time of a step ..." in sent


def test_plain_lines_leave_the_parts_out() -> None:
    assert plain_lines([(0, Event("phase", "check")), (1, Event("part", "trial step"))]) == ["check ...", "check: done in 1 s"]
