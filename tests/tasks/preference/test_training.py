"""Preference runs resume exactly, stop at what is not finite, and compute their loss by rows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.fits import fit_in
from tests.language_models import write_model
from tests.tasks.preference.rows import frames, session_of
from tunesmith.errors import Interrupted, NonFinite
from tunesmith.models.chat.answers import Answers
from tunesmith.models.encode import IGNORE_INDEX
from tunesmith.tasks.preference import training
from tunesmith.tasks.preference.model import trl_arguments
from tunesmith.training.trainers.preference import REFERENCE


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "llama")


SYNC = {"preference": {"sync_ref_model": True, "ref_model_sync_steps": 2, "ref_model_mixup_alpha": 0.7}}
RESUMED: dict[str, dict[str, Any]] = {
    "lora": {"adapter": {"method": "lora"}},
    "moving reference": SYNC,
    "kto": {"preference": {"loss_type": "kto"}},
    "simpo": {"preference": {"loss_type": "simpo"}},
}


@pytest.mark.parametrize("name", RESUMED)
def test_a_resumed_run_equals_one_that_was_not_stopped(llama: Path, tmp_path: Path, name: str) -> None:
    def fit(place: str, **options: Any) -> Any:
        folder = tmp_path / place
        folder.mkdir(exist_ok=True)
        return fit_in(folder, *session_of(llama, folder, **RESUMED[name]), **options)

    whole = fit("whole")
    with pytest.raises(Interrupted):
        fit("parts", stop_at=3)
    assert bool(list((tmp_path / "parts").rglob(REFERENCE))) is (name == "moving reference")
    torch.manual_seed(99)
    resumed = fit("parts", resume=True)
    assert resumed.losses == whole.losses
    assert all(torch.equal(resumed.weights[key], value) for key, value in whole.weights.items())
    if name == "moving reference":
        pairs = zip(resumed.session.reference.parameters(), whole.session.reference.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


def test_a_moving_reference_moves_at_its_steps(llama: Path, tmp_path: Path) -> None:
    steps, session = session_of(llama, tmp_path, **SYNC)
    before = [parameter.clone() for parameter in session.reference.parameters()]
    trained = fit_in(tmp_path, steps, session)
    assert any(not torch.equal(a, b) for a, b in zip(before, session.reference.parameters(), strict=True))
    assert trained.session.splits["validation"].reference.logps is session.splits["validation"].reference.logps


@pytest.mark.parametrize("loss", ["simpo", "cpo", "sigmoid_norm"])
def test_a_gradient_that_is_not_finite_stops_the_run(llama: Path, tmp_path: Path, loss: str) -> None:
    """Upstream logs a loss of 0.0 there, and trains on."""
    steps, session = session_of(llama, tmp_path, preference={"loss_type": loss})
    with torch.no_grad():
        session.model.lm_head.weight[5] = float("inf")
    with pytest.raises(NonFinite, match="Rows of that step"):
        fit_in(tmp_path, steps, session)


def test_an_answer_without_tokens_stops_simpo(llama: Path, tmp_path: Path) -> None:
    """Rendering never makes such a row; upstream divides by its length."""
    steps, session = session_of(llama, tmp_path, preference={"loss_type": "simpo"})
    chosen = session.tokens.chosen
    empty = tuple(np.full_like(labels, IGNORE_INDEX) for labels in chosen.labels)
    session = replace(session, tokens=replace(session.tokens, chosen=Answers(chosen.input_ids, empty)))
    with pytest.raises(NonFinite):
        fit_in(tmp_path, steps, session)


@pytest.mark.parametrize("loss", ["sigmoid", "ipo", "bco_pair", "cpo_hinge"])
def test_the_validation_loss_does_not_depend_on_the_last_batch(llama: Path, tmp_path: Path, loss: str) -> None:
    values = []
    for size in (2, 3, 5):
        preference = {"loss_type": loss, **({"cpo_alpha": 0.0} if loss.startswith("cpo") else {})}
        _, session = session_of(llama, tmp_path, preference=preference, train={"per_device_train_batch_size": size})
        with torch.no_grad():
            for parameter in session.model.parameters():
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        split = session.splits["validation"]
        assert len(split.rows) == 5
        values.append(training.mean_loss(session, session.model, split))
        alone = [
            training.batch_loss(session, session.model, training.training_tokens(split.rows, 0), [i]).item() for i in range(5)
        ]
        assert values[-1] == pytest.approx(np.mean(alone), rel=1e-4)
    assert values == pytest.approx([values[0]] * 3, rel=1e-4)


def test_accumulated_batches_train_as_one_large_batch(llama: Path, tmp_path: Path) -> None:
    weights = []
    for size, count in ((4, 1), (2, 2)):
        folder = tmp_path / f"{size}"
        folder.mkdir()
        train = {"per_device_train_batch_size": size, "gradient_accumulation_steps": count, "optim": "sgd", "learning_rate": 1.0}
        steps, session = session_of(llama, folder, train=train, frames=frames(4))
        weights.append(fit_in(folder, steps, session).weights)
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=0, atol=1e-4)


def test_upstream_neither_cuts_nor_drops_rows(llama: Path, tmp_path: Path) -> None:
    for loss in ("sigmoid", "kto", "cpo", "orpo"):
        _, session = session_of(llama, tmp_path, preference={"loss_type": loss})
        assert len(session.loss_trainer.train_dataset) == len(session.tokens)
        assert trl_arguments(session)["max_length"] in (None, session.tokens.max_length)
        assert session.loss_trainer.args.gradient_checkpointing is False


def test_training_leaves_no_forward_pass_of_upstream_on_the_model(llama: Path, tmp_path: Path) -> None:
    steps, session = session_of(llama, tmp_path, train={"max_steps": 1})
    fit_in(tmp_path, steps, session)
    assert "forward" not in session.model.__dict__


def test_good_and_bad_answers_of_a_sorted_file_are_mixed(llama: Path, tmp_path: Path) -> None:
    rows = [{"prompt": row["prompt"], "completion": row["chosen"], "label": True} for row in frames()["train"]]
    rows += [{"prompt": row["prompt"], "completion": row["rejected"], "label": False} for row in frames()["train"]]
    _, session = session_of(llama, tmp_path, preference={"loss_type": "kto"}, frames={"train": rows, "validation": rows})
    batches = list(session.loss_trainer.get_train_dataloader())
    assert all(0 < int(batch["label"].sum()) < len(batch["label"]) for batch in batches)
