"""Measures the speed of instruction tuning: tunesmith against TRL's SFTTrainer with defaults and with fast flags, interleaved.

    python benchmarks/sft_speed.py [--model stories3M|llama100M] [--rounds 2] [--rows 500]

Alpaca's rows as prompts and completions, so that all systems supervise the same tokens; one epoch, batches
of 8, one learning rate, the round's number as seed. Target: 1.5 times the rows per second of TRL's defaults, and not slower than
its fast flags, at the same loss of held-out rows (of each system's saved model, by one function). Each run is a separate process;
rows per second are those of the training loop without evaluations, ``process`` is the time from start to saved model.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from record import spread, write

HERE = Path(__file__).resolve().parent
SHARED = HERE.parent / ".." / "shared"
WANTED, LONGEST, BATCH, VALIDATION = 1.5, 512, 8, 16
RATES = {"stories3M": 5e-4, "llama100M": 1e-4}
FAST = {
    "trl defaults": {},
    "trl without checkpointing": {"gradient_checkpointing": False},
    "trl without checkpointing, fp32": {"gradient_checkpointing": False, "bf16": False},
    "trl packing": {"gradient_checkpointing": False, "packing": True},
}
SYSTEMS = (*FAST, "tunesmith")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", choices=RATES, default="stories3M")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--systems", nargs="*", default=list(SYSTEMS))
    parser.add_argument("--one", nargs=6, metavar=("SYSTEM", "MODEL", "FILE", "OUTPUT", "RATE", "SEED"))
    args = parser.parse_args()
    if args.one:
        system, model, file, output, rate, seed = args.one
        learn = tunesmith if system == "tunesmith" else partial(trl, system)
        print(json.dumps(learn(model, file, output, float(rate), int(seed))))
        return
    with tempfile.TemporaryDirectory() as text:
        place = Path(text)
        model = SHARED / "models" / "stories3M" if args.model == "stories3M" else large_model(place / "large")
        files = rows(place, args.rows)
        found: dict[str, list[dict[str, Any]]] = {system: [] for system in args.systems}
        for number in range(args.rounds):
            for system in args.systems:
                output = place / f"{system.replace(' ', '-').replace(',', '')}-{number}"
                command = [sys.executable, __file__, "--one", system, str(model)]
                command += [str(files["train"]), str(output), str(RATES[args.model]), str(number)]
                started = time.perf_counter()
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                seconds, measured = time.perf_counter() - started, json.loads(done.stdout.splitlines()[-1])
                loss = held_out_loss(Path(measured["model"]), files["held_out"])
                found[system].append({**measured, "process": seconds, "held_out_loss": loss})
                print(system, found[system][-1], file=sys.stderr, flush=True)
        figures = summary(found)
    write(f"sft_speed_{args.model}", {"rows": args.rows, "data": "alpaca_5000, prompts and completions", **figures})


def rows(place: Path, count: int) -> dict[str, Path]:
    """Writes files of training rows, of evaluation rows for tunesmith, and of 100 others, within 512 tokens."""
    found = []
    for row in json.loads((SHARED / "data" / "alpaca" / "alpaca_5000.json").read_text(encoding="utf-8")):
        prompt = f"### Instruction:\n{row['instruction']}\n{row['input']}\n### Response:\n"
        if row["output"].strip() and len(prompt) + len(row["output"]) < 1200:
            found.append({"prompt": prompt, "completion": row["output"]})
    parts = {"train": found[:count], "validation": found[count : count + VALIDATION], "held_out": found[-100:]}
    for name, part in parts.items():
        (place / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    return {name: place / f"{name}.jsonl" for name in parts}


def large_model(folder: Path) -> Path:
    """Makes a new Llama of about 100 million weights with the small model's tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    made = AutoTokenizer.from_pretrained(SHARED / "models" / "stories3M")
    config = LlamaConfig(
        vocab_size=len(made), hidden_size=768, intermediate_size=2048, num_hidden_layers=14, num_attention_heads=12,
        max_position_embeddings=LONGEST, bos_token_id=made.bos_token_id, eos_token_id=made.eos_token_id,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    made.save_pretrained(folder)
    return folder


def trl(system: str, model: str, file: str, output: str, rate: float, seed: int) -> dict[str, Any]:
    """Trains with TRL's defaults, except for what must be equal, and the flags of this system."""
    from datasets import load_dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    config = SFTConfig(
        output_dir=output, use_cpu=True, num_train_epochs=1, per_device_train_batch_size=BATCH, learning_rate=rate,
        max_length=LONGEST, save_strategy="no", report_to="none", warmup_steps=0.06, seed=seed, disable_tqdm=True, **FAST[system],
    )  # fmt: skip
    data = load_dataset("json", data_files=file, split="train")
    tokenizer = AutoTokenizer.from_pretrained(model)
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(model, dtype="float32"), args=config, train_dataset=data,
        processing_class=tokenizer,
    )  # fmt: skip
    seconds = trainer.train().metrics["train_runtime"]
    trainer.save_model(output)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {"rows_per_second": len(data) / seconds, "seconds": seconds, "model": output, "losses": losses}


def tunesmith(model: str, file: str, output: str, rate: float, seed: int) -> dict[str, Any]:
    """Trains with every default, except for what must be equal."""
    import tunesmith as ours

    run = ours.train(
        file, task="sft", model=model, output=output, validation=str(Path(file).with_name("validation.jsonl")),
        data={"max_length": LONGEST},
        evaluate={"answers": {"rows": 0}, "baselines": []},
        train={
            "num_train_epochs": 1, "per_device_train_batch_size": BATCH, "learning_rate": rate, "n_evaluations": 1, "seed": seed,
        },
    )  # fmt: skip
    training = run.result.training
    losses = [
        event["loss"] for event in map(json.loads, (run.folder / "metrics.jsonl").read_text().splitlines()) if "loss" in event
    ]
    return {
        "rows_per_second": training["rows_per_second"], "seconds": training["train_seconds"], "model": str(run.folder / "model"),
        "losses": losses,
    }  # fmt: skip


def held_out_loss(model: Path, file: Path) -> float:
    """Returns the mean loss of the completions' tokens of the held-out rows."""
    from tunesmith.data.chat.formats import detect_chat_format
    from tunesmith.data.chat.rows import usable_conversations
    from tunesmith.data.readers.read import read_table
    from tunesmith.models.chat.render import render
    from tunesmith.models.chat.template import NO_TEMPLATE
    from tunesmith.models.language.model import CAUSAL
    from tunesmith.models.language.save import reload_language_model
    from tunesmith.models.language.token_losses import token_losses
    from tunesmith.models.load import load_tokenizer
    from tunesmith.models.source import ModelSource
    from tunesmith.recipe.sections import ColumnsSection

    table = read_table(str(file))
    conversations = usable_conversations(table, detect_chat_format(table, ColumnsSection()), "test")
    tokenizer = load_tokenizer(ModelSource(str(model), str(model), "folder"))
    made = render(tokenizer, conversations, NO_TEMPLATE, LONGEST)
    found = token_losses(reload_language_model(model, CAUSAL), made.input_ids, made.labels, tokenizer.eos_token_id)
    return found.mean


def summary(found: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Returns medians, ratios of the rounds, and the losses."""
    figures: dict[str, Any] = {
        name: {
            "rows_per_second": spread([run["rows_per_second"] for run in runs]),
            "process": spread([run["process"] for run in runs]),
            "held_out_loss": spread([run["held_out_loss"] for run in runs]),
            "logged_losses": [*runs[0]["losses"][:1], *runs[0]["losses"][-1:]],
        }
        for name, runs in found.items()
    }  # fmt: skip
    ratios = {
        name: spread([a["rows_per_second"] / b["rows_per_second"] for a, b in zip(found["tunesmith"], runs, strict=True)])
        for name, runs in found.items()
        if name != "tunesmith"
    }
    return {"systems": figures, "times_as_fast_as": ratios, "wanted": {"trl defaults": WANTED, "others": 1.0}}


if __name__ == "__main__":
    main()
