"""Loads a finished run: its result and its model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.errors import ModelError
from tunesmith.results import RunResult, Verdict
from tunesmith.run_folder import RESULT, require_finished

if TYPE_CHECKING:
    from tunesmith.tasks.classification.predictor import Predictor


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: the run folder.
        result: the content of ``result.json``.
    """

    folder: Path
    result: RunResult

    @classmethod
    def load(cls, folder: str | Path) -> Run:
        """Loads a run from its folder. Raises ModelError if it is not a finished one."""
        path = Path(folder)
        require_finished(path)
        if not (path / RESULT).exists():
            raise ModelError.one(str(path), f"this is no finished run: it has no {RESULT}.")
        return cls(path, RunResult.load(path / RESULT))

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Returns the comparisons with every baseline."""
        return self.result.verdicts

    @cached_property
    def predictor(self) -> Predictor:
        """Loads the model, once at the first use."""
        from tunesmith.tasks.classification.predictor import load_predictor

        return load_predictor(self.folder)

    def predict(self, texts: list[str], pairs: list[str] | None = None) -> list[dict[str, Any]]:
        """Predicts texts, one dictionary each: see ``Predictor.rows``."""
        return self.predictor.rows(self.predictor.scores(list(texts), pairs))
