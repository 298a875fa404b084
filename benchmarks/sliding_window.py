"""Measures perplexity with sliding windows: WikiText-2 test with stories3M; strides, disjoint windows, and YaRN.

    python benchmarks/sliding_window.py [--tokens 40000] [--curve-tokens 20000]

Targets: a stride of the window gives the value of disjoint windows, and the perplexity falls as the stride shrinks. Each stride
is compared with the next longer one on the same blocks of text. The disjoint windows are computed by ``token_losses`` as separate
rows, with upstream's own loss on the first of them for comparison. The curve by context in steps of 64 tokens shows up to which
length more context helps this model: a shorter stride gives every token more of it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import write

from tunesmith.evaluation.metrics.means import bits_per_byte, token_mean_metrics, token_mean_verdict
from tunesmith.evaluation.outputs import TokenLosses
from tunesmith.models.language.context_length import with_longer_context
from tunesmith.models.language.perplexity import BLOCK_TOKENS, block_losses, context_curve, document_losses
from tunesmith.models.language.token_losses import token_losses

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared"
STRIDES = {512: (512, 256, 128, 64), 256: (256, 128, 64, 32)}
FINE, FINE_STRIDE = tuple(range(64, 513, 64)), 64
CURVE, CURVE_STRIDE = (128, 256, 512, 1024, 2048), 256
WAYS = (("yarn", 2), ("yarn", 4), ("linear", 4))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", type=int, default=40_000)
    parser.add_argument("--curve-tokens", type=int, default=20_000)
    args = parser.parse_args()
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    folder = SHARED / "models" / "stories3M"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    text = (SHARED / "data" / "wikitext2" / "test.txt").read_text(encoding="utf-8")
    whole = np.array(tokenizer(text, verbose=False)["input_ids"])
    ids = whole[: args.tokens]
    n_bytes = decoded_bytes(tokenizer, ids)
    strides = {str(window): by_stride(model, ids, window, of, n_bytes) for window, of in STRIDES.items()}
    curve_ids = whole[: args.curve_tokens]
    config = AutoConfig.from_pretrained(folder)
    own = config.max_position_embeddings
    curves = {"as it is": curve(model, curve_ids, [size for size in CURVE if size <= own], CURVE_STRIDE)}
    for kind, factor in WAYS:
        longer = AutoModelForCausalLM.from_pretrained(
            folder, config=with_longer_context(config, factor, kind), dtype=torch.float32
        )
        curves[f"{kind} {factor}"] = curve(longer, curve_ids, [size for size in CURVE if size <= own * factor], CURVE_STRIDE)
    write("sliding_window", {
        "data": "wikitext2 test", "model": "stories3M", "tokens_in_file": len(whole), "tokens": len(ids), "bytes": n_bytes,
        "block_tokens": BLOCK_TOKENS, "strides_by_window": strides,
        "disjoint_by_window": {str(window): disjoint(model, ids, window) for window in STRIDES},
        "curve_tokens": len(curve_ids), "curve_stride": CURVE_STRIDE, "curves": curves,
        "fine_curve_stride": FINE_STRIDE, "fine_curve": curve(model, curve_ids, FINE, FINE_STRIDE),
    })  # fmt: skip


def decoded_bytes(tokenizer: Any, ids: np.ndarray) -> int:
    """Returns the UTF-8 bytes of the scored tokens of a text: all but its first token, without special tokens."""
    whole, first = (tokenizer.decode(part, skip_special_tokens=True) for part in (ids.tolist(), ids[:1].tolist()))
    return len(whole.encode()) - len(first.encode())


def by_stride(model: Any, ids: np.ndarray, window: int, strides: tuple[int, ...], n_bytes: int) -> list[dict[str, Any]]:
    """Returns the perplexity with each stride, and its difference from the next longer one on the same blocks."""
    found: list[dict[str, Any]] = []
    before: TokenLosses | None = None
    for stride in strides:
        now = block_losses(document_losses(model, [ids], window, stride))
        row: dict[str, Any] = {"stride": stride, **interval(now)}
        row["bits_per_byte"] = bits_per_byte(float(now.sums.sum()), n_bytes)
        if before is not None:
            pair = [(now.sums, now.counts)], [(before.sums, before.counts)]
            verdict = token_mean_verdict(*pair, "the longer stride", "test", "perplexity")
            row["against_the_longer_stride"] = {name: getattr(verdict, name) for name in ("difference", "low", "high", "word")}
        found.append(row)
        before = now
    return found


def interval(losses: TokenLosses) -> dict[str, Any]:
    metric = token_mean_metrics([(losses.sums, losses.counts)], None, "test")[1]
    return {"perplexity": metric.value, "low": metric.low, "high": metric.high}


def disjoint(model: Any, ids: np.ndarray, window: int) -> dict[str, float]:
    """Returns the same windows as separate rows; each row ends with the first token of the next, which it predicts."""
    sliding = block_losses(document_losses(model, [ids], window, window), window)
    rows = [ids[start : start + window + 1] for start in range(0, len(ids) - 1, window)]
    alone = token_losses(model, rows, rows, 0)
    with torch.no_grad():
        first = torch.tensor(rows[0][:window])[None]
        upstream = float(model(input_ids=first, labels=first).loss)
    return {
        "perplexity_sliding": float(np.exp(sliding.mean)), "perplexity_disjoint": float(np.exp(alone.mean)),
        "largest_difference_of_a_window_in_nats_per_token": float((np.abs(sliding.sums - alone.sums) / sliding.counts).max()),
        "first_window_loss": float(document_losses(model, [rows[0][:window]], window, window)[0].mean()),
        "first_window_loss_upstream": upstream,
    }  # fmt: skip


def curve(model: Any, ids: np.ndarray, windows: Iterable[int], stride: int) -> list[dict[str, Any]]:
    points = context_curve(model, [ids], windows, stride)
    return [{"window": point.window, "stride": point.stride, **interval(point.losses)} for point in points]


if __name__ == "__main__":
    main()
