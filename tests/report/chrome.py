"""Headless Chromium driven through its DevTools Protocol over a pipe: real keys and real clicks, without a dependency."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-extensions",
    "--disable-component-update",
    "--disable-dev-shm-usage",
)
ALT, CONTROL, META, SHIFT = 1, 2, 4, 8
# Keys that are no letter: code, number, and what they type.
KEYS = {
    "Enter": ("Enter", 13, "\r"),
    "Escape": ("Escape", 27, ""),
    "Backspace": ("Backspace", 8, ""),
    "Tab": ("Tab", 9, ""),
    "ArrowDown": ("ArrowDown", 40, ""),
    "ArrowUp": ("ArrowUp", 38, ""),
    "End": ("End", 35, ""),
    "Home": ("Home", 36, ""),
    "/": ("Slash", 191, "/"),
    "?": ("Slash", 191, "?"),
}


def chromium() -> str:
    """The browser's path. Skips the test where there is none, fails it where TUNESMITH_REQUIRE_BROWSER=1 asks for one."""
    if CHROMIUM is None:
        if os.environ.get("TUNESMITH_REQUIRE_BROWSER") == "1":
            pytest.fail("no Chromium was found, and TUNESMITH_REQUIRE_BROWSER=1 asks for one")
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    return CHROMIUM


class Page:
    """One tab.

    Attributes:
        console: console messages, exceptions and what the browser logged about the page, oldest first.
        downloads: the folder that downloads land in.
    """

    def __init__(self, wire: tuple[int, int], downloads: Path) -> None:
        self.reading, self.writing = wire
        self.downloads = downloads
        self.console: list[str] = []
        self.events: list[dict[str, Any]] = []
        self.rest = b""
        self.number = 0
        self.session: str | None = None

    # The wire: JSON objects that end in NUL

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to one command; events that come before it are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session is not None and not method.startswith(("Browser.", "Target.")):
            message["sessionId"] = self.session
        os.write(self.writing, json.dumps(message).encode("utf-8") + b"\0")
        while True:
            found = self.receive()
            if found.get("id") == self.number:
                if "error" in found:
                    raise RuntimeError(f"{method}: {found['error']['message']}")
                answer: dict[str, Any] = found["result"]
                return answer
            self.note(found)

    def receive(self, seconds: float = 60) -> dict[str, Any]:
        """The next message. Raises TimeoutError where none comes."""
        until = time.monotonic() + seconds
        while b"\0" not in self.rest:
            if not select.select([self.reading], [], [], max(0.0, until - time.monotonic()))[0]:
                raise TimeoutError(f"Chromium sent nothing for {seconds} s")
            some = os.read(self.reading, 1 << 20)
            if not some:
                raise RuntimeError("Chromium is gone")
            self.rest += some
        text, self.rest = self.rest.split(b"\0", 1)
        message: dict[str, Any] = json.loads(text)
        return message

    def note(self, message: dict[str, Any]) -> None:
        """Keep an event; what the page says goes to ``console`` too."""
        method, params = message.get("method", ""), message.get("params", {})
        self.events.append(message)
        if method == "Runtime.consoleAPICalled":
            self.console.append(" ".join(str(arg.get("value", arg.get("description"))) for arg in params["args"]))
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.console.append(str(details.get("exception", {}).get("description", details["text"])))
        elif method == "Log.entryAdded":
            self.console.append(params["entry"]["text"])

    def wait(self, method: str, seconds: float = 60, **wanted: Any) -> dict[str, Any]:
        """The parameters of the first event of that name that was not waited for yet, with these values."""
        seen = 0
        while True:
            for message in self.events[seen:]:
                params: dict[str, Any] = message.get("params", {})
                if message.get("method") == method and all(params.get(key) == value for key, value in wanted.items()):
                    self.events.remove(message)
                    return params
            seen = len(self.events)
            self.note(self.receive(seconds))

    # The page

    def attach(self) -> None:
        """Open the tab and listen to it."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for method in ("Page.enable", "Runtime.enable", "Log.enable"):
            self.call(method)
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads), eventsEnabled=True)

    def open(self, path: Path, ready: str = "document.readyState === 'complete'") -> None:
        """Load a file and wait until ``ready`` holds."""
        self.call("Page.navigate", url=path.as_uri())
        self.wait("Page.loadEventFired")
        self.until(ready)

    def reload(self, ready: str) -> None:
        self.call("Page.reload")
        self.wait("Page.loadEventFired")
        self.until(ready)

    def js(self, expression: str) -> Any:
        """The value of an expression; promises are waited for. Raises RuntimeError where it throws."""
        done = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in done:
            raise RuntimeError(str(done["exceptionDetails"].get("exception", {}).get("description", done)))
        return done["result"].get("value")

    def until(self, expression: str, seconds: float = 30) -> None:
        """Wait until an expression is true. Raises TimeoutError."""
        end = time.monotonic() + seconds
        while not self.js(f"Boolean({expression})"):
            if time.monotonic() > end:
                raise TimeoutError(f"not true within {seconds} s: {expression}")
            time.sleep(0.02)

    def press(self, key: str, modifiers: int = 0) -> None:
        """One key down and up. An upper-case letter is typed with Shift."""
        if len(key) == 1 and key.isalnum():
            modifiers |= SHIFT if key.isupper() else 0
            code, number, typed = f"{'Digit' if key.isdigit() else 'Key'}{key.upper()}", ord(key.upper()), key
        else:
            code, number, typed = KEYS[key]
        text = "" if modifiers & (CONTROL | ALT | META) else typed
        common = {"key": key, "code": code, "windowsVirtualKeyCode": number, "modifiers": modifiers}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def keys(self, keys: str) -> None:
        """One key press for each character."""
        for key in keys:
            self.press(key)

    def write(self, text: str) -> None:
        """Text into the focused field, as an input method writes it."""
        self.call("Input.insertText", text=text)

    def point(self, x: float, y: float) -> None:
        """Move the mouse there."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, x: float, y: float) -> None:
        self.point(x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def box(self, selector: str) -> dict[str, float]:
        """Left, top, width and height of an element in CSS pixels."""
        found: dict[str, float] = self.js(f"document.querySelector({json.dumps(selector)}).getBoundingClientRect().toJSON()")
        return found

    def click_on(self, selector: str) -> None:
        """A click in the middle of an element."""
        box = self.box(selector)
        self.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def choose(self, select_id: str, value: object) -> None:
        """Choose an option of a select by its value, as its menu does."""
        chosen = f"box = document.getElementById('{select_id}'); box.value = '{value}'; box.value"
        assert self.js(f"(() => {{ let {chosen}; return box.value; }})()") == str(value), f"{select_id} has no option {value}"
        self.js(f"document.getElementById('{select_id}').dispatchEvent(new Event('change'))")

    def size(self, width: int, height: int, scale: float = 1, phone: bool = False) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone)

    def scheme(self, name: str) -> None:
        """``light`` or ``dark``."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def downloaded(self) -> Path:
        """The file of the next download, when it is complete."""
        begun = self.wait("Browser.downloadWillBegin", 15)
        self.wait("Browser.downloadProgress", 15, guid=begun["guid"], state="completed")
        return self.downloads / begun["suggestedFilename"]

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextlib.contextmanager
def page(folder: Path, *flags: str) -> Iterator[Page]:
    """A tab in a browser of its own, whose profile and downloads are in ``folder``."""
    path = chromium()
    downloads = folder / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    to_chrome, from_chrome = os.pipe(), os.pipe()
    # Chromium reads from 3 and writes to 4: our ends move out of the way first.
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 100) for end in (to_chrome[0], from_chrome[1])]
    argv = [path, *FLAGS, f"--user-data-dir={folder / 'profile'}", "--remote-debugging-pipe", *flags]
    actions = [
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, str(folder / "chromium.log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        (os.POSIX_SPAWN_DUP2, ends[0], 3),
        (os.POSIX_SPAWN_DUP2, ends[1], 4),
    ]
    process = os.posix_spawn(path, argv, os.environ, file_actions=actions, setpgroup=0)
    for end in (to_chrome[0], from_chrome[1], *ends):
        os.close(end)
    try:
        tab = Page((from_chrome[0], to_chrome[1]), downloads)
        tab.attach()
        yield tab
    finally:
        stop(process)
        os.close(to_chrome[1])
        os.close(from_chrome[0])


def stop(process: int) -> None:
    """End the browser and every process it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
