"""Runs command lines of tunesmith, each in a process of its own.

A new Python takes seconds to import torch and transformers. So one process imports the libraries, but nothing of tunesmith, and
is forked for each command. ``Fresh`` starts a new Python for each command instead; what comes out is the same.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "OMP_NUM_THREADS": "2",  # the number of threads decides in which order floats are added
    "OMP_WAIT_POLICY": "passive",  # waiting threads do not take the processor from other programs
    "NO_COLOR": "1",
}
LIBRARIES = (
    "pydantic", "torch", "torch._dynamo", "transformers", "transformers.trainer", "transformers.models.bert.modeling_bert",
    "transformers.models.llama.modeling_llama", "accelerate", "peft", "datasets", "scipy.stats", "scipy.optimize",
    "sklearn.linear_model", "sklearn.feature_extraction.text", "sklearn.model_selection", "pyarrow.parquet", "pandas",
    "cleanlab.filter",
)  # fmt: skip
"""What is imported before the forks. Those that change other libraries as they are imported are left to the commands."""


@dataclass(frozen=True)
class Finished:
    """The exit code of a command and what it printed."""

    exit_code: int
    output: str
    errors: str


def environment() -> dict[str, str]:
    """Return the variables of the processes that are recorded, with absolute paths in PYTHONPATH.

    The order of sets of texts depends on PYTHONHASHSEED. It is 0 unless it is set: records with two seeds show what of a run
    depends on that order.
    """
    paths = [str(Path(path).resolve()) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return {"PYTHONHASHSEED": "0", **os.environ, **ENVIRONMENT, "PYTHONPATH": os.pathsep.join(paths)}


class Fresh:
    """Starts a new Python for each command."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def run(self, words: Sequence[str]) -> Finished:
        """Run a command in the folder and wait for it."""
        done = subprocess.run(
            [sys.executable, "-m", "tunesmith.cli.main", *words],
            cwd=self.place, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return Finished(done.returncode, done.stdout, done.stderr)

    def close(self) -> None:
        """Do nothing: every process has ended."""


class Forked:
    """Keeps a process with the libraries imported and forks it for each command."""

    def __init__(self, place: Path) -> None:
        self.files = [place / name for name in ("stdout.txt", "stderr.txt")]
        self.server = subprocess.Popen(
            [sys.executable, __file__, *map(str, self.files)],
            cwd=place, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def run(self, words: Sequence[str]) -> Finished:
        """Run a command in the folder and wait for it."""
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        print(json.dumps(list(words)), file=self.server.stdin, flush=True)
        code = self.server.stdout.readline()
        if not code:
            raise RuntimeError("the process that runs the commands has ended")
        output, errors = (file.read_text(encoding="utf-8", errors="replace") for file in self.files)
        return Finished(int(code), output, errors)

    def close(self) -> None:
        """End the process."""
        self.server.communicate()


def serve(files: Sequence[str]) -> int:
    """Fork for each command on standard input and print its exit code."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print as they are imported is no answer
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # the forks then share the memory of what was imported
    for line in iter(sys.stdin.readline, ""):
        child = os.fork()
        if not child:
            in_fork(json.loads(line), files)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)
    return 0


def in_fork(words: list[str], files: Sequence[str]) -> None:
    """Run a command with nothing on standard input and its output in files, and end the process with its exit code."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), number)
    from tunesmith.cli.main import main

    code = main(words)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # at once: taking the imported libraries down would take longer than most commands


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:]))
