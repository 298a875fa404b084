"""Runs of every task that the tests of the contract share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.contract import toy_task
from tests.contract.cases import Case
from tests.fits import Trained, fit_in, load_session
from tests.language_models import write_model
from tunesmith.recipe.load import load_recipe
from tunesmith.recipe.sections import Recipe
from tunesmith.tasks.finished import Run
from tunesmith.tasks.task import TaskSteps
from tunesmith.workflows.train import train

SHORT = {"max_steps": 6, "n_logs": 6}


@dataclass
class Runs:
    """Finished runs of the cases, each made once.

    Attributes:
        models: name in ``Case.model`` -> folder of a tiny model.
    """

    root: Path
    models: dict[str, Path]
    finished: dict[tuple[str, str], Run] = field(default_factory=dict)
    sessions: dict[str, tuple[TaskSteps[Any, Any], Any]] = field(default_factory=dict)

    def folder(self, case: Case, name: str) -> Path:
        place = self.root / case.name.replace(" ", "_") / name
        place.mkdir(parents=True, exist_ok=True)
        return place

    def recipe(self, case: Case, name: str, **changes: Any) -> Path:
        """Writes the recipe and its files; the run goes into ``run`` beside it."""
        place = self.folder(case, name)
        mapping = case.mapping(place, self.models, output=str(place / "run"), **changes)
        path = place / "recipe.yaml"
        path.write_text(json.dumps(mapping), encoding="utf-8")
        return path

    def run(self, case: Case, name: str = "base", *, smoke: bool = False, **changes: Any) -> Run:
        """Returns the finished run of that name, trained at the first call."""
        key = (case.name, name)
        if key not in self.finished:
            done = train(load_recipe(self.recipe(case, name, **changes)), smoke=smoke)
            assert done is not None
            self.finished[key] = done
        return self.finished[key]

    def fit(self, case: Case, name: str, **options: Any) -> Trained:
        """Trains one model in a folder of that name; see ``tests.fits.fit_in``."""
        place = self.folder(case, f"fit-{name}")
        return fit_in(place, *load_session(case.mapping(place, self.models, train=SHORT), {}, place), **options)

    def plain(self, case: Case) -> tuple[TaskSteps[Any, Any], Any]:
        """Returns the steps and a trained session on the upstream path, whose outputs are in fp32; trained at the first call."""
        if case.name not in self.sessions:
            place = self.folder(case, "plain")
            steps, session = load_session(case.mapping(place, self.models, train={**SHORT, "fast": False}), {}, place)
            fit_in(place, steps, session)
            self.sessions[case.name] = (steps, session)
        return self.sessions[case.name]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Runs]:
    root = tmp_path_factory.mktemp("contract")
    models = {"bert": tiny_model, "masked": write_model(root / "masked", "bert")}
    models |= {family: write_model(root / family, family) for family in ("llama", "t5")}
    with pytest.MonkeyPatch.context() as patch:
        toy_task.install(patch)
        yield Runs(root, models)
    Recipe.model_rebuild(force=True)
