"""Records what tunesmith does, so that a change of its code can be shown to change nothing.

    python scripts/record_runs.py record before.json
    python scripts/record_runs.py record after.json --only tiny
    python scripts/record_runs.py compare before.json after.json

``record`` runs every recipe of ``recipes/tiny``, those of ``made_recipes.py`` and the three demos, then other verbs on the
finished runs, each in a process of its own, and keeps exit codes, outputs and the content of the run folders. Floats and
weights are kept exactly; times, memory and paths are left out (``run_record.py``). ``compare`` prints each difference and
exits 1 where there is any. The code that runs is the ``tunesmith`` that this Python imports; PYTHONPATH names another one.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from command_processes import Forked, Fresh, environment
from made_recipes import write_made
from record_differences import notes_and_differences
from run_record import Paths, files_below, record_of, settled, settled_text, tables_below

ROOT = Path(__file__).resolve().parents[1]
TINY, DEMOS = "tiny", "demos"
HANDBOOK = "builtin:handbook"
DEMO_TASKS = {"demo": "classification", "demo-embedding": "embedding", "demo-sft": "sft"}
FINGERPRINT = """
import json, os, platform, sys
from importlib.metadata import version
import torch, tunesmith
lines = open("/proc/cpuinfo").read().splitlines() if os.path.exists("/proc/cpuinfo") else []
cpu = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in reversed(lines))}
known = ("avx", "fma", "amx", "f16c", "sse", "asimd", "sve")
names = ("torch", "transformers", "tokenizers", "accelerate", "peft", "trl", "sentence-transformers", "numpy", "scikit-learn")
print(json.dumps({"source": os.path.dirname(tunesmith.__file__), "fingerprint": {
    "processor": cpu.get("model name", platform.processor()), "python": platform.python_version(),
    "flags": sorted(flag for flag in cpu.get("flags", "").split() if flag.startswith(known)),
    "kernels": torch.backends.cpu.get_cpu_capability(), "threads": torch.get_num_threads(),
    "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
    **{name: version(name) for name in names}}}))
"""


@dataclass(frozen=True)
class Subject:
    """One training that is recorded.

    Attributes:
        recipe: its file in the temporary folder; None for a demo.
        settings: the recipe as it was read; of a demo the keys that determine the verbs run on it.
    """

    name: str
    recipe: str | None
    settings: dict[str, Any]

    @property
    def run(self) -> str:
        """The run's folder."""
        return f"runs/{self.name}"

    @property
    def made(self) -> str:
        """The folder of what verbs write."""
        return f"made/{self.name}"


def subjects(place: Path, only: Sequence[str]) -> list[Subject]:
    """Write the recipes into the temporary folder; returns what is to be recorded, the demos last."""
    for path in sorted((ROOT / "recipes" / "tiny").glob("*.yaml")):
        shutil.copy(path, place)
    write_made(place)
    found = [Subject(path.stem, path.name, yaml.safe_load(path.read_text(encoding="utf-8"))) for path in place.glob("*.yaml")]
    found = [*sorted(found, key=lambda one: one.name), *(Subject(name, None, demo_settings(name)) for name in DEMO_TASKS)]
    groups = {one.name: DEMOS if one.recipe is None else TINY for one in found}
    unknown = [name for name in only if name not in {TINY, DEMOS, *groups}]
    if unknown:
        sys.exit(f"There is no run {unknown[0]}. There are: {', '.join([TINY, DEMOS, *groups])}.")
    return [one for one in found if not only or {one.name, groups[one.name]} & set(only)]


def demo_settings(name: str) -> dict[str, Any]:
    """Return what a demo trains on."""
    task = DEMO_TASKS[name]
    test = {"classification": "builtin:support_test", "sft": "builtin:sft_test"}.get(task)
    train = HANDBOOK if task == "embedding" else "builtin:support_train"
    return {"task": task, "data": {"train": train, "test": test}, "evaluate": {"retrieval": HANDBOOK}}


def training(one: Subject) -> list[str]:
    """Return the command that trains."""
    if one.recipe is None:
        return ["demo", DEMO_TASKS[one.name], "--output", one.run]
    return ["train", one.recipe, f"output={one.run}"]


def verbs(one: Subject) -> Iterator[tuple[str, list[str]]]:
    """Give the names of further commands on a finished run and its data, with their words."""
    recipe, data, task = one.recipe or f"{one.run}/recipe.yaml", one.settings["data"], one.settings["task"]
    rows, split, texts, labels = rows_of(data)
    if one.recipe is not None:
        yield "check", ["check", recipe, "--static"]
        yield "init", ["init", data["train"], "--output", "-"]
    yield "evaluate", evaluation(one, rows, [*texts, *labels])
    yield "predict", ["predict", one.run, rows, *texts]
    yield "compare", ["compare", one.run, one.run]
    yield "report", ["report", one.run, "--format", "md"]
    yield "report page", ["report", one.run, "--output", f"{one.made}/report.html"]
    yield "report table", ["report", one.run, one.run, "--format", "latex"]
    yield "trace", ["trace", recipe, f"output={one.run}", "--row", "5", "--split", split, "--run", one.run]
    yield "diagnose", ["diagnose", one.run]
    if task == "classification" and data["train"].endswith(".csv"):
        corrected = ["--output", f"{one.made}/corrected.csv"]
        yield "apply", ["apply", f"{one.run}-diagnosis/corrections.csv", data["train"], *corrected]
    if task in ("sft", "pretraining"):
        yield "generate", ["generate", one.run, "Mara has a lamp and", "--max-new-tokens", "12"]
    if task == "embedding":
        yield "embed", ["embed", one.run, "builtin:sft_test", "--text", "instruction", "--output", f"{one.made}/vectors.npy"]


def rows_of(data: dict[str, Any]) -> tuple[str, str, list[str], list[str]]:
    """Return rows that a run can be used on, their split, and the options that name the columns of texts and of labels."""
    columns, test = data.get("columns", {}), data.get("test")
    texts = [word for part in ("text", "pair") if part in columns for word in (f"--{part}", columns[part])]
    label = columns.get("label", [])
    labels = [word for name in ([label] if isinstance(label, str) else label) for word in ("--label", name)]
    if isinstance(test, str):
        return test, "test", texts, labels
    return "builtin:support_test" if data["train"] == HANDBOOK else data["train"], "train", texts, labels


def evaluation(one: Subject, rows: str, columns: Sequence[str]) -> list[str]:
    """Return the command that measures a run."""
    folder = one.settings.get("evaluate", {}).get("retrieval")
    if one.settings.get("embedding", {}).get("head") == "cross-encoder":
        return ["evaluate", "builtin:minilm", "--retrieval", str(folder), "--rerank", one.run, "--top-k", "5"]
    if one.settings["task"] == "embedding" and folder:
        return ["evaluate", one.run, "--retrieval", folder]
    answers = ["--answers", "4"] if one.settings["task"] == "sft" else []
    return ["evaluate", one.run, rows, *columns, *answers]


def recorded(words: Sequence[str], processes: Forked | Fresh, paths: Paths, *, as_json: bool) -> dict[str, Any]:
    """Run a command and return its exit code with what it printed: the JSON object, or lines and the errors among them."""
    done = processes.run([*words, "--json"] if as_json else words)
    if as_json:
        try:
            objects = [json.loads(line) for line in done.output.splitlines()]
        except json.JSONDecodeError:
            return {"exit_code": done.exit_code, "output": f"no JSON: {done.output[:200]}"}
        output = settled(objects[0] if len(objects) == 1 else objects, paths)
        return {"exit_code": done.exit_code, "output": split_texts(output)}
    errors = [line for line in done.errors.splitlines() if line.startswith("tunesmith:")]
    return {"exit_code": done.exit_code, "output": settled_text(done.output, paths).splitlines(), "errors": errors}


def split_texts(value: Any) -> Any:
    """Return a JSON value with each text of several lines as a list of lines."""
    if isinstance(value, dict):
        return {key: split_texts(item) for key, item in value.items()}
    return value.splitlines() if isinstance(value, str) and "\n" in value else value


def record_subject(one: Subject, processes: Forked | Fresh, place: Path, paths: Paths, *, with_verbs: bool) -> dict[str, Any]:
    """Train, use the run with every verb, and return the record of all of it."""
    trained = recorded(training(one), processes, paths, as_json=False)
    record = {"train": trained, **record_of(place / one.run, place, paths)}
    if trained["exit_code"] or not with_verbs:
        return record
    (place / one.made).mkdir(parents=True)
    commands = {name: recorded(words, processes, paths, as_json=True) for name, words in verbs(one)}
    folders = [place / one.made, place / f"{one.run}-diagnosis"]
    return record | {
        "verbs": commands, "made": files_below(folders, place, paths), "made_tables": tables_below(folders, place)
    }  # fmt: skip


def fingerprint(place: Path) -> dict[str, Any]:
    """Return what of the machine and the libraries decides about the last bits of floats, and where tunesmith lies."""
    done = subprocess.run([sys.executable, "-c", FINGERPRINT], cwd=place, env=environment(), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"tunesmith or torch cannot be imported:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def record(output: Path, only: Sequence[str], *, fresh: bool, with_verbs: bool) -> int:
    """Run everything that was requested and write the record."""
    with tempfile.TemporaryDirectory(prefix="record-runs-", dir=Path(tempfile.gettempdir()).resolve()) as name:
        place = Path(name)
        chosen = subjects(place, only)
        machine = fingerprint(place)
        print(f"tunesmith of {machine['source']}, {len(chosen)} runs", flush=True)
        whole = {"fingerprint": machine["fingerprint"], "only": list(only), "with_verbs": with_verbs, "runs": {}}
        paths = {name: "PLACE", machine["source"]: "TUNESMITH", sys.prefix: "PYTHON"}
        processes = Fresh(place) if fresh else Forked(place)
        try:
            for one in chosen:
                whole["runs"][one.name] = timed(one, processes, place, paths, with_verbs)
                text = json.dumps(whole, indent=1, ensure_ascii=False, sort_keys=True)
                output.write_text(text + "\n", encoding="utf-8")
        finally:
            processes.close()
    return 0


def timed(one: Subject, processes: Forked | Fresh, place: Path, paths: Paths, with_verbs: bool) -> dict[str, Any]:
    """Return the record of one training, after a line with its time and its exit codes."""
    started = time.perf_counter()
    made = record_subject(one, processes, place, paths, with_verbs=with_verbs)
    codes = {"train": made["train"], **made.get("verbs", {})}
    exit_codes = ", ".join(f"{name} {done['exit_code']}" for name, done in codes.items())
    print(f"{time.perf_counter() - started:6.1f} s  {one.name}: {exit_codes}", flush=True)
    for folder in (one.run, f"{one.run}-diagnosis", one.made):
        shutil.rmtree(place / folder, ignore_errors=True)
    return made


def compare(before: Path, after: Path) -> int:
    """Print each difference between two records; returns 1 where there is any."""
    first, second = (json.loads(path.read_text(encoding="utf-8")) for path in (before, after))
    notes, lines = notes_and_differences(first, second)
    for note in notes:
        print(note, file=sys.stderr)
    for line in lines:
        print(line)
    return 1 if lines else 0


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verb = parser.add_subparsers(dest="verb", required=True)
    making = verb.add_parser("record", help="run everything and write what came out")
    making.add_argument("output", type=Path)
    making.add_argument("--only", nargs="+", default=[], metavar="NAME", help=f"{TINY}, {DEMOS}, or names of runs")
    making.add_argument("--no-verbs", action="store_true", help="train only")
    making.add_argument("--fresh", action="store_true", help="start a new Python for each command, which takes longer")
    comparing = verb.add_parser("compare", help="print where two records differ")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    args = parser.parse_args(words)
    if args.verb == "compare":
        return compare(args.before, args.after)
    return record(args.output, args.only, fresh=args.fresh, with_verbs=not args.no_verbs)


if __name__ == "__main__":
    sys.exit(main())
