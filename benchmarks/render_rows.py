"""Measures rows per second from a file to token ids with labels, and checks on all rows that prompts equal those of inference.

    python benchmarks/render_rows.py

Alpaca's and GSM8K's rows with the tokenizer of stories3M. Wall seconds depend on the load of the machine; processor seconds
do not.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from record import spread, write
from transformers import AutoTokenizer

from tunesmith.data.chat.load import load_conversation_data
from tunesmith.data.checks.chat import check_rows
from tunesmith.models.chat.prompts import certify_rendering
from tunesmith.models.chat.render import render, render_record
from tunesmith.models.chat.template import choose_template
from tunesmith.recipe.sections import Recipe

SHARED = Path(__file__).resolve().parent.parent / ".." / "shared"
FILES = ("alpaca/alpaca_5000.json", "gsm8k/train.jsonl")
REPEATS = 5


def measure(name: str) -> dict[str, Any]:
    tokenizer = AutoTokenizer.from_pretrained(SHARED / "models" / "stories3M")
    recipe = Recipe.model_validate({"task": "sft", "data": {"train": name, "validation": None}})
    wall: dict[str, list[float]] = {"read": [], "render": [], "lint": []}
    processor: dict[str, list[float]] = {"read": [], "render": [], "lint": []}

    def timed(step: str, started: tuple[float, float]) -> None:
        wall[step].append(time.perf_counter() - started[0])
        processor[step].append(time.process_time() - started[1])

    for _ in range(REPEATS):
        started = time.perf_counter(), time.process_time()
        train = load_conversation_data(recipe, SHARED / "data").train
        timed("read", started)
        template = choose_template(tokenizer, None, train)
        started = time.perf_counter(), time.process_time()
        rendered = render(tokenizer, train, template, 512)
        timed("render", started)
        started = time.perf_counter(), time.process_time()
        found = check_rows({"train": train}, joined=template.source == "none")
        timed("lint", started)
    certificate = certify_rendering(tokenizer, template, train, rows=None)
    n = len(train)
    return {
        "rows": n, "template": template.name, "record": render_record(rendered),
        "rows_per_second": {step: spread([n / seconds for seconds in values]) for step, values in wall.items()},
        "rows_per_processor_second": {step: spread([n / seconds for seconds in values]) for step, values in processor.items()},
        "rows_that_differ_from_inference": certificate.figure, "note": certificate.note,
        "findings": {one.name: one.flagged for one in found}, "load_average": os.getloadavg()[0],
    }  # fmt: skip


if __name__ == "__main__":
    write("render_rows", {"files": {name: measure(name) for name in FILES}})
