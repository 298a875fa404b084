"""A template that takes too long is ended in any thread, and what comes after it is not."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from tunesmith.errors import ModelError
from tunesmith.models.chat import time_limit
from tunesmith.models.chat.time_limit import within_time

LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% set c = a * b %}{% endfor %}{% endfor %}"


@pytest.fixture
def short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limit, "SLOWEST_SECONDS", 0.1)
    monkeypatch.setattr(time_limit, "SECONDS_A_CONVERSATION", 0.0)
    monkeypatch.setattr(time_limit, "SECONDS_BETWEEN_LOOKS", 0.02)


def outcome(render: Callable[[], object]) -> object:
    try:
        return within_time(render)
    except ModelError as error:
        return str(error)


def in_a_thread(work: Callable[[], object]) -> object:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()
    thread.join(30)
    return found[0] if found else "still running"


@pytest.mark.parametrize("called", [lambda work: work(), in_a_thread], ids=["main thread", "another thread"])
def test_nested_loops_end_in_an_error(short_limit: None, byte_tokenizer, called) -> None:
    tokenizer = byte_tokenizer()
    turns = [{"role": "user", "content": "?"}]
    said = called(lambda: outcome(lambda: tokenizer.apply_chat_template(turns, chat_template=LOOPS, tokenize=False)))
    assert "chat template: rendering 1 conversation takes more than 0 seconds. Remove the nested loops" in str(said)
    assert called(lambda: outcome(lambda: "fast")) == "fast"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
            "rendering is nested too deeply, as by a macro that calls itself. Remove such a macro",
        ),
        ("{{ 'a' * 10**15 }}", "rendering needs more memory than there is. Remove what repeats text from the template"),
    ],
)
def test_endless_macros_and_texts_end_in_an_error(byte_tokenizer, template: str, message: str) -> None:
    tokenizer, turns = byte_tokenizer(), [{"role": "user", "content": "?"}]
    said = outcome(lambda: tokenizer.apply_chat_template(turns, chat_template=template, tokenize=False))
    assert f"chat template: {message}" in str(said)
    assert outcome(lambda: "fast") == "fast"


def test_threads_are_ended_each_for_itself(short_limit: None) -> None:
    def forever() -> None:
        while True:
            pass

    assert "takes more than" in str(in_a_thread(lambda: outcome(forever)))
    assert in_a_thread(lambda: [outcome(lambda i=i: i) for i in range(50)]) == list(range(50))


def test_an_end_in_time_is_no_error_afterwards(short_limit: None) -> None:
    """Renderings that end at about the limit give their value or the error, and nothing arrives after them."""
    for i in range(40):
        said = outcome(lambda i=i: time.sleep(0.09 + i * 0.001))
        assert said is None or "takes more than" in str(said)
        sum(range(1000))
    time.sleep(0.2)


PROFILED = """
import cProfile, time
from tunesmith.models.chat import time_limit
time_limit.SLOWEST_SECONDS, time_limit.SECONDS_BETWEEN_LOOKS = 0.05, 0.01
try:
    time_limit.within_time(lambda: time.sleep({seconds}))
except time_limit.ModelError:
    print("too slow")
print(cProfile.Profile().runcall(lambda: sum(i for i in range(9))))
"""


@pytest.mark.parametrize(("seconds", "said"), [(0.0, ["36"]), (0.2, ["too slow", "36"])])
def test_a_profiler_works_after_a_rendering(seconds: float, said: list[str]) -> None:
    words = [sys.executable, "-c", PROFILED.format(seconds=seconds)]
    assert subprocess.run(words, capture_output=True, text=True, timeout=60).stdout.split("\n")[:-1] == said


def test_errors_of_the_template_pass(short_limit: None) -> None:
    with pytest.raises(ZeroDivisionError):
        within_time(lambda: 1 / 0)
