"""Measures memory and time of a training step with a large vocabulary: all logits at once, and in parts.

    python benchmarks/large_vocabulary.py [--vocabulary 151936] [--rounds 2]

A new Llama of Qwen2.5-0.5B's shape (494 million weights); 8 rows of 256 tokens of which 200 are supervised, forward and
backward in bf16. Each method runs two steps in a separate process; memory is the process's peak minus that before the steps.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from typing import Any

from record import spread, write

WAYS = ("at once", "in parts")
ROWS, TOKENS, LEARNT, STEPS = 8, 256, 200, 2


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--vocabulary", type=int, default=151_936)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--one", choices=WAYS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(steps(args.one, args.vocabulary)))
        return
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(args.rounds):
        for way in WAYS:
            command = [sys.executable, __file__, "--one", way, "--vocabulary", str(args.vocabulary)]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found[way].append(json.loads(output.splitlines()[-1]))
            print(way, found[way][-1], file=sys.stderr, flush=True)
    figures = {way: {name: spread([run[name] for run in runs]) for name in runs[0]} for way, runs in found.items()}
    write("large_vocabulary", {"vocabulary": args.vocabulary, "learnt_tokens": ROWS * LEARNT, **figures})


def steps(way: str, vocabulary: int) -> dict[str, Any]:
    """Returns the loss, the seconds of the faster step, and the MiB that the steps need in addition to weights and gradients."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from tunesmith.machine import peak_memory_bytes
    from tunesmith.models.fast.supervised_loss import is_head_alone, supervised_loss
    from tunesmith.models.inference import autocast

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
        num_key_value_heads=2, tie_word_embeddings=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 1e-9)  # zeros would take no memory before they are written
    ids = torch.randint(0, vocabulary, (ROWS, TOKENS))
    labels = ids.clone()
    labels[:, : TOKENS - LEARNT] = -100
    head_alone = way == "in parts" and is_head_alone(model)
    before, seconds = peak_memory_bytes(), []
    for _ in range(STEPS):
        started = time.perf_counter()
        with autocast("bf16", "cpu"):
            loss = supervised_loss(model, {"input_ids": ids, "labels": labels}, head_alone=head_alone)
        loss.backward()
        seconds.append(time.perf_counter() - started)
    mib = (peak_memory_bytes() - before) / 2**20
    return {"loss": float(loss.detach()), "seconds": min(seconds), "mib": mib}


if __name__ == "__main__":
    main()
