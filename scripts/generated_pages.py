"""Writes generated files, or reports those that are out of date: the command line of every script that generates pages."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def write_or_check(description: str | None, pages: Mapping[Path, str], command: str) -> int:
    """Writes the pages; with ``--check`` only names those that are out of date.

    Args:
        pages: file -> its text.
        command: what to run for the pages that are out of date.

    Returns:
        0 when all are up to date or were written, 1 when ``--check`` found one that is not.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", action="store_true", help="only report whether the files are up to date")
    check = parser.parse_args().check
    stale = {path: text for path, text in pages.items() if not path.is_file() or path.read_text(encoding="utf-8") != text}
    for path, text in stale.items():
        if check:
            print(f"{path.relative_to(ROOT)} is out of date; run: {command}")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return int(check and bool(stale))
