"""The first loss of every loss, adapter and changed model is that of a model that equals its reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.language_models import write_model
from tests.tasks.preference.rows import session_of
from tunesmith.errors import RecipeError
from tunesmith.models.language.reference import AdapterOff
from tunesmith.tasks.preference import model as loading
from tunesmith.tasks.preference import preflight
from tunesmith.tasks.preference.model import PreferenceSession
from tunesmith.tasks.preference.training import batch_loss
from tunesmith.training.losses.preference import LOSSES

REFERENCED = [name for name, loss in LOSSES.items() if loss.has_reference and name != "sft"]
# The table of the losses at beta 0.1, run with TRL 1.16 by itself.
FIRST = {
    **dict.fromkeys(("sigmoid", "robust", "aot", "aot_unpaired", "sigmoid_norm"), 0.693147),
    **dict.fromkeys(("nca_pair", "bco_pair"), 1.386294),
    **dict.fromkeys(("hinge", "apo_zero", "apo_down"), 1.0),
    **dict.fromkeys(("kto", "apo_zero_unpaired"), 0.5),
    "ipo": 25.0,
    "exo_pair": 2.7612,
    "sppo_hard": 50.0,
    "discopop": 0.8466,
}
ADAPTERS = ("lora", "dora", "pissa", "olora", "ia3", "oft", "vera", "houlsby")


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("models") / "llama")


def losses(session: PreferenceSession) -> tuple[float, float | None]:
    items = preflight.sample_items(session)
    return preflight.first_loss(session, items), preflight.expected_first_loss(session, items)


@pytest.mark.parametrize("name", REFERENCED)
def test_the_first_loss_is_that_of_the_table(llama: Path, tmp_path: Path, name: str) -> None:
    _, session = session_of(llama, tmp_path, preference={"loss_type": name})
    found, expected = losses(session)
    assert expected == pytest.approx(FIRST[name], rel=1e-4)
    assert found == pytest.approx(FIRST[name], rel=1e-4)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "sft"])
def test_only_the_losses_that_the_table_says_so_of_fall_below_zero(llama: Path, tmp_path: Path, name: str) -> None:
    """The model differs much from its reference, by margins of both signs."""
    smoothing = 0.4 if LOSSES[name].smoothing else None
    _, session = session_of(llama, tmp_path, preference={"loss_type": name, "label_smoothing": smoothing})
    with torch.no_grad():
        session.model.lm_head.weight.mul_(60.0)
        pairs = [[item, item + 1] for item in range(0, len(session.tokens), 2)]
        found = [float(batch_loss(session, session.model, session.tokens, items)) for items in pairs]
    assert (min(found) < 0) == LOSSES[name].unbounded


def test_several_losses_add_up_by_their_weights(llama: Path, tmp_path: Path) -> None:
    _, session = session_of(llama, tmp_path, preference={"loss_type": ["ipo", "hinge", "sft"], "loss_weights": [0.1, 2, 0.5]})
    found, expected = losses(session)
    chosen = preflight.side_losses(session, session.model, session.tokens.chosen.take(preflight.sample_items(session)))
    assert expected == pytest.approx(2.5 + 2 + 0.5 * chosen.mean)
    assert found == pytest.approx(expected, rel=1e-5)


def test_the_weights_of_good_and_bad_answers_count(llama: Path, tmp_path: Path) -> None:
    _, session = session_of(llama, tmp_path, preference={"loss_type": "kto", "desirable_weight": 3.0})
    found, expected = losses(session)
    assert found == pytest.approx(expected)
    assert found > 0.6


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes the model in memory after it was loaded: its files hold another one."""
    honest = loading.load_language_model

    def load(*arguments: Any, **named: Any) -> Any:
        loaded = honest(*arguments, **named)
        with torch.no_grad():
            for parameter in loaded.model.parameters():
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
        return loaded

    monkeypatch.setattr(loading, "load_language_model", load)


@pytest.mark.usefixtures("changed")
@pytest.mark.parametrize("name", ["sigmoid", "ipo", "sppo_hard", "kto"])
def test_the_reference_is_the_model_in_memory_and_not_its_files(llama: Path, tmp_path: Path, name: str) -> None:
    _, session = session_of(llama, tmp_path, preference={"loss_type": name})
    assert losses(session)[0] == pytest.approx(FIRST[name], rel=1e-4)


@pytest.mark.usefixtures("changed")
@pytest.mark.parametrize("method", ADAPTERS)
def test_a_new_adapter_leaves_the_first_loss(llama: Path, tmp_path: Path, method: str) -> None:
    _, session = session_of(llama, tmp_path, adapter={"method": method})
    assert losses(session)[0] == pytest.approx(FIRST["sigmoid"], abs=1e-4)
    copied = method in ("pissa", "olora", "houlsby")
    assert isinstance(session.reference, AdapterOff) is not copied
    assert ("frozen copy" in session.reference_words) is copied
    assert "ref" not in getattr(session.model, "peft_config", {})


@pytest.mark.usefixtures("changed")
def test_pissa_with_its_adapter_off_would_be_another_model(llama: Path, tmp_path: Path) -> None:
    _, session = session_of(llama, tmp_path, adapter={"method": "pissa"})
    object.__setattr__(session, "reference", AdapterOff(session.model))
    session.__dict__.pop("loss_trainer", None)
    assert abs(losses(session)[0] - FIRST["sigmoid"]) > 1e-3
    *_, line = preflight.reference_lines(session)
    assert line.problem is not None
    assert "does not start as its reference" in line.problem.message


@pytest.mark.usefixtures("changed")
def test_an_adapter_that_starts_with_an_effect_fails_the_check(llama: Path, tmp_path: Path) -> None:
    _, session = session_of(llama, tmp_path, adapter={"method": "lora", "init_lora_weights": False})
    *_, line = preflight.reference_lines(session)
    assert line.check == "loss at the reference"
    assert line.problem is not None
    assert "adapter.method lora starts with an effect of its own" in line.problem.message


def test_an_earlier_run_with_other_lengths_leaves_the_first_loss(llama: Path, tmp_path: Path) -> None:
    """Log-probabilities of a reference that are kept by the rows and the weights alone are those of other lengths."""
    for max_length in (None, 24, 40):
        preference = {"loss_type": "ipo", "long_rows": "truncate"}
        _, session = session_of(llama, tmp_path, data={"max_length": max_length}, preference=preference)
        assert losses(session)[0] == pytest.approx(FIRST["ipo"], rel=1e-4)
    with pytest.raises(RecipeError, match="precompute_ref_log_probs"):
        session_of(llama, tmp_path, preference={"precompute_ref_log_probs": True})


def test_a_loss_without_a_reference_says_so(llama: Path, tmp_path: Path) -> None:
    _, session = session_of(llama, tmp_path, preference={"loss_type": "simpo"})
    (line,) = preflight.reference_lines(session)
    assert line.figure == "none: the loss needs no reference"


def test_the_reference_does_not_change_with_the_model(llama: Path, tmp_path: Path) -> None:
    _, session = session_of(llama, tmp_path)
    before = [parameter.clone() for parameter in session.reference.parameters()]
    with torch.no_grad():
        for parameter in session.model.parameters():
            parameter.add_(1.0)
    assert all(torch.equal(a, b) for a, b in zip(before, session.reference.parameters(), strict=True))
    assert not any(parameter.requires_grad for parameter in session.reference.parameters())
