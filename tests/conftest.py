"""Tiny models and rows that the tests of all folders share."""

from __future__ import annotations

import gc
import os
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it, and so would its children
os.environ["TRACKIO_DIR"] = tempfile.mkdtemp(prefix="trackio-")  # it is read when trackio is imported

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

TESTS = Path(__file__).resolve().parent
TRAINING_TESTS = (
    "cases/test_chats.py",
    "cases/test_models.py",
    "cases/test_several_files.py",
    "cases/test_trained_columns.py",
    "contract",
    "diagnosis/test_ablation.py",
    "diagnosis/checks/test_label_noise.py",
    "diagnosis/test_after_training.py",
    "diagnosis/test_cross_validation.py",
    "diagnosis/test_datasets.py",
    "diagnosis/test_fold_finetuning.py",
    "diagnosis/test_rows.py",
    "models/adapters",
    "tasks",
    "test_recipes.py",
    "training/test_fit.py",
    "workflows/test_adapt.py",
    "workflows/test_compare_models.py",
    "workflows/test_estimator.py",
    "workflows/test_flip.py",
    "workflows/test_notebook.py",
    "workflows/test_python_api.py",
    "workflows/test_rounds.py",
    "workflows/test_saved_models.py",
    "workflows/test_train.py",
)
"""Files and folders of tests that train or fit models: ``make quick`` leaves them out."""
LONGEST = (
    "workflows/test_train.py",
    "contract/test_alarms.py",
    "contract/test_contract.py",
    "test_recipes.py",
    "tasks/embedding/test_training.py",
    "training/test_fit.py",
    "tasks/classification/test_distillation.py",
    "tasks/language/test_run.py",
    "diagnosis/test_rows.py",
    "workflows/test_estimator.py",
    "tasks/embedding/test_run.py",
    "workflows/test_python_api.py",
)
"""Files that take the longest run first, so that no process has one of them left when the other is done."""


settings.register_profile("quick", max_examples=25)


def is_training_test(path: Path) -> bool:
    return any(path.is_relative_to(TESTS / name) for name in TRAINING_TESTS)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves out the files of ``TRAINING_TESTS`` where no test of them is wanted: importing them takes seconds."""
    return True if "not trains" in config.option.markexpr and is_training_test(collection_path) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of ``TRAINING_TESTS`` with ``trains``, and puts the files of ``LONGEST`` first."""
    place = {TESTS / name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))
    training = {path: is_training_test(path) for path in {item.path for item in items}}
    for item in items:
        if training[item.path]:
            item.add_marker(pytest.mark.trains)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Takes what is left after a test that trains, and after each file, out of the garbage collector's sight.

    Trainers collect garbage, which takes 0.4 seconds among the objects of all tests and libraries: a fifth of a tiny run.
    """
    if nextitem is None or nextitem.path != item.path or item.get_closest_marker("trains"):
        gc.collect()
        gc.freeze()


WORDS = [
    "good", "bad", "fine", "awful", "great", "poor", "nice", "sad", "film", "book", "food", "day", "the", "a", "is",
    "was", "very", "not", "it", "this", "and", "so", "of", "me", "you", "he", "she", "we", "they", "go",
]  # fmt: skip


@pytest.fixture(scope="session")
def shared() -> Path:
    """The real public data beside the checkout."""
    folder = Path(__file__).resolve().parents[1] / ".." / "shared"
    if not folder.exists():
        if os.environ.get("CI"):
            pytest.fail(f"the real data at {folder} are missing")
        pytest.skip("needs the real data in ../shared, which are not part of the project")
    return folder.resolve()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of 2 layers and width 32 with a vocabulary of whole words; a folder like any base model's."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    vocabulary = {token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *"0123456789"])}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    raw.normalizer, raw.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    special = [("[CLS]", 2), ("[SEP]", 3)]
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=special
    )
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, model_max_length=64, model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **{f"{part}_token": token for part, token in names.items()},
    )  # fmt: skip
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    folder = tmp_path_factory.mktemp("models") / "tiny"
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def rows(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Sentences of known words; the label is whether a good word is in them."""
    import random

    draw, found = random.Random(seed), []
    while len(found) < count:
        words = [draw.choice(WORDS[8:]) for _ in range(draw.randint(2, 14))]
        good = draw.random() < 0.5
        words.insert(draw.randrange(len(words) + 1), draw.choice(WORDS[:8:2] if good else WORDS[1:8:2]))
        found.append({"text": " ".join(words), "label": "pos" if good else "neg"})
    return found


@pytest.fixture(scope="session")
def sentences() -> list[dict[str, str]]:
    """240 labelled sentences that a tiny model can learn."""
    return rows(240)


@pytest.fixture
def write_csv(tmp_path: Path):
    """A function that writes rows as a csv file and returns its path."""
    import csv

    def write(found: list[dict[str, str]], name: str = "data.csv") -> Path:
        path = tmp_path / name
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(found[0]))
            writer.writeheader()
            writer.writerows(found)
        return path

    return write


CHAT_SAMPLE = [
    "User: who is it at the door?", "Assistant: it is the good man.", "### Instruction: what is the sum of two numbers",
    "the answer is the number of the day", "hello there, you and the other one", "no, not at all: so it is", "good good bad",
]  # fmt: skip


@pytest.fixture(scope="session")
def byte_tokenizer() -> Callable[..., Any]:
    """A function that makes a byte-level BPE tokenizer, as GPT-2's is, with these special tokens and no chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    def make(*tokens: str, bos: str | None = None, eos: str | None = "<eos>", adds_bos: bool = False, **names: str) -> Any:
        special = [token for token in (bos, eos, *names.values(), *tokens) if token]
        raw = Tokenizer(models.BPE())
        raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        raw.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=400, initial_alphabet=alphabet, special_tokens=list(special), show_progress=False
        )
        raw.train_from_iterator(CHAT_SAMPLE * 4, trainer)
        if adds_bos:
            ids = [(bos, raw.token_to_id(bos))]
            raw.post_processor = processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=ids)
        named = {f"{part}_token": token for part, token in {"bos": bos, "eos": eos, **names}.items() if token}
        made = PreTrainedTokenizerFast(tokenizer_object=raw, **named)
        if tokens:
            made.add_special_tokens({"extra_special_tokens": list(tokens)})
        return made

    return make


@pytest.fixture(scope="session")
def spaced_tokenizer() -> Callable[..., Any]:
    """A function that makes a BPE tokenizer that puts a space before texts and has no words apart, as Llama 2's is."""
    from tokenizers import Tokenizer, decoders, models, normalizers, processors
    from transformers import PreTrainedTokenizerFast

    def make() -> Any:
        tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *map(chr, range(33, 127))]
        merges = [("▁", letter) for letter in map(chr, range(33, 127))] + [("▁", "▁"), ("o", "o")]
        vocabulary = {token: i for i, token in enumerate([*tokens, *("".join(pair) for pair in merges)])}
        raw = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        raw.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", vocabulary["<s>"])]
        )
        raw.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
        return PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="<unk>")

    return make
