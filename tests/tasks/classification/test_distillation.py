"""The distillation that a model of few rows starts with: what it teaches, when it is left out, and that it can be stopped."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.fits import fit_in, load_session
from tunesmith.data.labelled.labels import MULTI, REGRESSION, SINGLE
from tunesmith.data.table import Labels
from tunesmith.errors import Interrupted
from tunesmith.models.inference import logits
from tunesmith.progress import Event, silent
from tunesmith.tasks.classification import distillation
from tunesmith.tasks.classification.distillation import distil, distillation_loss, fit_teacher, warm_up_and_decay
from tunesmith.tasks.classification.evaluation import embed
from tunesmith.tasks.classification.training import model_checks
from tunesmith.training.signals import StopRequest

WORDS = "plane boat train house river garden window letter music dinner winter doctor school market".split()  # noqa: SIM905
DRAW = np.random.default_rng(0)


def pairs_of_words(n: int) -> list[dict[str, Any]]:
    """Pairs of four words each; the score is the number that both have."""
    rows = []
    for i in range(n):
        first = DRAW.permutation(WORDS)[:4].tolist()
        kept = first[: i % 5]
        second = kept + [word for word in DRAW.permutation(WORDS).tolist() if word not in first][: 4 - len(kept)]
        rows.append({"sentence1": " ".join(first), "sentence2": " ".join(DRAW.permutation(second)), "score": float(len(kept))})
    return rows


PAIRS = pairs_of_words(120)


def session_of(place: Path, rows: list[dict[str, Any]] = PAIRS, task: str = "regression", **train: Any) -> Any:
    data = {"train": "DataFrame", "validation": 0.25, "test": None}
    mapping = {"task": task, "data": data, "model": {"name": "builtin:minilm"}, "train": {"max_steps": 20, **train}}
    return load_session(mapping, {"train": rows}, place)[1]


def correlation(session: Any) -> float:
    held = session.tokens.encoded["validation"]
    found = logits(session.model, held, session.tokens.pad_id, session.fast_path)[:, 0]
    return float(np.corrcoef(found, held.labels)[0, 1])


def test_a_model_learns_from_synthetic_pairs_what_the_linear_model_knows(tmp_path: Path) -> None:
    session, events = session_of(tmp_path, head_init="random", per_device_train_batch_size=16), []
    (head, line) = model_checks(session)
    assert line.figure.startswith("40 steps on 320 synthetic pairs of the training texts")
    assert (head.check, line.check, session.start_steps) == ("head", "distillation", 40)
    before = correlation(session)
    started = distil(session, 0, StopRequest(), events.append)
    assert correlation(started) > max(0.6, before + 0.3)
    assert started.distillation.startswith("distilled from a linear model of both texts' embeddings, 40 steps")
    assert [event.done for event in events if event.kind == "step"] == list(range(1, 41))
    assert events[0] == Event("part", "distillation")


def test_a_linear_model_without_skill_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = session_of(tmp_path)
    monkeypatch.setattr(distillation, "fit_on_scaled", lambda *_: (None, 1.0))
    before = {name: tensor.clone() for name, tensor in session.model.state_dict().items()}
    assert distil(session, 0, StopRequest(), silent).distillation.startswith("as it is: no linear model of embeddings")
    assert all(torch.equal(tensor, before[name]) for name, tensor in session.model.state_dict().items())


def texts_of_words(n: int, *, are_clear: bool) -> list[dict[str, Any]]:
    """Texts of one of six words among others; the label is that word, or says nothing."""
    rows = []
    for i in range(n):
        label = WORDS[i % 6]
        words = [label, *DRAW.permutation(WORDS[6:])[:2].tolist()]
        rows.append({"text": " ".join(DRAW.permutation(words)), "label": label if are_clear else str(DRAW.integers(6))})
    return rows


def test_texts_of_clear_classes_are_distilled_and_others_are_not(tmp_path: Path) -> None:
    few = {"per_device_train_batch_size": 8, "max_steps": 12}
    session = session_of(tmp_path, texts_of_words(120, are_clear=True), "classification", **few)
    assert [line.figure.split(",")[0] for line in model_checks(session)][1] == (
        "24 steps on 96 synthetic texts of the training texts"
    )
    held, teacher = session.tokens.encoded["validation"], fit_teacher(session)
    assert teacher is not None
    wanted = torch.as_tensor(teacher.outputs(embed(session.data.splits.validation, session)))

    def distance() -> float:
        found = torch.as_tensor(logits(session.model, held, session.tokens.pad_id, session.fast_path))
        return float(distillation_loss(session.tokens.labels, found, wanted))

    before = distance()
    started = distil(session, 0, StopRequest(), silent)
    assert started.distillation.startswith("distilled from a linear model of the texts' embeddings, 24 steps on 96 synthetic")
    assert distance() < before - 0.1
    unclear = session_of(tmp_path, texts_of_words(120, are_clear=False), "classification", **few)
    random_head = session_of(tmp_path, texts_of_words(120, are_clear=True), "classification", head_init="random", **few)
    assert [unclear.distillation_plan, random_head.distillation_plan] == [None, None]


def test_numbers_of_single_texts_and_other_settings_start_as_they_are(tmp_path: Path) -> None:
    single = [{"text": row["sentence1"], "score": row["score"]} for row in PAIRS]
    for session in (session_of(tmp_path, single), session_of(tmp_path, distillation="none")):
        assert (session.distillation_plan, session.start_steps, len(model_checks(session))) == (None, 0, 1)
        assert distil(session, 0, StopRequest(), silent) is session


def test_a_stop_is_heard_during_the_distillation(tmp_path: Path) -> None:
    request = StopRequest()

    def stop(event: Event) -> None:
        if event.done == 3:
            request.signal_name = "SIGTERM"

    with pytest.raises(Interrupted, match="stopped by SIGTERM in step 4 of 40 of the distillation"):
        distil(session_of(tmp_path), 0, request, stop)


def test_the_rate_rises_and_falls_to_zero() -> None:
    rate = warm_up_and_decay(100)
    assert [rate(0), rate(5), rate(6)] == [pytest.approx(1 / 6), 1.0, 1.0]
    assert [rate(53), rate(100)] == [0.5, 0.0]
    assert all(0 <= warm_up_and_decay(n)(step) <= 1 for n in (1, 2, 3) for step in range(n + 1))


def test_the_loss_is_least_at_the_targets() -> None:
    draw = torch.Generator().manual_seed(0)
    scores = torch.randn(6, 3, generator=draw)
    kinds = {
        SINGLE: (scores, scores.softmax(1)),
        MULTI: (scores, scores.sigmoid()),
        REGRESSION: (scores[:, :1], scores[:, 0]),
    }
    for kind, (outputs, targets) in kinds.items():
        labels = Labels(names=("a", "b", "c") if kind != REGRESSION else ("score",), problem_type=kind)
        least = float(distillation_loss(labels, outputs, targets))
        assert least < float(distillation_loss(labels, outputs + torch.randn(outputs.shape, generator=draw), targets))
    classes = Labels(names=("a", "b", "c"), problem_type=SINGLE)
    entropy = -(scores.softmax(1) * F.log_softmax(scores, 1)).sum(1).mean()
    assert math.isclose(float(distillation_loss(classes, scores, scores.softmax(1))), float(entropy), rel_tol=1e-5)
    number = Labels(names=("score",), problem_type=REGRESSION)
    assert float(distillation_loss(number, scores[:, :1], scores[:, 0])) == 0.0


@pytest.mark.parametrize(("train", "factor"), [({}, 0.2), ({"learning_rate": 1e-3}, 1.0), ({"distillation": "none"}, 1.0)])
def test_a_distilled_model_is_trained_at_a_lower_rate_unless_the_recipe_names_one(
    tmp_path: Path, train: dict[str, Any], factor: float
) -> None:
    data = {"train": "DataFrame", "validation": 0.25, "test": None}
    settings = {"max_steps": 2, "n_evaluations": 1, **train}
    mapping = {"task": "regression", "data": data, "model": {"name": "builtin:minilm"}, "train": settings}
    steps, session = load_session(mapping, {"train": PAIRS}, tmp_path)
    started = distil(session, 0, StopRequest(), lambda _: None)
    fitted = fit_in(tmp_path / "fit", steps, started).fit
    assert fitted.learning_rate == pytest.approx(factor * (train.get("learning_rate") or 1e-4))
