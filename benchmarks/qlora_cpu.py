"""Tests LoRA on weights in 4 and 8 bits on a CPU: whether evaluations change the training, and what merging costs.

    python benchmarks/qlora_cpu.py

The 3 M-parameter Llama on Alpaca's rows. Training with an evaluation every 2 steps is compared with training without any, also
without the guard that keeps 4-bit weights in the form that has gradients. Then the adapter is merged into the base model that is
not rounded; its loss is compared with the adapter's on the same base, on the rounded base it was trained on, on the rounded
values as fp32, and with that of upstream's merge into rounded weights.
"""

from __future__ import annotations

import copy
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from record import write

from tunesmith.machine import quiet_libraries, seed_everything
from tunesmith.models.adapters.attach import add_language_adapter, load_adapter
from tunesmith.models.adapters.quantise import Quantisation
from tunesmith.models.language.model import CAUSAL, load_language_model
from tunesmith.models.language.save import mean_loss, reload_language_model, sample_logits, save_language_model
from tunesmith.models.load import load_tokenizer
from tunesmith.models.source import ModelSource
from tunesmith.recipe.sections import AdapterSection

SHARED = Path(__file__).resolve().parent.parent / ".." / "shared"
SOURCE = ModelSource("stories3M", str((SHARED / "models" / "stories3M").resolve()), "folder")
LORA = AdapterSection(method="lora", r=16, lora_alpha=32, target_modules="all-linear")
TOKENS, TRAINED_ROWS, HELD_OUT_ROWS, BATCH_ROWS = 128, 2_000, 200, 16
STEPS, LEARNING_RATE = 120, 2e-3
COMPARED_STEPS = 12


def rows() -> tuple[list[list[int]], list[list[int]]]:
    """Reads token ids of rows to train on, and of others to measure the loss on."""
    tokenizer = load_tokenizer(SOURCE)
    found = json.loads((SHARED / "data" / "alpaca" / "alpaca_5000.json").read_text(encoding="utf-8"))
    texts = ["\n".join(part for part in (row["instruction"], row["input"], row["output"]) if part) for row in found]
    ids = [tokenizer(text)["input_ids"][:TOKENS] for text in texts[: TRAINED_ROWS + HELD_OUT_ROWS]]
    return ids[:TRAINED_ROWS], ids[TRAINED_ROWS:]


def adapted(kind: Quantisation, guarded: bool = True, section: AdapterSection = LORA) -> Any:
    """Loads the quantised base model with a new adapter, the same every time."""
    seed_everything(0)
    loaded = load_language_model(SOURCE, load_tokenizer(SOURCE), CAUSAL, kind)
    model = add_language_adapter(loaded, section, STEPS, CAUSAL)
    if not guarded:
        for module in model.modules():
            if hasattr(module, "support_avx512bf16_for_cpu"):
                module.support_avx512bf16_for_cpu = True
    return model


def train(model: Any, train_rows: Sequence[Sequence[int]], held_out: Sequence[Sequence[int]], steps: int, eval_steps: int) -> Any:
    """Trains, and returns upstream's log of each step."""
    from transformers import DataCollatorForLanguageModeling, PrinterCallback, Trainer, TrainingArguments

    with tempfile.TemporaryDirectory() as place:
        arguments = TrainingArguments(
            place, max_steps=steps, per_device_train_batch_size=BATCH_ROWS, per_device_eval_batch_size=BATCH_ROWS,
            learning_rate=LEARNING_RATE, logging_steps=1, eval_strategy="steps" if eval_steps else "no",
            eval_steps=eval_steps or None, save_strategy="no", use_cpu=True, report_to="none", disable_tqdm=True,
        )  # fmt: skip
        tokenizer = load_tokenizer(SOURCE)
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.unk_token
        trainer = Trainer(
            model=model, args=arguments, train_dataset=[{"input_ids": ids} for ids in train_rows],
            eval_dataset=[{"input_ids": ids} for ids in held_out[:BATCH_ROWS]],
            data_collator=DataCollatorForLanguageModeling(tokenizer, mlm=False),
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return [entry for entry in trainer.state.log_history if "loss" in entry]


def with_and_without_evaluations(kind: Quantisation, train_rows: Any, held_out: Any) -> dict[str, Any]:
    """Returns the losses of the first steps with an evaluation every 2 steps, and with none."""
    runs = {
        "without_evaluations": train(adapted(kind), train_rows, held_out, COMPARED_STEPS, 0),
        "evaluated_every_2_steps": train(adapted(kind), train_rows, held_out, COMPARED_STEPS, 2),
    }
    if kind == "nf4":
        few = AdapterSection(method="lora", r=16, lora_alpha=32)
        for name, section in (("all_linear", LORA), ("query_and_value", few)):
            model = adapted(kind, guarded=False, section=section)
            runs[f"evaluated_without_the_guard_{name}"] = train(model, train_rows, held_out, COMPARED_STEPS, 2)
    losses = {name: [entry["loss"] for entry in log] for name, log in runs.items()}
    norms = {name: [float(entry["grad_norm"]) for entry in log] for name, log in runs.items()}
    return {
        "losses": losses, "gradient_norms": norms,
        "identical": losses["evaluated_every_2_steps"] == losses["without_evaluations"],
        "steps_with_gradient_zero": {name: sum(norm == 0.0 for norm in found) for name, found in norms.items()},
    }  # fmt: skip


def merging(kind: Quantisation, train_rows: Any, held_out: Any) -> dict[str, Any]:
    """Returns the losses on held-out rows before training, after it, and after merging in two ways."""
    from bitsandbytes.functional import has_avx512bf16

    tokenizer = load_tokenizer(SOURCE)
    base = load_language_model(SOURCE, tokenizer, CAUSAL).model.eval()
    model = adapted(kind)
    seed_base = load_language_model(SOURCE, tokenizer, CAUSAL, kind).model.eval()
    started = time.perf_counter()
    log = train(model, train_rows, held_out, STEPS, 0)
    seconds = time.perf_counter() - started

    def loss(of: Any) -> float:
        return mean_loss(sample_logits(of.eval(), held_out), held_out, CAUSAL)

    before, rounded_before, rounded = loss(base), loss(seed_base), loss(model)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        saved = save_language_model(model, tokenizer, folder, SOURCE, held_out[:8])
        merged = loss(reload_language_model(folder, CAUSAL))
        on_whole_base = loss(load_adapter(base, folder.parent / "adapter"))
        as_fp32 = load_adapter(seed_base.dequantize(torch.float32), folder.parent / "adapter")
        on_dequantised, into_dequantised = loss(as_fp32), loss(as_fp32.merge_and_unload())
    into_rounded = loss(copy.deepcopy(model).merge_and_unload())
    return {
        "base": before, "rounded_base": rounded_before, "adapter_on_rounded_base": rounded,
        "adapter_on_whole_base": on_whole_base, "merged": merged,
        "adapter_on_rounded_base_as_fp32": on_dequantised, "merged_into_rounded_base_as_fp32": into_dequantised,
        "merged_minus_adapter_on_whole_base": merged - on_whole_base, "merged_minus_adapter_on_rounded_base": merged - rounded,
        "upstream_merge_into_rounded_weights": into_rounded, "first_training_loss": log[0]["loss"],
        "last_training_loss": log[-1]["loss"], "train_seconds": round(seconds, 1),
        "certificates": [{"name": one.name, "passed": one.passed, "figure": one.figure} for one in saved.certificates],
        "notes": list(saved.notes), "processor_packs_4_bit_weights": bool(has_avx512bf16()),
    }  # fmt: skip


def main() -> None:
    quiet_libraries()
    train_rows, held_out = rows()
    figures = {
        kind: {
            "evaluations": with_and_without_evaluations(kind, train_rows, held_out),
            "losses_on_held_out_rows": merging(kind, train_rows, held_out),
        }
        for kind in ("nf4", "int8")
    }
    settings = {
        "model": SOURCE.name, "rows": len(train_rows), "held_out_rows": len(held_out), "tokens_at_most": TOKENS, "steps": STEPS,
        "batch_rows": BATCH_ROWS, "learning_rate": LEARNING_RATE, "lora_r": 16, "threads": torch.get_num_threads(),
    }  # fmt: skip
    write("qlora_cpu", {"settings": settings, **figures})


if __name__ == "__main__":
    main()
