"""Fits of language models: packed as unpacked, many small batches as a large one, and stopped runs go on as if they were not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.fits import Trained, fit_in, load_session
from tests.language_models import questions, texts, tokenizer, write_model
from tunesmith.errors import Interrupted, RecipeError
from tunesmith.models.chat.prompts import prompt_ids
from tunesmith.models.fast.path import FastPath
from tunesmith.models.fast.supervised_loss import supervised_loss
from tunesmith.tasks.language.scoring import few_shot_outputs, score_split
from tunesmith.training.trainers.tokens import batch_of


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("language-models")
    return {family: write_model(place / family, family) for family in ("llama", "bert", "mamba")}


@pytest.fixture
def ready(tmp_path: Path, models: dict[str, Path]) -> Callable[..., Any]:
    """A function that loads a tiny model and rows by a recipe."""

    def load(family: str = "llama", **sections: Any) -> Any:
        usual = {
            "per_device_train_batch_size": 8, "learning_rate": 3e-3, "num_train_epochs": 2, "n_evaluations": 3, "n_logs": 100,
            "seed": 3,
        }  # fmt: skip
        task = "pretraining" if family == "bert" else "sft"
        mapping = {
            "task": task, "data": {"train": "t", "validation": "v"}, "model": {"name": str(models[family])}, **sections,
            "evaluate": {"answers": {"rows": 2, "shots": 0}} if task == "sft" else {},
            "train": {**usual, **sections.get("train", {})},
        }  # fmt: skip
        rows = texts if family == "bert" else questions
        return load_session(mapping, {"train": rows(60), "validation": rows(12, 1)}, tmp_path)

    return load


@pytest.fixture
def train(tmp_path: Path, ready) -> Callable[..., Trained]:
    """A function that trains; ``stop_at`` asks for a stop after that step."""

    def run(place: str, *, stop_at: int | None = None, resume: bool = False, **sections: Any) -> Trained:
        return fit_in(tmp_path / place, *ready(**sections), stop_at=stop_at, resume=resume)

    return run


RESUMED: dict[str, dict[str, Any]] = {
    "answers": {},
    "packed": {"sft": {"packing": True}, "data": {"train": "t", "validation": "v", "max_length": 64}},
    "lora with dropout": {"adapter": {"method": "lora", "r": 4, "lora_dropout": 0.1}},
    "adalora": {"adapter": {"method": "adalora", "init_r": 6, "target_r": 2, "tinit": 2, "tfinal": 4}},
    "houlsby": {"adapter": {"method": "houlsby"}},
    "masked": {"family": "bert"},
    "accumulation": {"train": {"gradient_accumulation_steps": 2}},
    "upstream path": {"train": {"fast": False}},
    "noise on embeddings": {"upstream": {"neftune_noise_alpha": 5.0}},
}  # fmt: skip


@pytest.mark.parametrize("name", RESUMED)
def test_resume_is_bit_exact(train, name: str) -> None:
    whole = train("whole", **RESUMED[name])
    with pytest.raises(Interrupted, match="stopped by SIGTERM after step 2 of"):
        train("parts", stop_at=2, **RESUMED[name])
    torch.manual_seed(12345)
    np.random.seed(12345)
    parts = train("parts", resume=True, **RESUMED[name])
    assert any("resumed from step 2" in note for note in parts.fit.notes)
    assert parts.losses == whole.losses
    assert whole.weights.keys() == parts.weights.keys()
    for key, value in whole.weights.items():
        assert torch.equal(value, parts.weights[key]), key


def test_it_learns(train) -> None:
    done = train("run", train={"num_train_epochs": 4})
    assert done.losses[-1] < 0.6 * done.losses[0]


def test_eight_batches_of_one_equal_one_batch_of_eight(train) -> None:
    same = {"learning_rate": 1e-3, "max_grad_norm": 1.0, "dropout": 0.0, "num_train_epochs": 1, "fast": False}
    small = train("small", train={**same, "per_device_train_batch_size": 1, "gradient_accumulation_steps": 8})
    large = train("large", train={**same, "per_device_train_batch_size": 8})
    assert np.allclose(small.losses, large.losses, rtol=1e-5)


def test_training_is_the_same_with_logits_in_parts(train, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a large vocabulary does: here three tokens' logits are too many."""
    from tunesmith.models.fast import supervised_loss as learnt_loss

    at_once = train("at once")
    counts: list[int] = []
    of_a_part = learnt_loss.summed_loss

    def counted(head: Any, states: torch.Tensor, wanted: torch.Tensor, **options: float) -> torch.Tensor:
        counts.append(len(wanted))
        return of_a_part(head, states, wanted, **options)

    monkeypatch.setattr(learnt_loss, "MOST_LOGITS", 3 * len(tokenizer()))
    monkeypatch.setattr(learnt_loss, "summed_loss", counted)
    parts = train("in parts")
    assert max(counts) == 3
    assert np.allclose(parts.losses, at_once.losses, rtol=2e-2)  # bf16 sums in another order
    assert parts.losses[0] == pytest.approx(at_once.losses[0], rel=1e-3)


def test_packed_rows_have_the_loss_of_unpacked_ones(ready) -> None:
    data = {"train": "t", "validation": "v", "max_length": 64}
    _, packed = ready(data=data, sft={"packing": True}, train={"fast": False})
    _, alone = ready(data=data, sft={"packing": False}, train={"fast": False})
    assert packed.tokens.is_packed
    assert len(packed.tokens.packs) < len(alone.tokens.packs) == 60
    model = alone.model.eval()
    found = []
    for one in (packed, alone):
        trainer = trainer_for(one, model)
        batch = trainer.collate([{"position": i} for i in range(len(one.tokens.packs))])
        batch.pop("position")
        with torch.no_grad():
            found.append(float(trainer.compute_loss(model, dict(batch))))
    assert found[0] == pytest.approx(found[1], abs=1e-5)


def test_without_padding_training_is_the_same(train, ready) -> None:
    same = {"num_train_epochs": 1, "fast": False}
    plain, joined = train("plain", train=same), train("joined", train=same, sft={"padding_free": True})
    assert np.allclose(joined.losses, plain.losses, rtol=1e-5)
    _, loaded = ready(train=same, sft={"padding_free": True})
    batch = trainer_for(loaded, loaded.model).collate([{"position": i} for i in range(8)])
    n_tokens = int(loaded.tokens.lengths[:8].sum())
    assert batch["input_ids"].shape == (1, n_tokens)
    assert "attention_mask" not in batch


def test_a_model_that_cannot_keep_rows_apart_gets_padded_batches(ready) -> None:
    _, joined = ready()
    _, padded = ready("mamba")
    assert (joined.tokens.padding_free, padded.tokens.padding_free) == (True, False)
    batch = trainer_for(padded, padded.model).collate([{"position": i} for i in range(8)])
    assert len(batch["input_ids"]) == len(batch["attention_mask"]) == 8


def test_noise_on_embeddings_keeps_rows_apart_by_padding(ready) -> None:
    """Upstream's noise depends on the length of the sequence that a row stands in."""
    _, loaded = ready(upstream={"neftune_noise_alpha": 5.0})
    assert not loaded.tokens.padding_free


def trainer_for(loaded: Any, model: Any) -> Any:
    """Upstream's trainer on the loaded rows."""
    from trl import SFTConfig

    from tunesmith.tasks.language.training import arguments_of
    from tunesmith.training.trainers.tokens import CausalTrainer

    own = dict(arguments_of(loaded)[1])
    arguments = SFTConfig(output_dir="unused", use_cpu=True, bf16=False, report_to="none", remove_unused_columns=False, **own)
    return CausalTrainer(
        model=model, args=arguments, tokens=loaded.tokens, fast_path=loaded.fast_path, evaluate_fn=lambda _: {},
        head_alone=loaded.head_alone, expected_loss=1.0, processing_class=loaded.tokenizer,
    )  # fmt: skip


@pytest.mark.parametrize(("device", "n_processes", "fast", "ours"), [
    ("cpu", 1, True, True), ("mps", 1, True, True), ("cuda", 1, True, False), ("cpu", 2, True, False), ("cpu", 1, False, False),
])  # fmt: skip
def test_a_gpu_and_several_processes_get_upstreams_loss(device: str, n_processes: int, fast: bool, ours: bool) -> None:
    from tunesmith.training.trainers.tokens import computes_own_loss

    assert computes_own_loss(FastPath(fast=fast), n_processes, device) is ours


def test_the_loss_where_something_is_learnt_is_the_loss_of_the_whole_batch(ready) -> None:
    _, loaded = ready(sft={"padding_free": False})
    tokens, model = loaded.tokens, loaded.model.eval()
    batch = batch_of(tokens, range(8))
    with torch.no_grad():
        assert float(supervised_loss(model, batch)) == pytest.approx(float(model(**batch).loss), abs=1e-6)
        assert float(supervised_loss(model, batch, 2)) == pytest.approx(
            float(model(**batch).loss) * int((batch["labels"][:, 1:] != -100).sum()) / 2, rel=1e-5
        )


def test_the_validation_loss_does_not_depend_on_the_batch(ready) -> None:
    from tunesmith.models.language.token_losses import token_losses

    _, loaded = ready()
    rows = loaded.splits["validation"].rows
    means = [token_losses(loaded.model, rows.input_ids, rows.labels, 0, max_rows=size).mean for size in (1, 3, 8, 40)]
    assert max(means) - min(means) < 1e-6


def test_label_smoothing_is_part_of_the_loss(train, ready) -> None:
    logged = {}
    for smoothing in (0.0, 0.3):
        options = {"max_steps": 1, "num_train_epochs": None, "n_evaluations": 1, "label_smoothing_factor": smoothing}
        steps, session = ready(train=options)
        batch = batch_of(session.tokens, list(range(len(session.tokens.packs))))
        with torch.no_grad():
            logits = session.model(**{name: part for name, part in batch.items() if name != "labels"}, use_cache=False).logits[
                :, :-1
            ]
        targets = batch["labels"][:, 1:]
        expected = torch.nn.functional.cross_entropy(logits[targets != -100], targets[targets != -100], label_smoothing=smoothing)
        items = list(range(len(session.tokens.packs)))
        assert steps.trial_parts(session)[0].compute_loss(items).item() == pytest.approx(float(expected), rel=1e-5)
        fit = train(f"smooth-{smoothing}", train=options).fit
        logged[smoothing] = next(entry["loss"] for entry in fit.history if "loss" in entry)
    assert logged[0.3] != pytest.approx(logged[0.0], abs=1e-6)


def test_label_smoothing_is_refused_where_no_loss_reads_it(ready) -> None:
    with pytest.raises(RecipeError, match="masked language model is not smoothed"):
        ready("bert", train={"label_smoothing_factor": 0.1})


def test_long_prompts_are_answered_by_their_end(ready) -> None:
    """Rows that are cut are trained on; their prompts leave no room for an answer as they are."""
    data = {"train": "t", "validation": "v", "max_length": 12}
    _, session = ready(data=data, sft={"long_rows": "truncate"}, train={"per_device_train_batch_size": 2})
    split = session.splits["validation"]
    whole = [prompt_ids(session.tokenizer, session.template, split.conversations.turns[i]) for i in split.sample]
    assert any(len(prompt) >= 12 for prompt in whole)
    longest = session.generation.longest_prompt
    for prompt, before in zip(split.prompts, whole, strict=True):
        assert prompt == before if len(before) < 12 else prompt[1:] == before[len(before) - longest + 1 :]
    assert len(score_split(session, session.model, split, session.generation).texts) == len(split.sample)
    outputs, counts = few_shot_outputs(
        session, session.model, split, session.generation, session.data.rows.train.take([0, 1], "train")
    )
    assert (len(outputs.texts), set(counts)) == (len(split.sample), {0})
