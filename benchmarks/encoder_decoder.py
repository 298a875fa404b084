"""Measures encoder-decoders: losses whatever padding, batches and accumulation, beside upstream's trainer, and a run's verdicts.

    python benchmarks/encoder_decoder.py [--seeds 3]

The models are new and tiny (two layers of width 32 to 64). ``upstream`` is transformers' ``Seq2SeqTrainer`` on the same model and
batches: one optimizer step of 8 rows, whole and as 8 micro-batches of one row. The runs
reverse the words of 2 to 4 of 17 words (1,500 rows, split by default), by a T5 that is trained from nothing.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import write

WORDS = [
    "cat",
    "dog",
    "sun",
    "tree",
    "red",
    "big",
    "little",
    "happy",
    "bird",
    "boat",
    "day",
    "girl",
    "boy",
    "home",
    "play",
    "park",
    "blue",
]
FAMILIES = ("t5", "mt5", "bart")
TOKENS, POSITIONS, PAD = 60, 64, 0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(1)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        invariance = {family: losses_of(family) for family in FAMILIES}
        accumulation = {family: accumulated(family, Path(folder)) for family in ("t5", "bart")}
        runs = reversed_words(Path(folder), args.seeds)
    figures = {"losses": invariance, "accumulation": accumulation, "reversed_words": runs}
    write("encoder_decoder", {"seeds": args.seeds, "seconds": time.perf_counter() - started, **figures})


def new_model(family: str) -> Any:
    """Makes a model of two layers and width 32."""
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    torch.manual_seed(0)
    common = {"vocab_size": TOKENS, "d_model": 32, "pad_token_id": PAD, "eos_token_id": 2}
    if family == "bart":
        sides = {f"{side}_{name}": n for side in ("encoder", "decoder") for name, n in (("layers", 2), ("attention_heads", 4))}
        own = {
            **sides,
            "max_position_embeddings": POSITIONS,
            "decoder_start_token_id": 2,
            "bos_token_id": 1,
            "dropout": 0.0,
            "init_std": 0.3,
        }
    else:
        own = {"d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": PAD, "dropout_rate": 0.0}
    return AutoModelForSeq2SeqLM.from_config(AutoConfig.for_model(family, **common, **own)).eval()


def rows(count: int, longest: int, seed: int) -> list[np.ndarray]:
    draw = np.random.default_rng(seed)
    return [draw.integers(3, TOKENS, draw.integers(2, longest + 1)) for _ in range(count)]


def losses_of(family: str) -> dict[str, float]:
    """Returns the largest relative differences of a row's loss: in other batches, and with its input padded on the left."""
    from tunesmith.models.language.seq2seq import pair_batch, pair_losses
    from tunesmith.models.language.token_losses import pad_rows, supervised_losses

    model, sources, targets = new_model(family), rows(64, 30, 0), rows(64, 12, 1)
    alone, together = (pair_losses(model, sources, targets, PAD, max_rows=n).sums for n in (1, 8))
    batch = pair_batch(model, sources, targets, PAD)
    labels = batch.pop("labels")
    mask = pad_rows([np.ones(len(row), dtype=np.int64) for row in sources], 0, left=True)
    with torch.inference_mode():
        left = {**batch, "input_ids": pad_rows(sources, PAD, left=True), "attention_mask": mask}
        values, index = supervised_losses(model, left, labels)
    of_left = np.bincount(index, values, minlength=len(sources))
    return {"batch 1 and 8": largest(alone, together), "left and right padding": largest(alone, of_left)}


def largest(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.max(np.abs(ours - theirs) / np.abs(ours)))


def accumulated(family: str, folder: Path) -> dict[str, Any]:
    """Returns loss and gradient norm of one step of 8 rows, whole and accumulated, by upstream's trainer and by ours."""
    sources, targets = rows(8, 10, 0), rows(8, 12, 1)
    return {
        name: {f"{batch} x {steps}": step(new_model(family), sources, targets, batch, steps, folder, ours=name == "tunesmith")
               for batch, steps in ((8, 1), (1, 8))}
        for name in ("upstream", "tunesmith")
    }  # fmt: skip


def step(
    model: Any, sources: list[np.ndarray], targets: list[np.ndarray], batch: int, steps: int, folder: Path, ours: bool
) -> dict[str, float]:
    """Trains one step at a learning rate of nothing, and returns the logged loss and the norm of its gradient."""
    from transformers import Seq2SeqTrainer, Seq2SeqTrainingArguments

    from tunesmith.training.trainers.pairs import PairTrainer, TrainingPairs

    arguments = Seq2SeqTrainingArguments(
        output_dir=str(folder / "step"), per_device_train_batch_size=batch, gradient_accumulation_steps=steps, max_steps=1,
        optim="sgd", learning_rate=0.0, logging_steps=1, save_strategy="no", report_to="none", use_cpu=True, disable_tqdm=True,
        max_grad_norm=1e9, remove_unused_columns=False, label_names=["labels"],
    )  # fmt: skip
    if ours:
        pairs = TrainingPairs(range(8), sources, targets, [(i,) for i in range(8)], PAD)
        usual: dict[str, Any] = {
            "model": model,
            "args": arguments,
            "evaluate_fn": lambda _model: {"loss": 0.0},
            "expected_loss": 5.0,
        }
        trainer: Any = PairTrainer(**usual, tokens=pairs, smoothing=0.0)
    else:
        data = [{"input_ids": s.tolist(), "labels": t.tolist()} for s, t in zip(sources, targets, strict=True)]
        trainer = Seq2SeqTrainer(
            model=model, args=arguments, train_dataset=data, data_collator=lambda part: collated(part, model)
        )
    trainer.train()
    (logged,) = [entry for entry in trainer.state.log_history if "grad_norm" in entry]
    return {"loss": float(logged["loss"]), "grad_norm": float(logged["grad_norm"])}


def collated(part: list[dict[str, Any]], model: Any) -> dict[str, torch.Tensor]:
    """Builds a batch, which is that of ``DataCollatorForSeq2Seq``."""
    from tunesmith.models.language.seq2seq import pair_batch

    return pair_batch(model, [np.array(row["input_ids"]) for row in part], [np.array(row["labels"]) for row in part], PAD)


def reversed_words(folder: Path, seeds: int) -> list[dict[str, Any]]:
    """Trains a T5 to reverse words, with several seeds of data order, and returns the verdicts on exact match and loss."""
    import tunesmith

    draw, texts = random.Random(0), dict[str, str]()
    while len(texts) < 1500:
        words = [draw.choice(WORDS) for _ in range(draw.randint(2, 4))]
        texts["reverse: " + " ".join(words)] = " ".join(reversed(words))
    lines = [json.dumps({"prompt": prompt, "completion": answer}) + "\n" for prompt, answer in texts.items()]
    (folder / "reverse.jsonl").write_text("".join(lines), encoding="utf-8")
    write_t5(folder / "t5")
    found = []
    for seed in range(seeds):
        run = tunesmith.train(
            str(folder / "reverse.jsonl"), task="sft", model=str(folder / "t5"), output=str(folder / f"run-{seed}"),
            train={"max_steps": 400, "learning_rate": 3e-3, "per_device_train_batch_size": 32, "n_evaluations": 2, "seed": seed},
        )  # fmt: skip
        values = {m.name: m.value for m in run.result.metrics if m.split == "test"}
        verdicts = {
            f"{v.metric} against {v.against}": [v.word, v.difference, v.low, v.high]
            for v in run.result.verdicts
            if v.split == "test" and v.metric in ("exact_match", "loss")
        }
        failed = [proof.name for proof in run.result.certificates if not proof.passed]
        found.append({"seed": seed, "exact_match": values["exact_match"], "loss": values["loss"], "verdicts": verdicts,
                      "failed_certificates": failed})  # fmt: skip
    return found


def write_t5(folder: Path) -> None:
    """Writes a new T5 with the words as tokens."""
    from transformers import T5Config, T5ForConditionalGeneration, T5Tokenizer

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((f"▁{word}", -3.0) for word in (*WORDS, "reverse:"))]
    letters = [(letter, -9.0) for letter in "abcdefghijklmnopqrstuvwxyz.,:'"]
    sentinels = [(f"<extra_id_{i}>", 0.0) for i in reversed(range(100))]
    tokenizer = T5Tokenizer(vocab=[*pieces, *letters, *sentinels], extra_ids=100, model_max_length=128)
    torch.manual_seed(0)
    shape = {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4, "dropout_rate": 0.0}
    config = T5Config(vocab_size=len(tokenizer), decoder_start_token_id=0, pad_token_id=0, eos_token_id=1, **shape)
    T5ForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    main()
