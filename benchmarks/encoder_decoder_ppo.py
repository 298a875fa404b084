"""Measures whether supervised training, and then training by rewards, each improve a tiny T5 by verdict on held-out prompts.

    python benchmarks/encoder_decoder_ppo.py [--seeds 3]

A new T5 (two layers of width 64) learns to reverse 2 to 4 of 17 words from 1,000 answers, and is stopped early. PPO goes on from
that run: the model of its recipe is the folder of the run, and its reward the share of words that stand at their place. 200
prompts are for validation, and 300 for the test; all 1,500 differ. Verdicts are those of each run against the model that it
starts from.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from pathlib import Path
from typing import Any

from encoder_decoder import WORDS, write_t5
from ppo import metric_of, trained
from record import spread, write

HERE = Path(__file__).resolve().parent
SPLITS = {"train": 1000, "validation": 200, "test": 300}
SUPERVISED = {"max_steps": 250, "learning_rate": 3e-3, "per_device_train_batch_size": 32, "n_evaluations": 1}
REWARDED = {"max_steps": 320, "learning_rate": 1e-3, "n_evaluations": 4}
SECTION = {"response_length": 8, "rollout_batch_size": 64, "num_mini_batches": 2, "best_of_n": 8}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = write_rows(Path(folder))
        write_t5(Path(folder) / "t5")
        runs = [both(Path(folder), data, seed) for seed in range(args.seeds)]
    times = spread([run["ppo"]["reward"]["value"] / run["ppo"]["before"]["value"] for run in runs])
    write("encoder_decoder_ppo", {"seeds": args.seeds, "times": times, "runs": runs})


def write_rows(folder: Path) -> dict[str, str]:
    """Writes prompts and answers, all different, and returns the paths of the splits."""
    draw, rows = random.Random(0), dict[str, str]()
    while len(rows) < sum(SPLITS.values()):
        words = [draw.choice(WORDS) for _ in range(draw.randint(2, 4))]
        rows["reverse: " + " ".join(words)] = " ".join(reversed(words))
    lines = [json.dumps({"prompt": prompt, "completion": answer}) + "\n" for prompt, answer in rows.items()]
    paths = {}
    for split, size in SPLITS.items():
        paths[split] = str(folder / f"{split}.jsonl")
        Path(paths[split]).write_text("".join(lines[:size]), encoding="utf-8")
        lines = lines[size:]
    return paths


def both(folder: Path, data: dict[str, str], seed: int) -> dict[str, Any]:
    """Trains with answers, then with rewards from the run before."""
    place = folder / str(seed)
    for name in ("sft", "ppo"):
        (place / name).mkdir(parents=True)
    tuned = {"task": "sft", "model": {"name": str(folder / "t5")}, "data": data, "train": SUPERVISED}
    seconds, supervised, _ = trained({**tuned, "evaluate": {"answers": {"rows": 300}}}, place / "sft", seed)
    start = {"model": {"name": str(place / "sft" / f"run-{seed}")}, "data": data, "train": REWARDED, "ppo": SECTION}
    rewards = {"reward_funcs": [f"{HERE / 'ppo_rewards.py'}:right_words"]}
    later, rewarded, _ = trained({"task": "ppo", **start, "rewards": rewards}, place / "ppo", seed)
    before, best = metric_of(rewarded["baselines"][0]["metrics"], "reward"), rewarded["training"]["best_of_n"]
    of_sft, of_ppo = figures(supervised, "exact_match", "loss"), figures(rewarded, "reward", "kl")
    return {"seed": seed, "sft": {**seconds, **of_sft}, "ppo": {**later, "before": before, **of_ppo, "best_of_n": best}}


def figures(result: dict[str, Any], *names: str) -> dict[str, Any]:
    """Returns metrics and verdicts on test, the alarms, and the certificates that failed."""
    verdicts = [v for v in result["verdicts"] if v["split"] == "test"]
    return {
        **{name: metric_of(result["metrics"], name) for name in names},
        "verdicts": {
            f"{v['metric']} against {v['against']}": [v["word"], v["difference"], v["low"], v["high"]] for v in verdicts
        },
        "alarms": [alarm["name"] for alarm in result["alarms"]],
        "failed_certificates": [proof["name"] for proof in result["certificates"] if not proof["passed"]],
    }


if __name__ == "__main__":
    main()
