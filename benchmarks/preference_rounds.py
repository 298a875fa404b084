"""Measures rounds of preference learning on a model's own answers: rewards, gold rewards and KL of each round, with verdicts.

    python benchmarks/preference_rounds.py [--shared ../shared] [--seeds 1] [--rates 2e-5 1e-4]

A model of 3 million parameters (stories3M), prompts of eight words, DPO, two rounds of 4 answers to each of 240 prompts. The
reward is the share of sentences with one of five words; gold, held back, counts each of them once and punishes repetition.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from ppo import write_prompts
from record import seconds_of, write

HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shared", type=Path, default=HERE.parents[1] / "shared")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rates", type=float, nargs="+", default=[2e-5, 1e-4])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_prompts(args.shared, Path(folder))
        cases = [(rate, seed) for rate in args.rates for seed in range(args.seeds)]
        write("preference_rounds", {"runs": [trained(args.shared, Path(folder), *case) for case in cases]})


def trained(shared: Path, folder: Path, rate: float, seed: int) -> dict[str, Any]:
    """Runs ``tunesmith rounds`` in a process of its own; returns its seconds, and what its record says of each round."""
    output, path = folder / f"run-{rate}-{seed}", folder / "recipe.yaml"
    rewards = HERE / "ppo_rewards.py"
    recipe = {
        "task": "preference",
        "model": {"name": str(shared / "models" / "stories3M")},
        "data": {
            "train": str(folder / "train.jsonl"), "validation": 0.2, "test": str(folder / "test.jsonl"),
            "max_rows": {"train": 240, "validation": 48},
        },
        "rewards": {"reward_funcs": [f"{rewards}:five_words"], "gold": f"{rewards}:gold"},
        "rounds": {"n": 2, "answers": 4, "response_length": 32, "cut_answers": "keep"},
        "preference": {"beta": 0.1},
        "train": {"num_train_epochs": 2, "n_evaluations": 2, "learning_rate": rate, "seed": seed},
        "evaluate": {"answers": {"rows": 8}},
        "output": str(output),
    }  # fmt: skip
    path.write_text(json.dumps(recipe), encoding="utf-8")
    seconds, _ = seconds_of([sys.executable, "-m", "tunesmith.cli.main", "rounds", str(path)])
    record = json.loads((output / "rounds.json").read_text(encoding="utf-8"))
    rounds = [shown(found) for found in record["rounds"]]
    alarms = [alarm["name"] for alarm in record["alarms"]]
    return {"learning_rate": rate, "seed": seed, "seconds": round(seconds, 1), "rounds": rounds, "alarms": alarms}


def shown(found: dict[str, Any]) -> dict[str, Any]:
    """Returns the pairs, the metrics and the verdicts of a round."""
    metrics = {m["name"]: {key: m[key] for key in ("value", "low", "high")} for m in found["metrics"]}
    verdicts = [{key: v[key] for key in ("metric", "against", "word", "difference", "low", "high")} for v in found["verdicts"]]
    return {"number": found["number"], "n_pairs": found["n_pairs"], "metrics": metrics, "verdicts": verdicts}


if __name__ == "__main__":
    main()
