"""Generating from a folder: a model saved, loaded and run, with and without a chat template and an adapter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tunesmith
from tests.generation.made import tiny_llama, tokenizer_of
from tunesmith.errors import GenerationError, ModelError
from tunesmith.generation.generator import load_text_generator
from tunesmith.progress import Event

TEMPLATE = (
    "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}{% endfor %}{% if add_generation_prompt %} [assistant]{% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = tokenizer_of("byte_level")
    model = tiny_llama(len(tokenizer), 1)
    model.save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place


def test_texts_of_a_folder(folder: Path) -> None:
    found = tunesmith.generate(folder, ["the cat", "she"], must_include=["fox"], max_new_tokens=12)
    assert [(len(texts), texts[0].satisfied) for texts in found] == [(1, True)] * 2
    one = tunesmith.generate(load_text_generator(str(folder)), "she", must_include=["fox"], max_new_tokens=12)
    assert one[0][0].token_ids == found[1][0].token_ids


def test_a_chat_template_is_used_unless_raw(folder: Path, tmp_path: Path) -> None:
    import shutil

    place = tmp_path / "chat"
    shutil.copytree(folder, place)
    tokenizer: Any = load_text_generator(str(place)).tokenizer
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(place)
    writer = load_text_generator(str(place))
    decode = writer.tokenizer.decode
    assert decode(writer.prompt_ids("the cat")) == "[user] the cat [assistant]"
    assert decode(writer.prompt_ids("the cat", raw=True)) == "the cat"
    assert (
        decode(writer.prompt_ids([{"role": "system", "content": "be"}, {"role": "user", "content": "a"}]))
        == "[system] be[user] a [assistant]"
    )
    writer.tokenizer.chat_template = "{{ raise_exception('No system, please.') }}"
    with pytest.raises(GenerationError, match=r"prompt: the chat template refuses it: No system, please\. Correct the turns"):
        writer.prompt_ids("the cat")
    with pytest.raises(GenerationError, match="turns need a chat template"):
        load_text_generator(str(folder)).prompt_ids([{"role": "user", "content": "a"}])


def test_an_adapter_writes_as_its_model(folder: Path, tmp_path: Path) -> None:
    peft, torch = pytest.importorskip("peft"), pytest.importorskip("torch")
    torch.manual_seed(0)
    adapted = peft.get_peft_model(
        load_text_generator(str(folder)).model, peft.LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, r=2)
    )
    adapted.save_pretrained(tmp_path / "adapter")
    tokenizer_of("byte_level").save_pretrained(tmp_path / "adapter")
    wanted = {"must_include": ["fox"], "max_new_tokens": 10}
    plain = tunesmith.generate(folder, "the cat", **wanted)[0][0]
    found = tunesmith.generate(tmp_path / "adapter", "the cat", **wanted)[0][0]
    adapted.merge_and_unload().save_pretrained(tmp_path / "merged")
    tokenizer_of("byte_level").save_pretrained(tmp_path / "merged")
    merged = tunesmith.generate(tmp_path / "merged", "the cat", **wanted)[0][0]
    assert found.satisfied
    assert found.token_ids == merged.token_ids != plain.token_ids
    assert found.logprob == pytest.approx(merged.logprob, abs=1e-3)


def test_half_an_emoji_in_a_prompt_is_replaced_and_named(folder: Path) -> None:
    writer, told = load_text_generator(str(folder)), list[str]()

    def listen(event: Event) -> None:
        told.extend([event.text] if event.kind == "note" else [])

    cut = tunesmith.generate(writer, ["caf\udce9 \ud83d", "she"], max_new_tokens=2, listener=listen)
    assert told == ["1 prompt holds half a character (a cut emoji, or a byte that is not UTF-8), read as U+FFFD"]
    assert cut == tunesmith.generate(writer, ["caf\ufffd \ufffd", "she"], max_new_tokens=2)
    writer.tokenizer.chat_template = TEMPLATE
    found = tunesmith.generate(writer, [{"role": "user", "content": "\ud83d"}], max_new_tokens=2)
    assert found == tunesmith.generate(writer, "\ufffd", max_new_tokens=2)


def test_an_encoder_writes_no_text(tiny_model: Path) -> None:
    with pytest.raises(ModelError, match="no weights for a next token"):
        tunesmith.generate(tiny_model, "good film")


def test_unknown_settings_are_named(folder: Path) -> None:
    with pytest.raises(GenerationError, match="num_beem: there is no setting of that name"):
        tunesmith.generate(folder, "she", num_beem=3)
