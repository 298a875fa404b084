"""Runs the story of the tutorial on preferences: sft, two reward models, DPO, PPO, and the comparison of their answers.

    python benchmarks/preference_story.py [--shared ../shared] [--folder runs/preference-story]

Needs pairs of hh-rlhf and a language model of 3 million parameters in a folder of real data. Runs that are finished in the folder
are kept. Writes the figures, and the plots that the tutorial shows (``docs/tutorials``): that of PPO here, and that of a policy
that exploits its reward, from the figures of ``ppo.py over_optimisation``.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from record import write

HERE = Path(__file__).resolve().parent
PAIRS, MODEL = "data/hh-rlhf/helpful-base/test.jsonl.gz", "models/stories3M"
PLOTS = HERE.parent / "docs" / "tutorials"
EXPLOITED = HERE / "results" / "ppo_over_optimisation.json"
NEWEST_TOKENS = 48
COLORS = {
    "accent": "#0b5cad", "second": "#c2500a", "third": "#0a7f55", "fourth": "#7a3fb0", "fifth": "#a8325e", "sixth": "#5d6b1c",
    "muted": "#59636e", "line": "#d8dee4", "ink": "#1c2128",
}  # fmt: skip
STYLE = (
    "svg{font:12px sans-serif;background:#fff} text{fill:var(--muted)} .title{fill:var(--ink)} path{fill:none} "
    ".grid{stroke:var(--line)} .line{stroke-width:2;stroke-linejoin:round} .mark{stroke-width:1.5} .dots{stroke-linecap:round}"
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shared", type=Path, default=HERE.parents[1] / "shared")
    parser.add_argument("--folder", type=Path, default=Path("runs/preference-story"))
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    found = {name: trained(args.folder, name, recipe) for name, recipe in recipes(args.shared, args.folder).items()}
    exploited = json.loads(EXPLOITED.read_text(encoding="utf-8"))["runs"][0]["points"]
    for name, points in (("preference-story", found["ppo"]["evaluations"]), ("over-optimisation", exploited)):
        (PLOTS / f"{name}.svg").write_text(plot_of(points), encoding="utf-8")
    write("preference_story", {"runs": found, "answers": compared(args.folder)})


def recipes(shared: Path, folder: Path) -> dict[str, dict[str, Any]]:
    """Returns the recipes in their order."""
    data = {"train": str((shared / PAIRS).resolve()), "validation": 0.1, "test": 0.2}
    sft, reward, gold = (str((folder / name).resolve()) for name in ("sft", "reward", "gold"))
    scored = {"task": "reward", "model": {"name": "builtin:minilm"}}
    of_reward = {**data, "split_as": sft, "max_length": 128}
    train = {"num_train_epochs": 2, "learning_rate": 5e-5, "n_evaluations": 4}
    return {
        "sft": {
            "task": "sft", "model": {"name": str((shared / MODEL).resolve())}, "data": {**data, "max_length": 512},
            "sft": {"loss_on": "completion", "long_rows": "truncate"}, "train": {"num_train_epochs": 1, "seed": 0},
        },
        "reward": {**scored, "data": {**of_reward, "max_rows": 400}, "train": {**train, "seed": 0}},
        "gold": {**scored, "data": of_reward, "train": {**train, "seed": 1}},
        "dpo": {
            "task": "preference", "model": {"name": sft}, "data": {**data, "max_rows": {"train": 600, "validation": 150}},
            "preference": {"beta": 0.1, "long_rows": "truncate"}, "train": {"num_train_epochs": 1, "seed": 0},
            "evaluate": {"answers": {"rows": 32, "max_new_tokens": 64}},
        },
        "ppo": {
            "task": "ppo", "model": {"name": sft}, "data": {**data, "max_rows": {"validation": 128, "test": 128}},
            "rewards": {"reward_funcs": [reward], "gold": gold}, "ppo": {"response_length": NEWEST_TOKENS},
            "train": {"max_steps": 48, "n_evaluations": 12, "seed": 0},
        },
    }  # fmt: skip


def trained(folder: Path, name: str, recipe: dict[str, Any]) -> dict[str, Any]:
    """Runs ``tunesmith train`` unless the run is there; returns its metrics on test, verdicts, alarms and evaluations."""
    run = folder / name
    if not (run / "result.json").exists():
        path = folder / f"{name}.yaml"
        path.write_text(json.dumps({**recipe, "output": str(run.resolve())}), encoding="utf-8")
        subprocess.run([sys.executable, "-m", "tunesmith.cli.main", "train", str(path)], check=True)
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    parts = ("name", "value", "low", "high")
    verdict = ("metric", "against", "word", "difference", "low", "high")
    return {
        "rows": {split: record["rows"] for split, record in result["data"]["splits"].items()},
        "best_step": result["training"].get("best_step"),
        "metrics": [{key: m[key] for key in parts} for m in result["metrics"] if m["split"] == "test"],
        "verdicts": [{key: v[key] for key in verdict} for v in result["verdicts"] if v["split"] == "test"],
        "alarms": [alarm["message"] for alarm in result["alarms"]],
        "evaluations": [{"step": event["step"], **event["metrics"]} for event in evaluations(run)],
        **({"over_optimisation": result["training"]["over_optimisation"]} if name == "ppo" else {}),
    }


def evaluations(run: Path) -> list[dict[str, Any]]:
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [event for event in events if event["event"] == "evaluate"]


def compared(folder: Path) -> dict[str, Any]:
    """Compares the answers of the three language models by the held-back reward, on the prompts that none of them learnt from."""
    names = [str(folder / name) for name in ("ppo", "dpo", "sft")]
    options = ["--reward", str(folder / "gold"), "--max-new-tokens", str(NEWEST_TOKENS), "--json"]
    command = [sys.executable, "-m", "tunesmith.cli.main", "compare", *names, *options]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return {"exit_code": done.returncode, **found, "reward": "gold"}


def plot_of(points: list[dict[str, Any]]) -> str:
    """Draws the rewards, KL, length and repetition of evaluations as a picture of its own."""
    from tunesmith.report.drawing import draw
    from tunesmith.report.rewards import together

    figure = together(points)
    if figure is None:
        raise SystemExit("there are no evaluations to draw")
    text = str(draw(figure))
    inside = re.search(r'<svg[^>]*viewBox="0 0 (\d+) (\d+)"[^>]*>(.*)</svg>', text, re.DOTALL)
    if inside is None:
        raise SystemExit("the figure has no drawing")
    width, height = int(inside[1]), int(inside[2])
    colors = ";".join(f"--{name}:{value}" for name, value in COLORS.items())
    keys = [
        f'<text x="14" y="{height + 16 * (i + 1)}" style="fill:{COLORS[series.color]}">{series.name}</text>'
        for i, series in enumerate(figure.series)
    ]
    tall = height + 16 * len(keys) + 12
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {tall}" width="{width}" style="{colors}">'
    return f"{head}<style>{STYLE}</style>{inside[3]}{''.join(keys)}</svg>\n"


if __name__ == "__main__":
    main()
