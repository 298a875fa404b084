"""``generate``: what a model writes after a prompt, free or under constraints."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.cli.parsing import UsageError, Verb
from tunesmith.cli.terminal import Outcome, Terminal, print_json

if TYPE_CHECKING:
    from tunesmith.generation.decode import GeneratedText
    from tunesmith.generation.generator import TextGenerator

DECODING = (
    ("--max-new-tokens", int, "N", "tokens of a text at most (64)"),
    ("--min-new-tokens", int, "N", "tokens of a text at least"),
    ("--num-beams", int, "N", "beams (1; 4 where words have to be in the text)"),
    ("--temperature", float, "T", "of the draws (1.0)"),
    ("--top-p", float, "P", "draw from the likeliest tokens of this share (1.0)"),
    ("--top-k", int, "K", "draw from so many tokens (50); 0 for all"),
    ("--repetition-penalty", float, "X", "above 1 against repetitions (1.0)"),
    ("--no-repeat-ngram-size", int, "N", "no sequence of N tokens twice"),
    ("--num-return-sequences", int, "N", "texts for each prompt (1)"),
    ("--length-penalty", float, "X", "of beams: above 0 for longer texts (1.0)"),
    ("--seed", int, "N", "of the draws (0)"),
)
ONLY_SAMPLING = ("temperature", "top_p", "top_k", "seed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a run, a folder, a hub id or builtin:NAME")
    parser.add_argument("prompts", metavar="PROMPT", nargs="*", help="what the text follows; each its own")
    parser.add_argument(
        "--prompts", metavar="FILE", dest="file", help="a line each (txt), or a column prompt, text or instruction"
    )
    parser.add_argument("--raw", action="store_true", help="prompts as they are, without the tokenizer's chat template")
    parser.add_argument("--do-sample", action="store_true", help="draw the tokens")
    for name, kind, metavar, meaning in DECODING:
        parser.add_argument(name, type=kind, metavar=metavar, help=meaning)
    several: dict[str, Any] = {"action": "append", "default": []}
    parser.add_argument("--must-include", metavar="WORD", **several, help="a word that has to be in the text; again for more")
    parser.add_argument("--any-of", metavar="A,B", **several, help="words of which one has to be in the text; again for more")
    parser.add_argument("--forbid", metavar="WORD", **several, help="a word that may not be in the text; again for more")
    parser.add_argument("--bias", metavar="WORD=X", **several, help="added to the log-probability of a word, e.g. fox=2.5")
    parser.add_argument("--choices", metavar="A,B", help="the text is exactly one of these")
    parser.add_argument("--regex", metavar="R", help="the whole text matches this regular expression")
    parser.add_argument("--json-schema", metavar="SCHEMA", help="the text is JSON of this schema: a file, or the schema itself")
    parser.add_argument("--stream", action="store_true", help="show the text as it grows")
    parser.add_argument("--output", metavar="OUT", help="OUT.jsonl: prompt, text, satisfied, logprob of each text")


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    from tunesmith.generation.generator import generate, load_text_generator, read_prompts

    require_usage(args)
    prompts = [*args.prompts, *(read_prompts(Path(args.file)) if args.file else [])]
    settings = {**decoding_of(args), **constraints_of(args), "raw": args.raw}
    if args.stream:
        return streamed(load_text_generator(args.model), prompts, settings, terminal)
    found = generate(args.model, prompts, **settings, listener=terminal.listener)
    return shown(args, prompts, found, terminal)


def require_usage(args: argparse.Namespace) -> None:
    """Raise UsageError for options that do not go together."""
    if not args.prompts and not args.file:
        raise UsageError.one("generate", "there is no prompt.", "Give one, or a file of them: --prompts FILE.")
    if args.output and Path(args.output).suffix != ".jsonl":
        raise UsageError.one(
            "generate", f"texts are not written as {Path(args.output).suffix or 'such a file'}.", "Name it OUT.jsonl."
        )
    if args.stream and (args.json or args.output):
        raise UsageError.one("generate", "--stream shows texts as they grow, and --json and --output need them whole.")
    unused = [name for name in ONLY_SAMPLING if getattr(args, name) is not None and not args.do_sample]
    if unused:
        option = unused[0].replace("_", "-")
        raise UsageError.one("generate", f"--{option} has no meaning without --do-sample.", "Add it, or leave the option out.")


def decoding_of(args: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given, by upstream's names."""
    names = [name.removeprefix("--").replace("-", "_") for name, *_ in DECODING]
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    return {**given, "do_sample": args.do_sample}


def constraints_of(args: argparse.Namespace) -> dict[str, Any]:
    """What the text has to fulfil, by the names of ``Constraints``."""
    return {
        "must_include": args.must_include, "any_of": [parts(group) for group in args.any_of], "forbid": args.forbid,
        "bias": dict(biased(word) for word in args.bias), "choices": parts(args.choices) if args.choices is not None else [],
        "regex": args.regex, "json_schema": None if args.json_schema is None else schema_of(args.json_schema),
    }  # fmt: skip


def parts(listed: str) -> list[str]:
    return [word.strip() for word in listed.split(",")]


def biased(given: str) -> tuple[str, float]:
    """``fox=2.5`` as a word and a number."""
    word, sign, number = given.rpartition("=")
    try:
        return word if sign else given, float(number)
    except ValueError:
        raise UsageError.one(
            "generate", f"--bias {given}: {number!r} is no number.", "Write WORD=NUMBER, e.g. fox=2.5."
        ) from None


def schema_of(given: str) -> Any:
    """The schema, which is in a file or stands there itself."""
    is_schema = given.lstrip().startswith("{")
    if not is_schema and not Path(given).is_file():
        raise UsageError.one(
            "generate", f"--json-schema {given}: there is no such file.", "Or give the schema: '{\"type\": ...}'."
        )
    text = given if is_schema else Path(given).read_text(encoding="utf-8")
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError.one("generate", f"--json-schema: this is no JSON: {error}.") from None


def streamed(writer: TextGenerator, prompts: Sequence[str], settings: dict[str, Any], terminal: Terminal) -> Outcome:
    """Each prompt and its text, piece by piece."""
    from tunesmith.generation.generator import generate

    notes = []
    for prompt in prompts:
        print(prompt, end="", file=terminal.out, flush=True)
        (written,) = generate(
            writer, prompt, **settings, stream=lambda text: print(text, end="", file=terminal.out, flush=True)
        )[0]  # fmt: skip
        print(file=terminal.out, flush=True)
        notes += [written.note] if written.note else []
    return Outcome(None, notes=notes)


def shown(args: argparse.Namespace, prompts: Sequence[str], found: list[list[GeneratedText]], terminal: Terminal) -> Outcome:
    """One JSON object a text, or the texts; a file where one is named."""
    rows = list(rows_of(prompts, found))
    amiss = sum(row["satisfied"] is False for row in rows)
    if args.output:
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        Path(args.output).write_text(text, encoding="utf-8")
    if args.json:
        for row in rows:
            print_json(row, terminal.out)
        return Outcome(None)
    notes = [f"note: {row['prompt']!r}: {row['note']}" for row in rows if row["note"]]
    if args.output:
        from tunesmith.report.numbers import plural

        which = f", {amiss} of them not as asked for" if amiss else ""
        return Outcome(None, lines=[f"{plural(len(rows), 'text')} written to {args.output}{which}"], notes=notes)
    return Outcome(None, lines=[f"{row['prompt']}{joint(row)}{row['text']}" for row in rows], notes=notes)


def rows_of(prompts: Sequence[str], found: list[list[GeneratedText]]) -> Iterator[dict[str, Any]]:
    for prompt, texts in zip(prompts, found, strict=True):
        for written in texts:
            yield {
                "prompt": prompt, "text": written.text, "satisfied": written.satisfied, "logprob": written.logprob,
                "finished": written.finished, "note": written.note,
            }  # fmt: skip


def joint(row: dict[str, Any]) -> str:
    """What stands between a prompt and its text on the screen."""
    return "" if row["text"][:1].isspace() or not row["text"][:1].isalnum() else " "


VERB = Verb(
    name="generate",
    takes="MODEL PROMPT",
    does="write texts after prompts, free or under constraints",
    about="Writes what a language model makes of each prompt: greedily, by beams, or drawn. Words can be forced and forbidden,\n"
    "and the text can be held to some choices, a regular expression or a JSON schema; whether it fulfils them is read from the\n"
    "text and said. With --json one object a text: prompt, text, satisfied, logprob.",
    example='tunesmith generate runs/stories "Once upon a time" --must-include fox --forbid wolf\n'
    "tunesmith generate runs/tickets --prompts tickets.jsonl --choices refund,exchange,other --json",
    add_arguments=add_arguments,
    run=run,
)
