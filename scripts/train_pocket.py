"""Pretrains builtin:pocket, a small Llama, on texts about the harbour town, without instructions.

    python scripts/write_pocket_text.py
    python scripts/train_pocket.py [--steps 5000] [--threads 2]

Needs ``build/pocket`` of the first command. After an interruption it continues at the last checkpoint. At the end the weights
(fp16), the tokenizer, a model card and the figures are in ``src/tunesmith/models/pocket``; ``BUILTIN`` in
``src/tunesmith/models/source.py`` takes the sha256 it prints.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from pocket_start import look_back
from tunesmith.models.source import hash_file

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "pocket"
TARGET = ROOT / "src" / "tunesmith" / "models" / "pocket"
END, PAD = "<|endoftext|>", "<|pad|>"
N_WORDS = 2048
SHAPE = {
    "hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 3, "num_key_value_heads": 3,
    "max_position_embeddings": 512, "rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0},
}  # fmt: skip
CONTEXT = SHAPE["max_position_embeddings"]
TOKENS_PER_STEP = 2048
STAGES = ((0.1, 128, 4), (0.65, 128, 1), (0.88, 256, 0), (1.0, CONTEXT, 0))
"""Up to which share of the steps sequences have which length, and how many of them are drills. Long ones cost more, and most
texts are short; a drill repeats random pieces, so that the model keeps attending to earlier text while it learns words."""
MATRIX_RATE, RATE, WEIGHT_DECAY, WARM_UP = 2e-2, 2e-3, 0.01, 100
"""Learning rates of Muon, for the matrices of the layers, and of AdamW, for token vectors and norms."""
SURPRISE = 0.1
"""How much a token counts that its text has not had: which name a passage begins with cannot be known, and what such tokens
pull at hides what can be learnt, to find the name again. After 600 steps the loss on tokens that were there before is 0.50, and
0.66 where all count the same."""
SECONDS_BETWEEN_SAVES = 120
STEPS_BETWEEN_TESTS = 200


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    tokenizer = trained_tokenizer()
    train, held_out = (tokens_of(name, tokenizer) for name in ("train", "held_out"))
    model = fresh_model(tokenizer)
    seconds = fit(model, train, held_out, args.steps, args.threads)
    figures = {
        "parameters": sum(p.numel() for p in model.parameters()), "steps": args.steps,
        "tokens_trained": args.steps * TOKENS_PER_STEP, "training_minutes": round(seconds / 60, 1), "threads": args.threads,
    }  # fmt: skip
    save(model, tokenizer, held_out, figures)


def trained_tokenizer() -> PreTrainedTokenizerFast:
    """Trains a byte-level BPE tokenizer, so that any text can be generated; most words of the town are one token."""
    path = BUILD / "tokenizer"
    if not path.exists():
        pieces = Tokenizer(models.BPE())
        pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        pieces.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=N_WORDS,
            special_tokens=[END, PAD],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        pieces.train_from_iterator((text for text, _ in zip(texts("train"), range(40_000), strict=False)), trainer)
        made = PreTrainedTokenizerFast(
            tokenizer_object=pieces,
            bos_token=END,
            eos_token=END,
            pad_token=PAD,
            model_max_length=CONTEXT,
            clean_up_tokenization_spaces=False,
        )
        made.save_pretrained(path)
    found: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(path)
    return found


def texts(name: str) -> Iterator[str]:
    with (BUILD / f"{name}.jsonl").open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)["text"]


def tokens_of(name: str, tokenizer: PreTrainedTokenizerFast) -> np.ndarray:
    """Concatenates the tokens of every text and its end token."""
    path = BUILD / f"{name}.npy"
    if not path.exists():
        parts = []
        for encoded in (tokenizer(block)["input_ids"] for block in blocks(list(texts(name)), 5000)):
            parts += [np.array([*ids, tokenizer.eos_token_id], dtype=np.uint16) for ids in encoded]
        np.save(path, np.concatenate(parts))
    return np.load(path)


def blocks(items: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def fresh_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    config = LlamaConfig(
        **SHAPE, vocab_size=len(tokenizer), tie_word_embeddings=True, rms_norm_eps=1e-5, initializer_range=0.05,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    # Eager attention is faster than sdpa for short rows on a CPU.
    model: LlamaForCausalLM = LlamaForCausalLM._from_config(config, attn_implementation="eager")
    look_back(model)
    return model


def fit(model: LlamaForCausalLM, train: np.ndarray, held_out: np.ndarray, n_steps: int, n_threads: int) -> float:
    """Trains in place; returns the seconds, including those before a resume."""
    workers = ThreadPoolExecutor(n_threads)
    copies = [model, *(copy.deepcopy(model) for _ in range(n_threads - 1))]
    optimizers = optimizers_of(model)
    first, before = resumed(model, optimizers)
    model.train()
    started = saved = time.perf_counter()
    for step in range(first, n_steps):
        for optimizer, rate in zip(optimizers, (MATRIX_RATE, RATE), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * share_of_rate(step, n_steps)
        loss = gradients(copies, workers, batch(train, step, n_steps))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        now = time.perf_counter()
        if step % 20 == 0:
            print(
                f"step {step} loss {loss:.3f} {(step - first + 1) * TOKENS_PER_STEP / (now - started):.0f} tokens/s", flush=True
            )
        if step % STEPS_BETWEEN_TESTS == 0:
            print(f"step {step} held-out perplexity {perplexity(model, held_out[:40_000]):.3f}", flush=True)
        if now - saved > SECONDS_BETWEEN_SAVES:
            keep(model, optimizers, step + 1, before + now - started)
            saved = now
    seconds = before + time.perf_counter() - started
    keep(model, optimizers, n_steps, seconds)
    return seconds


def optimizers_of(model: LlamaForCausalLM) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
    """Returns Muon for the matrices of the layers and AdamW for the rest.

    With AdamW for all, the perplexity after 250 steps is 12.1 and not 6.6 (Jordan et al., 2024, "Muon").
    """
    words = model.model.embed_tokens.weight
    inner = [p for p in model.parameters() if p is not words]
    matrices, others = [p for p in inner if p.ndim == 2], [words, *(p for p in inner if p.ndim == 1)]
    return (
        torch.optim.Muon(matrices, lr=MATRIX_RATE, weight_decay=WEIGHT_DECAY),
        torch.optim.AdamW(others, lr=RATE, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    )


def gradients(copies: list[LlamaForCausalLM], workers: ThreadPoolExecutor, ids: torch.Tensor) -> float:
    """Computes the mean loss; its gradients are in the first copy.

    Each thread has a share of the rows and a copy of the model: two threads that synchronise in every small product
    are several times slower on a busy machine.
    """
    for other in copies[1:]:
        other.load_state_dict(copies[0].state_dict())
        other.zero_grad()
    parts = ids.chunk(len(copies))

    def one(model: LlamaForCausalLM, part: torch.Tensor) -> float:
        loss = mean_loss(model, part) * (len(part) / len(ids))
        loss.backward()
        return loss.item()

    losses = list(workers.map(one, copies, parts))
    for other in copies[1:]:
        for ours, theirs in zip(copies[0].parameters(), other.parameters(), strict=True):
            ours.grad += theirs.grad
    return sum(losses)


def share_of_rate(step: int, n_steps: int) -> float:
    """Returns the share of the learning rate: linear warm-up, then a cosine to zero."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (step - WARM_UP) / max(1, n_steps - WARM_UP)))


def batch(tokens: np.ndarray, step: int, n_steps: int) -> torch.Tensor:
    """Returns the rows of a step: texts in the order of the file, which is random, and drills. So resuming is exact."""
    length, n_drills = next((length, n) for share, length, n in STAGES if step < share * n_steps)
    start = step * TOKENS_PER_STEP % (len(tokens) - TOKENS_PER_STEP)
    rows = tokens[start : start + TOKENS_PER_STEP].astype(np.int64).reshape(-1, length)
    dice = np.random.default_rng(step)
    drills = [np.resize(dice.integers(2, N_WORDS, dice.integers(6, 50)), length) for _ in range(n_drills)]
    rows[: len(drills)] = np.stack(drills) if drills else rows[:0]
    return torch.from_numpy(dice.permutation(rows))


def mean_loss(model: LlamaForCausalLM, ids: torch.Tensor) -> torch.Tensor:
    """Computes the mean over tokens (B, T); tokens that are new in their text are weighted by ``SURPRISE``."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(input_ids=ids, use_cache=False).logits
    losses = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1).float(), ids[:, 1:].flatten(), reduction="none")
    weights = torch.where(is_repeated(ids)[:, 1:].flatten(), 1.0, SURPRISE)
    return (losses * weights).sum() / weights.sum()


def is_repeated(ids: torch.Tensor) -> torch.Tensor:
    """Returns whether each token of the rows (B, T) occurs before in the same text; texts end with the end-of-text token, 0."""
    text = (ids == 0).cumsum(dim=1)
    same = (ids[:, :, None] == ids[:, None, :]) & (text[:, :, None] == text[:, None, :])
    return same.tril(diagonal=-1).any(dim=2)


@torch.no_grad()
def perplexity(model: LlamaForCausalLM, tokens: np.ndarray) -> float:
    """Computes the perplexity of whole contexts, in the model's own precision."""
    model.eval()
    rows = torch.from_numpy(tokens[: len(tokens) // CONTEXT * CONTEXT].astype(np.int64)).view(-1, CONTEXT)
    losses = [model(input_ids=part, labels=part, use_cache=False).loss.item() * len(part) for part in rows.split(8)]
    model.train()
    return math.exp(sum(losses) / len(rows))


def keep(model: LlamaForCausalLM, optimizers: tuple[torch.optim.Optimizer, ...], step: int, seconds: float) -> None:
    """Writes the checkpoint completely or not at all."""
    state = {
        "model": model.state_dict(),
        "optimizers": [one.state_dict() for one in optimizers],
        "step": step,
        "seconds": seconds,
    }
    torch.save(state, BUILD / "checkpoint.part")
    os.replace(BUILD / "checkpoint.part", BUILD / "checkpoint.pt")


def resumed(model: LlamaForCausalLM, optimizers: tuple[torch.optim.Optimizer, ...]) -> tuple[int, float]:
    """Loads the checkpoint if there is one; returns the first step to do and the seconds spent."""
    if not (BUILD / "checkpoint.pt").exists():
        return 0, 0.0
    state = torch.load(BUILD / "checkpoint.pt", weights_only=True)
    model.load_state_dict(state["model"])
    for optimizer, kept in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(kept)
    print(f"going on at step {state['step']}")
    return int(state["step"]), float(state["seconds"])


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, held_out: np.ndarray, figures: dict[str, Any]) -> None:
    """Writes weights, tokenizer, card and figures into the package."""
    TARGET.mkdir(parents=True, exist_ok=True)
    model.to(torch.float16).save_pretrained(TARGET)
    tokenizer.save_pretrained(TARGET)
    loaded = LlamaForCausalLM.from_pretrained(TARGET, dtype=torch.float32)
    found = {**figures, "held_out_perplexity": round(perplexity(loaded, held_out), 3), "held_out_tokens": len(held_out)}
    found["sha256"] = hash_file(TARGET / "model.safetensors")
    (TARGET / "figures.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (TARGET / "README.md").write_text(card(found), encoding="utf-8")
    print(json.dumps(found, indent=1))


def card(found: dict[str, Any]) -> str:
    """Returns the model card."""
    layers, width, context = (SHAPE[name] for name in ("num_hidden_layers", "hidden_size", "max_position_embeddings"))
    millions, read = found["parameters"] / 1e6, found["tokens_trained"] / 1e6
    return f"""# builtin:pocket

A Llama of {millions:.2f} million parameters ({layers} layers, {width} wide, context {context}, {N_WORDS:,} byte-level pieces).
A base model: it continues texts, has no chat template and has never seen an instruction. It is there so that tuning a model
can be tried, shown and tested without a network. It knows one small harbour town and no facts of the world; for anything else
take another model.

**Data.** Texts made by `scripts/write_pocket_text.py` for this project: passages with talk about them, lessons on words, lists,
memory games, stories, letters. No text of anybody else.

**Training.** `scripts/train_pocket.py`: {read:.1f} million tokens, {found["steps"]:,} steps,
{found["training_minutes"]:.0f} minutes on {found["threads"]} CPU threads, Muon and AdamW, bf16 autocast.
Some heads start as heads that look back (`scripts/pocket_start.py`). Weights are kept in fp16.

**Figures.** Perplexity {found["held_out_perplexity"]} on {found["held_out_tokens"]:,} held-out tokens of the same town. What
tuning on the built-in rows is worth: `benchmarks/pocket_sft.py`.

End of text and beginning `{END}`, padding `{PAD}`. License: that of the project.
"""


if __name__ == "__main__":
    main()
