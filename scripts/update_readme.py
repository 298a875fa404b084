"""Puts the captured output of ``make demo`` and ``make test`` into README.md.

The output is in ``docs/_captured/demo.txt`` and ``test.txt``; a block without such a file is not changed.
``--check`` writes nothing and exits 1 if the README shows something else.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
CAPTURED = ROOT / "docs" / "_captured"
BLOCKS = ("demo", "test")
PROGRESS = re.compile(r"[.sxXFE]+ +\[ *\d+%\]|=+ slowest \d+ durations =+|[\d.]+s (call|setup|teardown) +\S+")
"""Lines of pytest that a reader does not need: dots, and the slowest tests."""


def updated(text: str) -> str:
    """Returns the README's text with every block that has a captured file replaced by it."""
    for name in BLOCKS:
        path = CAPTURED / f"{name}.txt"
        if path.is_file():
            text = replaced(text, name, path.read_text(encoding="utf-8"))
    return text


def replaced(text: str, name: str, output: str) -> str:
    """Returns the text with one block's content replaced.

    Raises:
        SystemExit: the README has no such block.
    """
    opening, closing = f"<!-- captured:{name} -->", f"<!-- /captured:{name} -->"
    if opening not in text or closing not in text:
        raise SystemExit(f"README.md has no block {opening} ... {closing}")
    before, _, rest = text.partition(opening)
    after = rest.partition(closing)[2]
    return f"{before}{opening}\n```text\n{plain(output)}\n```\n{closing}{after}"


def plain(output: str) -> str:
    """Returns the output without colours, progress of the tests, their durations, and code fences of its own."""
    without_codes = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output)
    lines = [line.rpartition("\r")[2].rstrip().replace("```", "'''") for line in without_codes.replace("\r\n", "\n").split("\n")]
    shown = "\n".join(line for line in lines if not PROGRESS.fullmatch(line))
    return shown.strip("\n")


def main() -> int:
    """Returns 0 when the README is up to date or was written, 1 when ``--check`` found that it is not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only report whether the README is up to date")
    check = parser.parse_args().check
    before = README.read_text(encoding="utf-8")
    after = updated(before)
    if before == after:
        return 0
    if check:
        print("README.md does not show docs/_captured; run: make readme")
        return 1
    README.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
