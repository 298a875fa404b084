"""Every trap on the page of silent traps has tests, and they are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "explanation" / "preference-traps.md"
N_TRAPS = 22


def named_tests(cell: str) -> list[tuple[str, str]]:
    """Returns the file and the name of each test in a cell; one without a file is in the file before it."""
    found: list[tuple[str, str]] = []
    for file, name in re.findall(r"`([^`:]*)::(\w+)`", cell):
        found.append((file or found[-1][0], name))
    return found


def test_every_trap_has_tests_that_exist() -> None:
    rows = re.findall(r"^\| (P\d+) \|.*\|([^|]*)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(f"P{i}" for i in range(1, N_TRAPS + 1))
    for trap, cell in rows:
        tests = named_tests(cell)
        assert tests, trap
        for file, name in tests:
            assert re.search(rf"^def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), (trap, file, name)
