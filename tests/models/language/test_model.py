"""Language models as they are loaded, saved and read again: kinds, new tokens, and adapters of another base model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests.language_models import write_model
from tests.models.language_bases import SAMPLE, save_base, steps, tokenizer
from tunesmith.errors import ModelError, RecipeError
from tunesmith.models.adapters.attach import add_language_adapter
from tunesmith.models.adapters.base import AdapterBase, fingerprint
from tunesmith.models.language.model import (
    CAUSAL,
    MASKED,
    SEQ2SEQ,
    Objective,
    add_tokens,
    detect_objective,
    load_language_model,
    require_objective,
)
from tunesmith.models.language.save import mean_loss, reload_language_model, sample_logits, save_language_model
from tunesmith.models.load import load_tokenizer
from tunesmith.models.source import ModelSource, builtin_model
from tunesmith.recipe.sections import AdapterSection


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> ModelSource:
    return save_base(tmp_path_factory.mktemp("base") / "llama", "llama")


def adapted(source: ModelSource, method: str = "lora", new: tuple[str, ...] = (), **options):
    known = load_tokenizer(source)
    add_tokens(known, new)
    loaded = load_language_model(source, known, CAUSAL)
    return add_language_adapter(loaded, AdapterSection(method=method, **options), 10, CAUSAL), loaded


@pytest.mark.parametrize(
    ("family", "settings", "expected"),
    [
        ("llama", {}, CAUSAL),
        ("gpt2", {}, CAUSAL),
        ("qwen3", {}, CAUSAL),
        ("bert", {}, MASKED),
        ("bert", {"is_decoder": True}, CAUSAL),
        ("roberta", {}, MASKED),
        ("modernbert", {}, MASKED),
        ("modernbert-decoder", {}, CAUSAL),
        ("distilbert", {}, MASKED),
        ("t5", {"is_encoder_decoder": True}, SEQ2SEQ),
        ("mt5", {"is_encoder_decoder": True}, SEQ2SEQ),
        ("bart", {"is_encoder_decoder": True}, SEQ2SEQ),
        ("bart", {"is_encoder_decoder": False, "is_decoder": True}, CAUSAL),
    ],
)
def test_the_architecture_determines_the_context_of_a_token(family: str, settings: dict[str, bool], expected: Objective) -> None:
    assert detect_objective(SimpleNamespace(model_type=family, **settings)) == expected


@pytest.mark.parametrize(("family", "has_encoder"), [("vit", False), ("whisper", True)])
def test_other_models_are_no_language_models(family: str, has_encoder: bool) -> None:
    with pytest.raises(ModelError, match="is no language model: neither causal nor masked nor encoder-decoder"):
        detect_objective(SimpleNamespace(model_type=family, is_encoder_decoder=has_encoder))


@pytest.mark.parametrize(
    ("family", "objectives", "message"),
    [
        (
            "t5",
            (CAUSAL,),
            r"a seq2seq language model \(t5\): task: toy trains no encoder-decoder\. Name a causal one, .* task: ppo",
        ),
        ("t5", (CAUSAL, MASKED), r"trains no encoder-decoder\. Name an encoder, such as builtin:minilm, or a causal one, "),
        ("bert", (CAUSAL,), r"is a masked language model \(bert\): it generates no answers\. .* task: reward train encoders"),
    ],
)
def test_an_objective_that_a_task_does_not_train_is_refused(
    tmp_path: Path, family: str, objectives: tuple[Objective, ...], message: str
) -> None:
    source = ModelSource(family, str(write_model(tmp_path / family, family)), "folder")
    with pytest.raises(ModelError, match=message):
        require_objective(source, objectives, "toy")
    assert require_objective(source, (CAUSAL, MASKED, SEQ2SEQ), "toy").name == {"t5": "seq2seq", "bert": "masked"}[family]


def test_the_wrong_kind_is_refused(base: ModelSource) -> None:
    with pytest.raises(ModelError, match=r"it is a causal language model \(llama\)"):
        load_language_model(base, load_tokenizer(base), MASKED)
    encoder = ModelSource("builtin:minilm", str(builtin_model("minilm")), "builtin")
    with pytest.raises(ModelError, match=r"it is a masked language model \(bert\)"):
        load_language_model(encoder, load_tokenizer(encoder), CAUSAL)


def test_a_masked_head_the_base_has_not_is_new_and_trained_with_an_adapter(tiny_model: Path, tmp_path: Path) -> None:
    source = ModelSource("tiny", str(tiny_model), "folder")
    loaded = load_language_model(source, load_tokenizer(source), MASKED)
    assert "cls.predictions.transform.dense.weight" in loaded.new_weights
    assert not any("decoder.weight" in name or "embeddings" in name for name in loaded.new_weights)
    model = add_language_adapter(loaded, AdapterSection(method="lora"), 10, MASKED)
    before = model.base_model.model.cls.predictions.transform.dense.weight.detach().clone()
    steps(model, 2)
    assert not torch.equal(model.base_model.model.cls.predictions.transform.dense.weight, before)
    saved = save_language_model(model, loaded.tokenizer, tmp_path / "model", source, SAMPLE)
    assert all(certificate.passed for certificate in saved.certificates)


def test_a_body_alone_is_no_causal_language_model(base: ModelSource, tmp_path: Path) -> None:
    from transformers import LlamaModel

    LlamaModel.from_pretrained(base.location).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"do not hold the whole model: lm_head.weight"):
        load_language_model(ModelSource("body", str(tmp_path), "folder"), tokenizer(), CAUSAL)


def test_new_tokens_get_rows_that_start_as_the_mean(base: ModelSource) -> None:
    known = load_tokenizer(base)
    assert add_tokens(known, ["<a>", "w7", "<b>", "<a>"]) == (40, 41)
    state = torch.get_rng_state()
    loaded = load_language_model(base, known, CAUSAL)
    assert torch.equal(torch.get_rng_state(), state)
    assert loaded.new_tokens == (40, 41)
    rows = loaded.model.get_input_embeddings().weight
    assert rows.shape[0] == loaded.model.config.vocab_size == 42
    assert torch.allclose(rows[40:], rows[:40].mean(0).expand(2, -1), atol=1e-3)
    torch.manual_seed(7)
    again = load_language_model(base, known, CAUSAL).model.get_input_embeddings().weight
    assert torch.equal(again, rows)
    assert load_language_model(base, load_tokenizer(base), CAUSAL).new_tokens == ()
    with pytest.raises(ModelError, match="an empty text"):
        add_tokens(known, [""])


@pytest.mark.parametrize("tied", [False, True])
def test_an_adapter_trains_new_tokens_and_no_old_ones(tmp_path: Path, tied: bool) -> None:
    source = save_base(tmp_path / "base", "llama", tie_word_embeddings=tied)
    model, loaded = adapted(source, new=("<a>", "<b>"))
    ids = torch.tensor([[5, 40, 41, 9]])
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(2):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
    saved = save_language_model(model, loaded.tokenizer, tmp_path / "model", source, [[5, 40, 41, 9], *SAMPLE])
    assert all(certificate.passed for certificate in saved.certificates)
    whole = reload_language_model(tmp_path / "model", CAUSAL)
    assert whole.config.tie_word_embeddings == tied
    base_model = load_language_model(source, loaded.tokenizer, CAUSAL).model
    for ours, theirs in (
        (whole.get_input_embeddings(), base_model.get_input_embeddings()),
        (whole.get_output_embeddings(), base_model.get_output_embeddings()),
    ):
        assert torch.equal(ours.weight[:40], theirs.weight[:40])
        assert all(not torch.equal(ours.weight[i], theirs.weight[i]) for i in (40, 41))


@pytest.mark.parametrize("method", ["ia3", "prefix_tuning", "houlsby"])
def test_a_method_that_cannot_train_new_tokens_is_refused(base: ModelSource, method: str) -> None:
    with pytest.raises((RecipeError, ModelError), match="new token"):
        adapted(base, method, new=("<a>",))


def test_trainable_tokens_are_the_new_ones_where_none_are_given(base: ModelSource) -> None:
    model, _ = adapted(base, "trainable_tokens", new=("<a>", "<b>"))
    assert model.peft_config["default"].token_indices == [40, 41]
    with pytest.raises(RecipeError, match="nothing would be trained"):
        adapted(base, "trainable_tokens")


def test_settings_of_writing_are_saved_so_that_answers_end(tmp_path: Path) -> None:
    source = save_base(tmp_path / "base", "llama")
    published = {"temperature": 0.7, "do_sample": False, "eos_token_id": 9}
    (tmp_path / "base/generation_config.json").write_text(json.dumps(published))
    loaded = load_language_model(source, load_tokenizer(source), CAUSAL)
    loaded.model.config.use_cache = False  # as upstream's trainer leaves it
    save_language_model(loaded.model, loaded.tokenizer, tmp_path / "model", source, SAMPLE)
    settings = json.loads((tmp_path / "model/generation_config.json").read_text())
    assert (settings["pad_token_id"], settings["eos_token_id"]) == (0, [3, 9])
    assert "temperature" not in settings
    assert reload_language_model(tmp_path / "model", CAUSAL).config.use_cache


@pytest.fixture(scope="module")
def adapter(base: ModelSource, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved adapter that is not merged."""
    model, loaded = adapted(base)
    steps(model, 2)
    folder = tmp_path_factory.mktemp("adapter") / "model"
    saved = save_language_model(model, loaded.tokenizer, folder, base, SAMPLE, merge=False)
    assert not saved.is_merged
    assert [certificate.figure for certificate in saved.certificates] == [0.0, 0.0]
    return folder


def test_an_adapter_for_another_base_is_refused(base: ModelSource, adapter: Path, tmp_path: Path) -> None:
    from transformers import LlamaForCausalLM

    other = LlamaForCausalLM.from_pretrained(base.location)
    with torch.no_grad():
        other.model.layers[1].mlp.down_proj.weight += 0.1
    other.save_pretrained(tmp_path / "other")
    tokenizer().save_pretrained(tmp_path / "other")
    another = ModelSource("other", str(tmp_path / "other"), "folder")
    with pytest.raises(ModelError, match=r"it was trained on llama \(weights \w{12}\), and other has others"):
        reload_language_model(adapter, CAUSAL, another)


def test_an_adapter_knows_its_base_in_another_place_and_in_other_files(base: ModelSource, adapter: Path, tmp_path: Path) -> None:
    from transformers import LlamaForCausalLM

    LlamaForCausalLM.from_pretrained(base.location).save_pretrained(tmp_path / "parts", max_shard_size="20KB")
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 1
    moved = ModelSource("parts", str(tmp_path / "parts"), "folder")
    assert fingerprint(moved) == fingerprint(base)
    ours = sample_logits(reload_language_model(adapter, CAUSAL), SAMPLE)
    theirs = sample_logits(reload_language_model(adapter, CAUSAL, moved), SAMPLE)
    assert all((a == b).all() for a, b in zip(ours, theirs, strict=True))


def test_an_adapter_from_elsewhere_goes_by_the_name_peft_wrote(base: ModelSource, adapter: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(adapter, tmp_path / "foreign")
    (folder / "base.json").unlink()
    assert AdapterBase.load(folder).source.location == base.location
    reload_language_model(folder, CAUSAL, base)
    with pytest.raises(ModelError, match="it belongs to another base model"):
        reload_language_model(folder, CAUSAL, ModelSource("org/other", "org/other", "hub"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "base.json").write_text("{"), "its base model cannot be read"),
        (lambda folder: (folder / "adapter_model.safetensors").write_bytes(b"x" * 20), "its adapter cannot be loaded"),
        (
            lambda folder: (folder / "base.json").write_text(
                (folder / "base.json").read_text().replace('llama",\n    "kind"', 'gone",\n    "kind"')
            ),
            "is not at .* any more",
        ),
    ],
)
def test_damaged_adapters_are_an_error(adapter: Path, tmp_path: Path, damage, message: str) -> None:
    folder = shutil.copytree(adapter, tmp_path / "damaged")
    damage(folder)
    with pytest.raises(ModelError, match=message):
        reload_language_model(folder, CAUSAL)


def test_a_saved_whole_model_of_the_other_kind_is_refused(base: ModelSource) -> None:
    with pytest.raises(ModelError, match="masked language model"):
        reload_language_model(Path(base.location), MASKED)


def test_the_loss_is_that_of_upstream(base: ModelSource) -> None:
    model, ids = reload_language_model(Path(base.location), CAUSAL), torch.tensor([SAMPLE[0]])
    ours = mean_loss(sample_logits(model, SAMPLE[:1]), SAMPLE[:1], CAUSAL)
    assert ours == pytest.approx(float(model(input_ids=ids, labels=ids).loss.detach()), rel=1e-5)


@pytest.mark.parametrize("method", ["prompt_tuning", "p_tuning"])
def test_tokens_before_the_text_leave_inputs_and_outputs_those_of_the_text(base: ModelSource, method: str) -> None:
    model, _ = adapted(base, method, num_virtual_tokens=3)
    model.eval()
    ids = torch.tensor([SAMPLE[0]])
    with torch.inference_mode():
        whole = model(input_ids=ids)
        some = model(input_ids=ids, logits_to_keep=torch.tensor([2, 5]))
        last = model(input_ids=ids, logits_to_keep=1)
    assert whole.logits.shape[:2] == ids.shape
    assert torch.allclose(some.logits, whole.logits[:, [2, 5]], atol=1e-6)
    assert torch.allclose(last.logits[:, -1], whole.logits[:, -1], atol=1e-6)
    written = model.generate(input_ids=ids, max_new_tokens=2, do_sample=False, pad_token_id=0)
    assert int(written[0, ids.shape[1]]) == int(whole.logits[0, -1].argmax())


def test_a_masked_model_with_tokens_before_the_text_takes_labels_of_the_text(tmp_path: Path) -> None:
    source = save_base(tmp_path / "bert", "bert")
    loaded = load_language_model(source, load_tokenizer(source), MASKED)
    model = add_language_adapter(loaded, AdapterSection(method="prompt_tuning", num_virtual_tokens=3), 10, MASKED).eval()
    ids = torch.tensor([SAMPLE[0]])
    with torch.inference_mode():
        outputs = model(input_ids=ids, labels=ids, attention_mask=torch.ones_like(ids))
    expected = torch.nn.functional.cross_entropy(outputs.logits[0], ids[0])
    assert float(outputs.loss) == pytest.approx(float(expected), rel=1e-5)


def test_what_turns_out_not_to_merge_is_saved_as_an_adapter(base: ModelSource, tmp_path: Path) -> None:
    model, loaded = adapted(base, lora_bias=True)  # the layers have no bias that could take it
    steps(model, 2)
    saved = save_language_model(model, loaded.tokenizer, tmp_path / "model", base, SAMPLE)
    assert not saved.is_merged
    assert "lora cannot be merged, so the adapter was saved" in saved.notes[0]
    assert [certificate.figure for certificate in saved.certificates] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("miss", {"r": 64}, "peft cannot put it on this model: `r` (64) must be less than or equal to in_features (32)"),
        ("lora", {"target_modules": ["nothing_of_that_name"]}, "peft cannot put it on this model"),
    ],
)
def test_methods_that_do_not_fit_are_refused(base: ModelSource, method: str, options: dict, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        adapted(base, method, **options)
    assert message in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="it works there")
def test_loftq_needs_a_gpu(base: ModelSource) -> None:
    with pytest.raises(ModelError, match="Torch not compiled with CUDA"):
        adapted(base, "loftq", r=4)
