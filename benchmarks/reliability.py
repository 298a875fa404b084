"""Injects kills, damage, full disks, second writers and changed inputs, and counts what is lost.

    python benchmarks/reliability.py [--only SECTION ...] [--share 0.1] [--folder .reliability] [--seed N] [--again]

Each section is a function of one trial; finished trials are kept in the folder, so that the same command goes on after an
interruption. ``--only inputs --seed N`` runs one trial again; the folder ``failed`` has the inputs of trials with a fault. A
trial counts as a traceback, a hang, a lost run (files that were complete before are not any more, or a resumed run differs from
an uninterrupted one) or a wrong word (an exit code or message that it must not have).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mutated_inputs import command_line_trial, input_trial
from record import write
from trials import Ended, Process, Trial, make_models, mutate_file, run

from tunesmith.disk import hash_file

ROWS = 160
EXACT = ("model/model.safetensors", "predictions.parquet")
"""Files of a resumed run that are equal to those of an uninterrupted one."""


@dataclass(frozen=True)
class Bench:
    """The recipes, models and uninterrupted runs that trials copy.

    Attributes:
        seconds: duration of the uninterrupted classification run.
        n_bytes: its size on the disk.
    """

    folder: Path
    seconds: float
    n_bytes: int

    @contextmanager
    def place(self) -> Iterator[Path]:
        """A folder with recipes, rows and models for one trial, which is the current one meanwhile."""
        place, back = self.folder / f"trial-{os.getpid()}", Path.cwd()
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.folder / "base", place, symlinks=True)
        os.chdir(place)
        try:
            yield place
        finally:
            os.chdir(back)
            shutil.rmtree(place, ignore_errors=True)

    def differs(self, run: Path) -> str:
        """Names the file in which a run differs from the uninterrupted one; empty if there is none."""
        for name in EXACT:
            if not (run / name).exists() or hash_file(run / name) != hash_file(self.folder / "base/runs/whole" / name):
                return name
        ours, whole = (json.loads((place / "result.json").read_text()) for place in (run, self.folder / "base/runs/whole"))
        return next((key for key in ("metrics", "verdicts") if ours[key] != whole[key]), "")


# --- preparation ---------------------------------------------------------------------------------------------------------------


def prepare(folder: Path) -> Bench:
    """Makes models, rows and recipes, and trains the uninterrupted runs, unless the folder has them."""
    base = folder / "base"
    record = folder / "bench.json"
    if not record.exists():
        shutil.rmtree(base, ignore_errors=True)
        base.mkdir(parents=True)
        make_models(base)
        make_recipes(base)
        back = Path.cwd()
        os.chdir(base)
        started = time.perf_counter()
        for words in (["train", "recipe.yaml", "output=runs/whole"], ["train", "sft.yaml"], ["train", "embedding.yaml"]):
            ended = run(words, folder / "prepare.log")
            if ended.code:
                raise RuntimeError(ended.text)
            record.write_text(
                json.dumps({"seconds": time.perf_counter() - started}) if "whole" in words[-1] else record.read_text()
            )
        os.chdir(back)
        n_bytes = sum(path.stat().st_size for path in (base / "runs/whole").rglob("*") if path.is_file())
        record.write_text(json.dumps({**json.loads(record.read_text()), "n_bytes": n_bytes}))
    return Bench(folder, **json.loads(record.read_text()))


def make_recipes(base: Path) -> None:
    draw = random.Random(0)
    texts = [" ".join(f"w{draw.randrange(60)}" for _ in range(draw.randint(3, 12))) for _ in range(ROWS)]
    lines = [f"{text},{'pos' if text.split()[0] < 'w3' else 'neg'}" for text in texts]
    (base / "train.csv").write_text("text,label\n" + "\n".join(lines) + "\n")
    (base / "test.csv").write_text("text,label\n" + "\n".join(f"{line[:-4]} w1,{line[-3:]}" for line in lines[:60]) + "\n")
    train = {"num_train_epochs": 6, "per_device_train_batch_size": 16, "n_evaluations": 12, "n_logs": 24}
    plain: dict[str, Any] = {
        "data": {"train": "train.csv", "validation": 0.2, "test": "test.csv"}, "model": {"name": "tiny"}, "train": train,
        "evaluate": {"n_resamples": 200}, "output": "runs/out",
    }  # fmt: skip
    sft = {
        "task": "sft", "data": {"train": "builtin:sft_train", "validation": 0.2, "test": "builtin:sft_test", "max_rows": 60},
        "model": {"name": "builtin:pocket"}, "sft": {"chat_template": "dialogue"}, "train": {"max_steps": 2, "n_evaluations": 1},
        "evaluate": {"answers": {"rows": 4, "shots": 0}, "n_resamples": 200}, "output": "runs/sft",
    }  # fmt: skip
    pairs = {
        "task": "embedding", "data": {"train": "train.csv", "validation": 0.2}, "model": {"name": "tiny"},
        "train": {"max_steps": 4, "n_evaluations": 1}, "evaluate": {"n_resamples": 200}, "output": "runs/embedding",
    }  # fmt: skip
    for name, recipe in (("recipe", plain), ("sft", sft), ("embedding", pairs)):
        (base / f"{name}.yaml").write_text(json.dumps(recipe))


# --- kills ---------------------------------------------------------------------------------------------------------------------

WORK = Path("runs/out.partial")


def text_of(path: Path) -> str:
    """Returns the text of a file that another process may rename at any moment; empty if it is not there."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


MOMENTS: dict[str, Callable[[], bool]] = {
    "check": lambda: False,
    "begin": lambda: WORK.exists(),
    "training": lambda: (WORK / "metrics.jsonl").exists(),
    "checkpoint": lambda: any(not (path / "manifest.json").exists() for path in WORK.glob("checkpoints/checkpoint-*")),
    "best": lambda: (WORK / "checkpoints/best.partial").exists(),
    "save": lambda: (WORK / "model").exists(),
    "predictions": lambda: (WORK / "predictions.parquet").exists(),
    "report": lambda: (WORK / "result.json").exists(),
    "rename": lambda: "files" in text_of(WORK / "run.json"),
    "any": lambda: False,
}
"""Phase -> whether it has begun."""
LENGTHS = {"training": 0.5, "save": 0.1, "predictions": 0.05, "report": 0.15, "check": 0.3, "any": 1.0}
"""Phase -> its longest delay before the kill, as a share of the run; else a few milliseconds."""


def kill_trial(bench: Bench, number: int, draw: random.Random) -> Trial:
    """Kills a training in one phase, in every second trial while it replaces an earlier run; resumes it and compares."""
    phase, replaces = list(MOMENTS)[number % len(MOMENTS)], number % 2 == 1
    with bench.place():
        words = ["train", "recipe.yaml", *(["--overwrite"] if replaces else [])]
        if replaces:
            shutil.copytree("runs/whole", "runs/out")
        delay = draw.random() * LENGTHS.get(phase, 0.01) * bench.seconds
        process = Process(words, Path("log"), new_interpreter=number % 10 == 0)
        begun = time.monotonic()
        ended = process.wait(until=MOMENTS[phase] if LENGTHS.get(phase) not in (0.3, 1.0) else lambda: True)
        if ended is None:
            ended = process.wait(until=lambda: time.monotonic() - begun > delay)
        if ended is None:
            process.kill()
        what = f"killed in {phase}{' of a replacement' if replaces else ''}, {delay:.3f} s after its start"
        trial = Trial("kills", number, what if ended is None else f"{what}: it was done before")
        if ended is not None and (fault := ended.fault):
            return replace(trial, fault=fault, detail=ended.text[-1500:])
        if replaces and not any(Path(f"runs/{name}/model/model.safetensors").exists() for name in ("out", "out.replaced")):
            return replace(trial, fault="lost", detail="the earlier run is gone")
        return resume_and_compare(bench, trial)


def resume_and_compare(bench: Bench, trial: Trial) -> Trial:
    """Resumes the run if it is unfinished, else starts it, and compares it with the uninterrupted one."""
    words = ["train", "recipe.yaml"]
    if WORK.exists():
        words.append("--resume")
    elif Path("runs/out").exists():
        words.append("--overwrite")
    ended = run(words, Path("log"))
    if ended.fault or ended.code:
        return replace(trial, fault=ended.fault or "lost", detail=f"{' '.join(words)}: {ended.text[-1500:]}")
    differs = bench.differs(Path("runs/out"))
    if not differs and (left := [path.name for path in Path("runs").iterdir() if "out" in path.name and path.name != "out"]):
        differs = f"left behind: {left}" if not all(name.startswith(".") for name in left) else ""
    return replace(trial, fault="lost", detail=f"{differs} differs") if differs else trial


# --- damaged files -------------------------------------------------------------------------------------------------------------

READERS = {
    "result.json": (
        ["report", "{run}", "--output", "r.html"],
        ["compare", "{run}", "{run}"],
        ["report", "{run}", "--format", "md"],
    ),
    "metrics.jsonl": (["report", "{run}", "--output", "r.html"],),
    "predictions.parquet": (["report", "{run}", "--output", "r.html"], ["compare", "{run}", "{run}"]),
    "answers.json": (["report", "{run}", "--output", "r.html"],),
    "heat_map.json": (["report", "{run}", "--output", "r.html"],),
    "run.json": (["report", "{run}", "--output", "r.html"], ["predict", "{run}", "test.csv", "--output", "p.csv"]),
    "resolved.yaml": (["report", "{run}", "--output", "r.html"], ["diagnose", "{run}"]),
    "model/tunesmith.json": (["predict", "{run}", "test.csv", "--output", "p.csv"], ["evaluate", "{run}", "test.csv"]),
    "../test_looks.jsonl": (["evaluate", "{run}", "test.csv"], ["train", "recipe.yaml"], ["report", "runs/out"]),
}
"""File of a run -> the commands that read it."""
RUNS = ("whole", "whole", "sft", "embedding")
ALLOWED = {0, 2, 3, 4}


def judge(trial: Trial, ended: Ended, words: list[str]) -> Trial:
    """Adds the fault of a process that may end well or refuse, and nothing else."""
    fault = ended.fault or ("" if ended.code in ALLOWED else "wrong word")
    return replace(trial, fault=fault, detail=f"{' '.join(words)}: {ended.text[-1500:]}") if fault else trial


def mutated_trial(bench: Bench, number: int, draw: random.Random) -> Trial:
    """Damages one file of a finished run, and runs a command that reads it. Half of the trials damage result.json."""
    with bench.place():
        folder = Path("runs") / RUNS[number % len(RUNS)]
        names = [name for name in READERS if (folder / name).exists()]
        name = "result.json" if number % 2 == 0 else draw.choice(names)
        what = f"{folder.name}/{mutate_file(folder / name, draw)}"
        trial = Trial("mutated files", number, what)
        for command in READERS[name]:
            words = [word.format(run=folder) for word in command]
            trial = judge(trial, ended := run(words, Path("log")), words)
            if not trial.fault and words[0] == "train" and ended.code:
                trial = replace(trial, fault="lost", detail=f"a training beside a damaged file: {ended.text[-1500:]}")
            if trial.fault:
                break
        return trial


def model_trial(bench: Bench, number: int, draw: random.Random) -> Trial:
    """Damages or removes one file of a base model, of a sharded one, or of a run's model, and loads it."""
    uses: tuple[tuple[str, list[str]], ...] = (
        ("tiny", ["check", "recipe.yaml"]),
        ("sharded", ["check", "recipe.yaml", "model.name=sharded"]),
        ("runs/whole/model", ["predict", "runs/whole", "test.csv", "--output", "p.csv"]),
        ("runs/sft/model", ["generate", "runs/sft", "Hello", "--max-new-tokens", "4"]),
        ("runs/embedding/model", ["embed", "runs/embedding", "test.csv", "--text", "text", "--output", "e.npy"]),
    )
    with bench.place():
        folder, words = uses[number % len(uses)]
        files = [path for path in sorted(Path(folder).rglob("*")) if path.suffix in (".json", ".safetensors")]
        path = draw.choice(files)
        if draw.random() < 0.1:
            path.unlink()
            done = f"{path.name}: removed"
        else:
            done = mutate_file(path, draw, 2_000 if path.suffix == ".safetensors" else None)
        return judge(Trial("damaged models", number, f"{folder}/{done}"), run(words, Path("log")), words)


# --- full disks ----------------------------------------------------------------------------------------------------------------


def disk_trial(bench: Bench, number: int, draw: random.Random) -> Trial:
    """Trains on a disk that is small, fills up during the run, or limits the size of files; then frees it and goes on."""
    size = int(bench.n_bytes * (0.02 + 1.2 * (number + draw.random()) / SECTIONS["full disk"][1]))
    kind = ("limit", "small", "filled", "filled")[number % 4]
    with bench.place() as place, mounted(place / "runs/small", kind) as disk:
        yesterday = hash_file(Path("runs/whole/report.html"))
        trial = Trial("full disk", number, f"{kind}, {size:,} bytes")
        output, filler = f"output={disk}/out", disk / "filler"
        if kind == "small":
            fill(filler, size)
        process = Process(
            ["train", "recipe.yaml", output], Path("log"), before=limit_files(size // 8) if kind == "limit" else None
        )
        if kind == "filled" and process.wait(until=(disk / "out.partial").exists) is None:
            fill(filler, size)
        ended = process.end()
        filler.unlink(missing_ok=True)
        trial = judge(trial, ended, ["train"])
        if not trial.fault and ended.code == 2 and "no space left" not in ended.text and "are free" not in ended.text:
            trial = replace(trial, fault="wrong word", detail=ended.text[-1500:])
        if not trial.fault and ended.code:
            words = ["train", "recipe.yaml", output, *(["--resume"] if (disk / "out.partial").exists() else [])]
            again = run(words, Path("log"))
            if again.code or bench.differs(disk / "out"):
                trial = replace(trial, fault="lost", detail=again.text[-1500:])
        report = run(["report", "runs/whole"], Path("log"), before=limit_files(9_000))
        if not trial.fault and (report.code != 2 or hash_file(Path("runs/whole/report.html")) != yesterday):
            trial = replace(trial, fault="lost", detail=f"yesterday's report: {report.text[-500:]}")
        return trial


@contextmanager
def mounted(folder: Path, kind: str) -> Iterator[Path]:
    """A folder on a small disk of its own, except for a limit of the size of files."""
    folder.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if kind != "limit":
        subprocess.run(options, check=True)
    try:
        yield folder
    finally:
        if kind != "limit":
            subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(filler: Path, left: int) -> None:
    """Fills a disk with one file, up to so many free bytes."""
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, shutil.disk_usage(filler.parent).free - left))


def limit_files(n_bytes: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))


# --- two writers ---------------------------------------------------------------------------------------------------------------


STARTS = ("at once", "during", "later")
"""When the second of two writers starts: with the first, while the first holds the lock, at a random moment of its run."""


def writers_trial(bench: Bench, number: int, draw: random.Random) -> Trial:
    """Starts two trainings into one output: one finishes, the other is refused. In every second trial both replace a run."""
    start, replaces = STARTS[number % len(STARTS)], number % 2 == 1
    with bench.place():
        if replaces:
            shutil.copytree("runs/whole", "runs/out")
        words = ["train", "recipe.yaml", *(["--overwrite"] if replaces else [])]
        what = f"the second {start}{', both replacing' if replaces else ''}"
        trial = Trial("two writers", number, what)
        first = Process(words, Path("first.log"))
        delay = draw.random() * bench.seconds if start == "later" else 0.0
        begun = time.monotonic()
        until = MOMENTS["training"] if start == "during" else lambda: time.monotonic() - begun >= delay
        if (early := first.wait(until=until)) is not None:
            return replace(judge(trial, early, words), what=f"{what}: the first had ended")
        second = Process(words, Path("second.log"))
        ended = [second.end(), first.end()]
        for one in ended:
            trial = judge(trial, one, words)
        if not trial.fault and (fault := fault_of_writers(bench, ended, start, first.pid)):
            text = "\n".join(one.text[-700:] for one in ended)
            return replace(trial, fault=fault, detail=text)
        return trial


def fault_of_writers(bench: Bench, ended: list[Ended], start: str, pid: int) -> str:
    """Names what is wrong about the ends of the second and the first writer.

    While the first trains, the second is refused with the number of the first one's process. Writers that start at other
    moments may also write one after the other; at least one finishes, and the run is whole.
    """
    codes = [one.code for one in ended]
    if 0 not in codes or bench.differs(Path("runs/out")):
        return "lost"
    refused = [one.text for one in ended if one.code == 2]
    if start == "during" and (codes != [2, 0] or f"another process is writing here: process {pid} " not in refused[0]):
        return "wrong word"
    known = ("another process is writing here", "holds another run", "the folder of the run cannot be made")
    return "" if all(any(words in text for words in known) for text in refused) else "wrong word"


# --- all of it -----------------------------------------------------------------------------------------------------------------

TrialFunction = Callable[[Bench, int, random.Random], Trial]
SECTIONS: dict[str, tuple[TrialFunction, int]] = {
    "kills": (kill_trial, 200),
    "mutated files": (mutated_trial, 150),
    "damaged models": (model_trial, 60),
    "full disk": (disk_trial, 20),
    "two writers": (writers_trial, 20),
    "inputs": (lambda bench, number, draw: input_trial(bench.folder, number, draw), 2_000),
    "command lines": (lambda bench, number, draw: command_line_trial(bench.folder, number, draw), 100),
}
"""Section -> the function of one trial, and how many there are."""
PAGE = Path(__file__).resolve().parents[1] / "docs/explanation/reliability.md"
MARKS = ("<!-- figures of benchmarks/reliability.py -->", "<!-- end of figures -->")
WITHOUT_RUNS = {"inputs", "command lines"}
"""Sections that need no uninterrupted training."""


def finished_trials(path: Path) -> list[Trial]:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Trial(**json.loads(line)) for line in lines]


def forget_faults(progress: Path, names: list[str]) -> None:
    """Removes the trials with a fault of these sections from the file, so that they run again."""
    kept = [trial for trial in finished_trials(progress) if trial.section not in names or not trial.fault]
    progress.write_text("".join(json.dumps(asdict(trial)) + "\n" for trial in kept), encoding="utf-8")


def run_section(bench: Bench, name: str, share: float, progress: Path) -> None:
    """Runs the trials of a section that are not finished, and appends each to the file."""
    done = {trial.number for trial in finished_trials(progress) if trial.section == name}
    for number in range(max(1, round(share * SECTIONS[name][1]))):
        if number not in done:
            trial = run_trial(bench, name, number)
            with progress.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(trial)) + "\n")


def run_trial(bench: Bench, name: str, number: int) -> Trial:
    """Runs one trial, which is the same whenever it runs, and prints it."""
    started = time.perf_counter()
    trial = SECTIONS[name][0](bench, number, random.Random(f"{name} {number}"))
    line = f"{name} {number}: {trial.what}{f' -> {trial.fault}: {trial.detail}' if trial.fault else ''}"
    print(line.encode(errors="backslashreplace").decode(), flush=True)  # changed inputs hold halves of surrogate pairs
    return replace(trial, seconds=round(time.perf_counter() - started, 2))


def summary(trials: list[Trial]) -> dict[str, Any]:
    """Counts the trials and faults of each section."""
    faults = ("traceback", "hang", "lost", "wrong word")
    sections = {}
    for name in SECTIONS:
        own = [trial for trial in trials if trial.section == name]
        counts = Counter(trial.fault for trial in own)
        sections[name] = {"trials": len(own), **{fault: counts[fault] for fault in faults}}
        if outcomes := Counter(trial.outcome for trial in own if trial.outcome):
            sections[name] |= dict(sorted(outcomes.items()))
        sections[name]["minutes"] = round(sum(trial.seconds for trial in own) / 60, 1)
    failed = [asdict(trial) for trial in trials if trial.fault]
    return {
        "sections": sections,
        "faults": {fault: sum(s[fault] for s in sections.values()) for fault in faults},
        "failed": failed,
    }


def write_page(figures: dict[str, Any], page: Path = PAGE) -> None:
    """Puts the figures of the sections that have run between the marks of the page about reliability."""
    rows = [(name, section) for name, section in figures["sections"].items() if section["trials"]]
    table = ["| section | trials | used | refused | traceback | hang | lost | wrong word | minutes |", "|---" * 9 + "|"]
    for name, section in rows:
        counts = [
            section.get(key, "") for key in ("trials", "used", "refused", "traceback", "hang", "lost", "wrong word", "minutes")
        ]
        table.append(f"| {name} | {' | '.join(f'{n:,}' if n != '' else '' for n in counts)} |")
    before, _, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
    text = "\n".join([before + MARKS[0], *table, MARKS[1]]) + rest.partition(MARKS[1])[2]
    page.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(SECTIONS), choices=list(SECTIONS))
    parser.add_argument("--share", type=float, default=1.0, help="share of the trials of each section")
    parser.add_argument("--seed", type=int, metavar="N", help="run only trial N of each section, and record nothing")
    parser.add_argument("--again", action="store_true", help="run the trials with a fault again")
    parser.add_argument("--folder", type=Path, default=Path(".reliability"), help="finished trials; remove it to start again")
    args = parser.parse_args()
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    import_libraries()
    folder = args.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    bench = Bench(folder, 0.0, 0) if set(args.only) <= WITHOUT_RUNS else prepare(folder)
    if args.seed is not None:
        for name in args.only:
            run_trial(bench, name, args.seed)
        return
    progress = folder / "trials.jsonl"
    if args.again:
        forget_faults(progress, args.only)
    for name in args.only:
        run_section(bench, name, args.share, progress)
    figures = summary(finished_trials(progress))
    write("reliability", figures)
    write_page(figures)


def import_libraries() -> None:
    """Imports what trainings import, so that forked processes start at once."""
    import sklearn.linear_model  # noqa: F401

    from tunesmith.cli.main import quiet_libraries

    quiet_libraries()
    import tunesmith.generation.generator
    import tunesmith.models.embedding.encoder
    import tunesmith.report.page
    import tunesmith.tasks.embedding.steps
    import tunesmith.tasks.language.steps
    import tunesmith.workflows.train  # noqa: F401
    from tunesmith.tasks.classification.steps import STEPS  # noqa: F401


if __name__ == "__main__":
    main()
