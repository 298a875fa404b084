from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.report.fake_runs import save_run


@pytest.fixture
def write_run(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a run folder of a kind, ``write_run("binary", rows=50, alarms=...)``, and returns its path."""

    def write(kind: str, name: str = "", rows: int = 300, **changes: Any) -> Path:
        return save_run(tmp_path / (name or kind), kind, rows, **changes)

    return write
