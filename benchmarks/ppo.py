"""Measures policies trained by rewards: what a reward gains at which KL, how a gold reward turns, and where the time goes.

    python benchmarks/ppo.py reward|grpo|rloo|over_optimisation|profile [--shared ../shared] [--seeds 3]

Needs tiny language models of children's stories, and such stories, in a folder of real data: the prompts are the first eight
words of their paragraphs. ``reward``: the share of sentences that hold one of five words, stories3M; ``grpo`` and ``rloo``:
the same with as many answers and steps. ``over_optimisation``: a bag-of-words Bradley-Terry reward learnt from 200 pairs, a
quarter of them flipped, and no penalty, stories260K; gold is exact.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ppo_rewards import gold, words_of
from record import seconds_of, spread, write

HERE = Path(__file__).resolve().parent
STORIES = "data/tinystories/smallGPT_tiny_stories.txt"
N_PAIRS, FLIPPED = 200, 0.25


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=("reward", "grpo", "rloo", "over_optimisation", "profile"))
    parser.add_argument("--shared", type=Path, default=HERE.parents[1] / "shared")
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_prompts(args.shared, Path(folder))
        write(f"ppo_{args.part}", PARTS[args.part](args.shared, Path(folder), args.seeds))


def write_prompts(shared: Path, folder: Path) -> None:
    """Writes 512 prompts for training, 256 for validation and 128 for the test, all different."""
    paragraphs = re.split(r"\n\s*\n", (shared / STORIES).read_text(encoding="utf-8"))
    starts = [" ".join(words[:8]) for paragraph in paragraphs if len(words := paragraph.split()) > 12]
    prompts = list(dict.fromkeys(starts))
    random.Random(0).shuffle(prompts)
    for name, chosen in (("train", prompts[:512]), ("validation", prompts[512:768]), ("test", prompts[768:896])):
        lines = (json.dumps({"prompt": prompt}) + "\n" for prompt in chosen)
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")


def recipe(shared: Path, folder: Path, model: str, **sections: Any) -> dict[str, Any]:
    """Returns a recipe on the prompts, with answers of 24 tokens."""
    data = {split: str(folder / f"{split}.jsonl") for split in ("train", "validation", "test")}
    base = {"task": "ppo", "model": {"name": str(shared / "models" / model)}, "data": data, "ppo": {"response_length": 24}}
    return {**base, **sections, "ppo": {**base["ppo"], **sections.get("ppo", {})}}


Seconds = dict[str, float]


def trained(mapping: dict[str, Any], folder: Path, seed: int) -> tuple[Seconds, dict[str, Any], list[dict[str, Any]]]:
    """Runs ``tunesmith train`` in a process of its own; returns its wall and CPU seconds, its result, and its evaluations."""
    path, run = folder / f"recipe-{seed}.yaml", folder / f"run-{seed}"
    path.write_text(json.dumps({**mapping, "train": {**mapping["train"], "seed": seed}, "output": str(run)}), encoding="utf-8")
    before = os.times()
    seconds, _ = seconds_of([sys.executable, "-m", "tunesmith.cli.main", "train", str(path)])
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    times = {"seconds": round(seconds, 1), "cpu_seconds": round(spent, 1)}
    return times, result, [event for event in events if event["event"] == "evaluate"]


def metric_of(metrics: list[dict[str, Any]], name: str) -> dict[str, Any]:
    found = next(m for m in metrics if (m["name"], m["split"]) == (name, "test"))
    return {key: found[key] for key in ("value", "low", "high")}


def reward(shared: Path, folder: Path, n_seeds: int) -> dict[str, Any]:
    """Trains on the share of sentences with one of five words; beside it the best of n answers of the untuned model."""
    return rewarded(five_words(shared, folder), folder, n_seeds)


def groups(algorithm: str, shared: Path, folder: Path, n_seeds: int) -> dict[str, Any]:
    """Trains on the same reward by groups of 8 answers, 4 groups and 2 passes an iteration: as many answers and steps."""
    mapping = five_words(shared, folder)
    del mapping["ppo"]
    section = {"algorithm": algorithm, "num_iterations": 2, "max_completion_length": 24}
    return rewarded({**mapping, "task": "grpo", "grpo": section}, folder, n_seeds)


def five_words(shared: Path, folder: Path) -> dict[str, Any]:
    """Returns the recipe of 30 iterations of 32 answers on the share of sentences with one of five words."""
    return recipe(
        shared,
        folder,
        "stories3M",
        rewards={"reward_funcs": [f"{HERE / 'ppo_rewards.py'}:five_words"]},
        train={"max_steps": 60, "n_evaluations": 6},
    )


def rewarded(mapping: dict[str, Any], folder: Path, n_seeds: int) -> dict[str, Any]:
    """Trains a recipe with several seeds; returns rewards and KL before and after, and the curve of each run."""
    runs = []
    for seed in range(n_seeds):
        seconds, result, events = trained(mapping, folder, seed)
        before = metric_of(result["baselines"][0]["metrics"], "reward")
        after, kl = (metric_of(result["metrics"], name) for name in ("reward", "kl"))
        verdict = next(v for v in result["verdicts"] if v["split"] == "test")
        curve = result["training"]["best_of_n"]
        runs.append({
            "seed": seed, **seconds, "before": before, "after": after, "kl": kl,
            "times": after["value"] / before["value"], "verdict": {k: verdict[k] for k in ("word", "difference", "low", "high")},
            "curve": [{"step": e["step"], "reward": e["metrics"]["reward"], "kl": e["metrics"]["kl"]} for e in events],
            "best_of_n": curve, "alarms": [alarm["name"] for alarm in result["alarms"]],
        })  # fmt: skip
    values = {name: spread([run[name] for run in runs]) for name in ("times", "seconds", "cpu_seconds")}
    return {**values, "kl": spread([run["kl"]["value"] for run in runs]), "runs": runs}


def over_optimisation(shared: Path, folder: Path, n_seeds: int) -> dict[str, Any]:
    """Trains on a proxy learnt from few noisy pairs, with no penalty, and finds when gold turns and when the alarm goes off."""
    accuracy = write_proxy(shared, folder)
    mapping = recipe(
        shared,
        folder,
        "stories260K",
        rewards={"reward_funcs": [f"{folder / 'ppo_rewards.py'}:proxy"], "gold": f"{HERE / 'ppo_rewards.py'}:gold"},
        ppo={"kl_coef": 0.0, "best_of_n": 16, "cliprange_value": 10.0},
        train={"max_steps": 100, "n_evaluations": 50, "learning_rate": 1e-4, "lr_scheduler_type": "constant"},
        evaluate={"checkpoint_metric": "gold_reward"},
    )
    runs = []
    for seed in range(n_seeds):
        seconds, result, events = trained(mapping, folder, seed)
        points = [{"step": e["step"], **{k: e["metrics"][k] for k in SHOWN}} for e in events]
        start = result["baselines"][0]["metrics"]
        before = next(m["value"] for m in start if (m["name"], m["split"]) == ("gold_reward", "validation"))
        runs.append({"seed": seed, **seconds, **turned(points, before, result), "points": points})
    return {"proxy_accuracy_on_clean_pairs": accuracy, "runs": runs}


SHOWN = ("reward", "gold_reward", "kl", "answer_tokens", "repetition")


def turned(points: list[dict[str, Any]], before: float, result: dict[str, Any]) -> dict[str, Any]:
    """Returns the best gold reward, its value when the alarm goes off, and whether half of its gain was left by then."""
    record = result["training"]["over_optimisation"]
    best = max(points, key=lambda point: point["gold_reward"])
    half = (before + best["gold_reward"]) / 2
    lost = next((p["step"] for p in points if p["step"] > best["step"] and p["gold_reward"] < half), None)
    seen = None if record["turn"] is None else record["turn"]["seen"]
    in_time = seen is not None and (lost is None or seen["step"] < lost or seen["gold_reward"] >= half)
    return {
        "gold_before": before, "best": best, "alarm": seen, "half_lost_at_step": lost, "alarm_in_time": in_time,
        "last": points[-1], "fit": record["fit"], "best_of_n": result["training"]["best_of_n"],
    }  # fmt: skip


def write_proxy(shared: Path, folder: Path) -> float:
    """Learns the proxy from pairs of answers of the untuned model; returns its accuracy on other, clean pairs."""
    from sklearn.linear_model import LogisticRegression

    texts = base_answers(shared, folder)
    scores = np.array(gold(texts))
    draw = np.random.default_rng(0)
    pairs = draw.permutation(len(texts))[: len(texts) // 2 * 2].reshape(-1, 2)
    pairs, clean = pairs[:N_PAIRS], [(i, j) for i, j in pairs[N_PAIRS:] if scores[i] != scores[j]]
    vocabulary = {word: k for k, word in enumerate(sorted({word for text in texts for word in words_of(text)}))}
    counts = np.zeros((len(texts), len(vocabulary)))
    for row, text in enumerate(texts):
        for word, n in Counter(words_of(text)).items():
            counts[row, vocabulary[word]] = n
    # Of two equally good answers one is chosen by chance, as an annotator has to.
    better = [scores[i] > scores[j] or (scores[i] == scores[j] and draw.random() < 0.5) for i, j in pairs]
    labels = np.array(better) ^ (draw.random(N_PAIRS) < FLIPPED)
    model = LogisticRegression(C=1.0, fit_intercept=False).fit(np.array([counts[i] - counts[j] for i, j in pairs]), labels)
    weights = dict(zip(vocabulary, map(float, model.coef_[0]), strict=True))
    (folder / "proxy.json").write_text(json.dumps(weights), encoding="utf-8")
    (folder / "ppo_rewards.py").write_text((HERE / "ppo_rewards.py").read_text(encoding="utf-8"), encoding="utf-8")
    guesses = model.predict(np.array([counts[i] - counts[j] for i, j in clean]))
    return float((guesses == np.array([scores[i] > scores[j] for i, j in clean])).mean())


def base_answers(shared: Path, folder: Path) -> list[str]:
    """Samples four answers of the untuned model to each training prompt."""
    from tunesmith.generation.generator import load_writer
    from tunesmith.generation.sampling import Sampling, sample_answers
    from tunesmith.generation.token_text import continuation
    from tunesmith.models.load import load_tokenizer, set_padding
    from tunesmith.models.source import ModelSource

    name = str(shared / "models" / "stories260K")
    source = ModelSource(name, name, "folder")
    model, tokenizer = load_writer(source), load_tokenizer(source)
    set_padding(model, tokenizer)
    rows = [json.loads(line)["prompt"] for line in (folder / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    prompts = [tokenizer(row)["input_ids"] for row in rows]
    texts: list[str] = []
    for draw in range(4):
        answers = sample_answers(model, tokenizer, prompts, Sampling(24, seed=(9, draw)))
        texts += [continuation(tokenizer, list(prompt), answer) for prompt, answer in zip(prompts, answers, strict=True)]
    return texts


def profile(shared: Path, folder: Path, n_seeds: int) -> dict[str, Any]:
    """Times the passes of the training loop alone beside the whole loop, on stories3M."""
    runs = [profiled(shared, folder, seed) for seed in range(n_seeds)]
    return {"times_of_passes": spread([run["times_of_passes"] for run in runs]), "runs": runs}


def profiled(shared: Path, folder: Path, seed: int) -> dict[str, Any]:
    """Returns the seconds of generation, forward and backward passes, and of the loop of optimizer steps with everything."""
    from accelerate import Accelerator

    from tunesmith.models.language.value_head import ActorCritic
    from tunesmith.recipe.load import LoadedRecipe, recipe_from_mapping
    from tunesmith.training.ppo import rollouts
    from tunesmith.training.trainers.ppo import PpoTrainer
    from tunesmith.workflows.train import train

    seconds, open_loop = Counter[str](), [False]

    def timed(name: str, call: Any) -> Any:
        def run(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return call(*arguments, **named)
            finally:
                if open_loop[0]:
                    seconds[name] += time.perf_counter() - started

        return run

    step, loop = PpoTrainer.training_step, Counter[str]()

    def training_step(*arguments: Any, **named: Any) -> Any:
        open_loop[0] = True
        try:
            return step(*arguments, **named)
        finally:
            open_loop[0] = False

    originals = [(rollouts, "sample_answers"), (rollouts, "answer_tokens"), (ActorCritic, "forward"), (Accelerator, "backward")]
    kept = [(owner, name, getattr(owner, name)) for owner, name in originals]
    for owner, name, call in kept:
        setattr(owner, name, timed(name, call))
    PpoTrainer.training_step = training_step  # type: ignore[method-assign]
    try:
        mapping = recipe(
            shared,
            folder,
            "stories3M",
            rewards={"reward_funcs": [f"{HERE / 'ppo_rewards.py'}:five_words"]},
            ppo={"best_of_n": 0},
            train={"max_steps": 20, "n_evaluations": 1, "seed": seed},
            output=str(folder / f"profile-{seed}"),
        )
        result = train(LoadedRecipe(recipe_from_mapping(mapping), None, mapping, "", folder)).result  # type: ignore[union-attr]
    finally:
        for owner, name, call in kept:
            setattr(owner, name, call)
        PpoTrainer.training_step = step  # type: ignore[method-assign]
    loop["loop"] = 20 * 32 / result.training["rows_per_second"]
    passes = sum(seconds.values())
    named = {"generation": "sample_answers", "reference": "answer_tokens", "policy_and_value": "forward", "backward": "backward"}
    return {
        "seed": seed, **{name: round(seconds[key], 3) for name, key in named.items()},
        "passes": round(passes, 3), "loop": round(loop["loop"], 3), "times_of_passes": round(loop["loop"] / passes, 3),
    }  # fmt: skip


PARTS = {
    "reward": reward,
    "grpo": partial(groups, "grpo"),
    "rloo": partial(groups, "rloo"),
    "over_optimisation": over_optimisation,
    "profile": profile,
}

if __name__ == "__main__":
    main()
