"""``generate``: what it is given, what it prints, what it answers as JSON, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.cli.conftest import Cli
from tunesmith.errors import DataError
from tunesmith.generation.generator import whole_prompts


class Writer(str):
    """A loaded model whose texts continue their prompts."""

    continues = True


def written(text: str, satisfied: bool | None = None, note: str = "") -> SimpleNamespace:
    return SimpleNamespace(text=text, satisfied=satisfied, logprob=-1.5, finished=True, note=note, continues=True)


@pytest.fixture
def calls(stand_in: Callable[..., None]) -> list[tuple[Any, list[str], dict[str, Any]]]:
    """The calls of the work behind the verb, which writes one text a prompt."""
    made: list[tuple[Any, list[str], dict[str, Any]]] = []

    def generate(model: Any, prompts: Any, **settings: Any) -> list[list[SimpleNamespace]]:
        made.append((model, prompts, settings))
        if "stream" in settings:
            settings["stream"](" a")
            settings["stream"](" fox")
            return [[written(" a fox")]]
        return [[written(f" text {i}", i == 0, "" if i == 0 else "'fox' is missing")] for i in range(len(prompts))]

    stand_in(
        "tunesmith.generation.generator",
        generate=generate,
        load_text_generator=lambda name: Writer(f"writer of {name}"),
        whole_prompts=whole_prompts,
    )
    stand_in("tunesmith.generation.prompt_rows", read_prompts=lambda path, listener: ["from", str(path)])
    return made


def test_a_byte_that_is_not_utf8_is_replaced_before_it_is_printed(cli: Cli, calls: list[Any]) -> None:
    completed = cli("generate", "runs/a", "caf\udce9", "--output", "texts.jsonl", "--json")
    assert completed.code == 0
    assert json.loads(completed.out)["prompt"] == "caf\ufffd"
    assert "1 prompt holds half a character" in completed.err
    assert calls[0][1] == ["caf\ufffd"]


def test_options_reach_the_work_by_upstreams_names(cli: Cli, calls: list[Any]) -> None:
    completed = cli(
        "generate",
        "runs/a",
        "Once",
        "--prompts",
        "p.txt",
        "--num-beams",
        "5",
        "--do-sample",
        "--temperature",
        "0.5",
        "--raw",
        "--must-include",
        "red fox",
        "--must-include",
        "cat",
        "--any-of",
        "a, b",
        "--any-of",
        "c,d",
        "--forbid",
        "e",
        "--bias",
        "f=g=2.5",
        "--bias",
        "h=-1",
    )
    ((model, prompts, settings),) = calls
    assert (completed.code, model, prompts) == (0, "runs/a", ["Once", "from", "p.txt"])
    settings.pop("listener")
    assert settings == {
        "num_beams": 5,
        "do_sample": True,
        "temperature": 0.5,
        "raw": True,
        "must_include": ["red fox", "cat"],
        "any_of": [["a", "b"], ["c", "d"]],
        "forbid": ["e"],
        "bias": {"f=g": 2.5, "h": -1.0},
        "choices": [],
        "regex": None,
        "json_schema": None,
    }


def test_texts_and_what_is_amiss(cli: Cli, calls: list[Any]) -> None:
    completed = cli("generate", "runs/a", "Once", "Tom")
    assert (completed.code, completed.out, completed.err) == (0, "Once text 0\nTom text 1\n", "note: 'Tom': 'fox' is missing\n")


def test_json_is_an_object_a_text(cli: Cli, calls: list[Any]) -> None:
    rows = [json.loads(line) for line in cli("generate", "runs/a", "Once", "Tom", "--json").out.splitlines()]
    assert rows[0] == {"prompt": "Once", "text": " text 0", "satisfied": True, "logprob": -1.5, "finished": True, "note": ""}
    assert [row["satisfied"] for row in rows] == [True, False]


def test_output_is_a_file_of_objects(cli: Cli, calls: list[Any]) -> None:
    completed = cli("generate", "runs/a", "Once", "Tom", "--output", "out.jsonl")
    assert completed.out == "2 texts written to out.jsonl, 1 of them violate the constraints\n"
    assert [json.loads(line)["text"] for line in Path("out.jsonl").read_text(encoding="utf-8").splitlines()] == [
        " text 0",
        " text 1",
    ]


def test_a_stream_shows_prompt_and_text(cli: Cli, calls: list[Any]) -> None:
    completed = cli("generate", "runs/a", "Once", "Tom", "--stream")
    assert completed.out == "Once a fox\nTom a fox\n"
    assert [model for model, _, _ in calls] == ["writer of runs/a"] * 2


@pytest.mark.parametrize("given", ['{"type": "integer"}', "schema.json"])
def test_a_schema_is_a_file_or_stands_there(cli: Cli, calls: list[Any], given: str) -> None:
    Path("schema.json").write_text('{"type": "integer"}', encoding="utf-8")
    cli("generate", "runs/a", "Once", "--json-schema", given)
    assert calls[0][2]["json_schema"] == {"type": "integer"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "there is no prompt. Give one, or a file of prompts"),
        (["x", "--top-k", "3"], "--top-k works only with --do-sample"),
        (["x", "--stream", "--json"], "--stream cannot be combined with --json or --output"),
        (["x", "--output", "a.csv"], "texts cannot be written as .csv. Name it OUT.jsonl."),
        (["x", "--bias", "fox"], "--bias fox: 'fox' is not a number. Write WORD=NUMBER"),
        (["x", "--json-schema", "nope.json"], "--json-schema nope.json: there is no such file."),
        (["x", "--json-schema", "{'a': 1}"], "--json-schema: this is not JSON"),
        (["x", "--num-beam", "3"], "Did you mean --num-beams?"),
    ],
)
def test_wrong_usage(cli: Cli, calls: list[Any], words: list[str], message: str) -> None:
    completed = cli("generate", "runs/a", *words)
    assert (completed.code, calls) == (2, [])
    assert message in completed.err


@pytest.mark.parametrize(
    ("name", "text", "prompts"),
    [
        ("p.txt", "Once\n\nTom and\n", ["Once", "Tom and"]),
        ("p.jsonl", '{"instruction": "Say yes.", "x": 1}\n{"instruction": "Say no.", "x": 2}\n', ["Say yes.", "Say no."]),
        ("p.csv", "prompt,text\na b,c\nd,e\n", ["a b", "d"]),
    ],
)
def test_prompts_of_a_file(tmp_path: Path, name: str, text: str, prompts: list[str]) -> None:
    from tunesmith.generation.prompt_rows import read_prompts

    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_prompts(tmp_path / name) == prompts


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.txt", "\n", "nothing but white space"),
        ("p.csv", "question,answer\na,b\n", "it has no column prompt, text, instruction"),
        ("p.jsonl", '{"prompt": "a"}\n{"prompt": null}\n', "row 1 (line 2) has no prompt"),
    ],
)
def test_files_without_prompts(tmp_path: Path, name: str, text: str, message: str) -> None:
    from tunesmith.generation.prompt_rows import read_prompts

    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as refused:
        read_prompts(tmp_path / name)
    assert message in str(refused.value)
