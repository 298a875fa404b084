"""Runs command lines in processes that can be killed, damages files, and makes tiny models. Used by reliability.py."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HANG_SECONDS = 120
SURPRISES = ("Traceback (most recent call last)", "tunesmith: unexpected ")
"""What standard error holds after an error that nobody has foreseen."""


@dataclass(frozen=True)
class Trial:
    """The outcome of one trial.

    Attributes:
        what: what was injected.
        outcome: ``used`` or ``refused``, of a changed input.
        fault: ``traceback``, ``hang``, ``lost`` or ``wrong word``; empty if there was none.
        detail: the end of the output, after a fault.
    """

    section: str
    number: int
    what: str
    fault: str = ""
    detail: str = ""
    seconds: float = 0.0
    outcome: str = ""


@dataclass(frozen=True)
class Ended:
    """A process that has ended.

    Attributes:
        code: its exit code; minus the signal's number if it was killed.
        text: both of its streams.
        hung: whether it was still running after ``HANG_SECONDS``.
    """

    code: int
    text: str
    hung: bool = False

    @property
    def fault(self) -> str:
        """Returns ``hang`` or ``traceback``; empty for a process that ended as it should."""
        if self.hung:
            return "hang"
        return "traceback" if any(surprise in self.text for surprise in SURPRISES) else ""


class Process:
    """A command line in a process of its own, forked from this one after its imports, or by a new interpreter."""

    def __init__(self, words: list[str], log: Path, *, new_interpreter: bool = False, before: Callable[[], None] | None = None):
        self.log, self.started = log, time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            run_child(words, log, new_interpreter, before)

    def poll(self) -> int | None:
        """Returns the wait status, or None while it runs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return status if pid else None

    def wait(self, until: Callable[[], bool] | None = None) -> Ended | None:
        """Waits for the end, or until a condition holds: then returns None."""
        while True:
            status = self.poll()
            if status is not None:
                return Ended(os.waitstatus_to_exitcode(status), self.log.read_text(errors="replace"))
            if until is not None and until():
                return None
            if time.monotonic() - self.started > HANG_SECONDS:
                self.kill()
                return Ended(-signal.SIGKILL, self.log.read_text(errors="replace"), hung=True)
            time.sleep(0.0005)

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.pid, number)
        os.waitpid(self.pid, 0)

    def end(self) -> Ended:
        """Waits for the end."""
        ended = self.wait()
        assert ended is not None
        return ended


def run_child(words: list[str], log: Path, new_interpreter: bool, before: Callable[[], None] | None) -> None:
    """Runs the command line and ends the process."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    code = 70
    try:
        if before is not None:
            before()
        if new_interpreter:
            os.execv(sys.executable, [sys.executable, "-m", "tunesmith.cli.main", *words])
        from tunesmith.cli.main import main

        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        code = main(words)
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - whatever it is, it has to be seen
        import traceback

        os.write(2, traceback.format_exc().encode())
    os._exit(code)


def run(words: list[str], log: Path, **options: Any) -> Ended:
    return Process(words, log, **options).end()


JUNK: tuple[Any, ...] = (
    None, True, -1, 0, 10**30, 1.5, "", "x", "\ud800"[:0] + "\u2028", [], {}, [1, "a", None], {"a": {"b": []}}, "NaN", [[]], -0.0,
)  # fmt: skip


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Lists the path of every value in a JSON document."""
    found = [path] if path else []
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        found += places(value, (*path, key))
    return found


def mutate_json(text: str, draw: random.Random) -> tuple[str, str]:
    """Replaces, removes or renames one value of a JSON document; returns the new text and what was done."""
    document = json.loads(text)
    path = draw.choice(places(document))
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    name, action = "/".join(map(str, path)), draw.choice(("replace", "replace", "replace", "remove", "rename"))
    if action == "remove":
        del parent[path[-1]]
    elif action == "rename" and isinstance(parent, dict):
        parent[f"{path[-1]}x"] = parent.pop(path[-1])
    else:
        action, parent[path[-1]] = "replace", draw.choice(JUNK)
        action = f"replace by {parent[path[-1]]!r}"
    return json.dumps(document), f"{action}: {name}"


def mutate_bytes(content: bytes, draw: random.Random, limit: int | None = None) -> tuple[bytes, str]:
    """Cuts the content, flips bits, or overwrites a stretch, within the first ``limit`` bytes."""
    end = max(1, min(len(content), limit or len(content)))
    at, action = draw.randrange(end), draw.choice(("cut", "flip", "zero", "empty", "insert"))
    if action == "cut":
        return content[:at], f"cut at {at}"
    if action == "empty":
        return b"", "empty"
    if action == "insert":
        return content[:at] + draw.randbytes(7) + content[at:], f"7 bytes inserted at {at}"
    changed = bytearray(content)
    if action == "flip":
        changed[at] ^= 1 << draw.randrange(8)
    else:
        changed[at : at + 40] = bytes(len(changed[at : at + 40]))
    return bytes(changed), f"{action} at {at}"


def mutate_file(path: Path, draw: random.Random, limit: int | None = None) -> str:
    """Damages one file: half of the JSON files in one value, all others in their bytes. Returns what was done."""
    content = path.read_bytes()
    if path.suffix == ".json" and draw.random() < 0.7:
        text, done = mutate_json(content.decode(), draw)
        path.write_text(text)
    else:
        new, done = mutate_bytes(content, draw, limit)
        path.write_bytes(new)
    return f"{path.name}: {done}"


def make_models(base: Path) -> None:
    """Writes a random BERT with a vocabulary of words; sft uses the built-in model."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(60))]
    raw = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    raw.normalizer, raw.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    tokens = {f"{part}_token": token for part, token in names.items()}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, model_max_length=64, **tokens)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=64, **shape)).save_pretrained(base / "tiny")
    tokenizer.save_pretrained(base / "tiny")
    BertModel(BertConfig(vocab_size=len(words), max_position_embeddings=64, **shape)).save_pretrained(
        base / "sharded", max_shard_size="20KB"
    )
    tokenizer.save_pretrained(base / "sharded")
