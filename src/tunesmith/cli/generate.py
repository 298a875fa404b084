"""``generate``: generates texts with a language model, free or under constraints."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.cli.parsing import UsageError, Verb, split_list
from tunesmith.cli.terminal import Outcome, Terminal, print_json, printable, written
from tunesmith.disk import require_file_place, write_text

if TYPE_CHECKING:
    from tunesmith.generation.decode import GeneratedText
    from tunesmith.generation.generator import TextGenerator
    from tunesmith.progress import Event

DECODING = (
    ("--max-new-tokens", int, "N", "maximum number of new tokens (default: 64)"),
    ("--min-new-tokens", int, "N", "minimum number of new tokens"),
    ("--num-beams", int, "N", "number of beams (default: 1; 4 with --must-include or --any-of)"),
    ("--temperature", float, "T", "sampling temperature (default: 1.0)"),
    ("--top-p", float, "P", "nucleus sampling: keep the most likely tokens up to this cumulative probability (default: 1.0)"),
    ("--top-k", int, "K", "sample from the K most likely tokens (default: 50); 0 for all"),
    ("--repetition-penalty", float, "X", "penalty on repeated tokens; values above 1 reduce repetition (default: 1.0)"),
    ("--no-repeat-ngram-size", int, "N", "forbid repeated sequences of N tokens"),
    ("--num-return-sequences", int, "N", "texts per prompt (default: 1)"),
    ("--length-penalty", float, "X", "beam search: values above 0 favour longer texts (default: 1.0)"),
    ("--seed", int, "N", "random seed of sampling (default: 0)"),
)
TEXT_FIELDS = ("text", "satisfied", "logprob", "finished", "note")
ONLY_SAMPLING = ("temperature", "top_p", "top_k", "seed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a run, a folder, a hub id or builtin:NAME")
    parser.add_argument("prompts", metavar="PROMPT", nargs="*", help="one or several prompts")
    parser.add_argument(
        "--prompts",
        metavar="FILE",
        dest="file",
        help="a file with a prompt per line (txt), or a column prompt, text, instruction or messages",
    )
    parser.add_argument(
        "--raw",
        action="store_true",
        help="use prompts unchanged: without the chat template, and with special tokens in them as such",
    )
    parser.add_argument("--do-sample", action="store_true", help="sample instead of greedy decoding or beam search")
    for name, kind, metavar, meaning in DECODING:
        parser.add_argument(name, type=kind, metavar=metavar, help=meaning)
    repeatable: dict[str, Any] = {"action": "append", "default": []}
    parser.add_argument("--must-include", metavar="WORD", **repeatable, help="a word that must occur in the text; repeatable")
    parser.add_argument(
        "--any-of",
        metavar="A,B",
        **repeatable,
        help="words of which one must occur in the text, in quotes as for --choices; repeatable",
    )
    parser.add_argument("--forbid", metavar="WORD", **repeatable, help="a word that must not occur in the text; repeatable")
    parser.add_argument("--bias", metavar="WORD=X", **repeatable, help="bias on the log-probability of a word, e.g. fox=2.5")
    parser.add_argument(
        "--choices", metavar="A,B", help="the text must be exactly one of these; quote one that holds a comma: '\"yes, sure\",no'"
    )
    parser.add_argument("--regex", metavar="R", help="a regular expression that the whole text must match")
    parser.add_argument("--json-schema", metavar="SCHEMA", help="a JSON schema that the text must match: a file or the schema")
    parser.add_argument("--stream", action="store_true", help="print the text token by token")
    parser.add_argument("--output", metavar="OUT", help="OUT.jsonl: prompt, text, satisfied and logprob of each text")


def run(args: argparse.Namespace, terminal: Terminal) -> Outcome:
    from tunesmith.generation.generator import generate, load_text_generator, whole_prompts
    from tunesmith.generation.prompt_rows import read_prompts

    if not args.prompts and not args.file:
        raise UsageError.one("generate", "there is no prompt.", "Give one, or a file of prompts: --prompts FILE.")
    if args.output and Path(args.output).suffix != ".jsonl":
        message = f"texts cannot be written as {Path(args.output).suffix or 'a file without a suffix'}."
        raise UsageError.one("generate", message, "Name it OUT.jsonl.")
    if args.output:
        require_file_place(Path(args.output), args.file)
    if args.stream and (args.json or args.output):
        raise UsageError.one("generate", "--stream cannot be combined with --json or --output.", "Remove one of them.")
    unused = [name for name in ONLY_SAMPLING if getattr(args, name) is not None and not args.do_sample]
    if unused:
        option = unused[0].replace("_", "-")
        raise UsageError.one("generate", f"--{option} works only with --do-sample.", "Add --do-sample, or remove the option.")
    given = whole_prompts(args.prompts, terminal.listener)  # before they are printed and written
    prompts = [*given, *(read_prompts(Path(args.file), terminal.listener) if args.file else [])]
    names = [name.removeprefix("--").replace("-", "_") for name, *_ in DECODING]
    decoding = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    settings = {**decoding, "do_sample": args.do_sample, **constraint_settings(args), "raw": args.raw}
    if args.stream:
        return stream_texts(load_text_generator(args.model), prompts, settings, terminal)
    texts = generate(args.model, prompts, **settings, listener=terminal.listener)
    return print_texts(args, prompts, texts, terminal)


def constraint_settings(args: argparse.Namespace) -> dict[str, Any]:
    """Collects the constraints, by the field names of ``Constraints``."""
    return {
        "must_include": args.must_include,
        "any_of": [split_list("--any-of", group) for group in args.any_of],
        "forbid": args.forbid,
        "bias": dict(parse_bias(word) for word in args.bias),
        "choices": [] if args.choices is None else split_list("--choices", args.choices),
        "regex": args.regex,
        "json_schema": None if args.json_schema is None else load_schema(args.json_schema),
    }


def parse_bias(text: str) -> tuple[str, float]:
    """Parses ``fox=2.5`` to a word and a number."""
    word, sign, number = text.rpartition("=")
    try:
        return word if sign else text, float(number)
    except ValueError:
        message = f"--bias {text}: {number!r} is not a number."
        raise UsageError.one("generate", message, "Write WORD=NUMBER, e.g. fox=2.5.") from None


def load_schema(source: str) -> Any:
    """Parses a JSON schema, given as a file or as JSON."""
    is_schema = source.lstrip().startswith("{")
    if not is_schema and not Path(source).is_file():
        message = f"--json-schema {source}: there is no such file."
        raise UsageError.one("generate", message, "Or give the schema: '{\"type\": ...}'.")
    text = source if is_schema else Path(source).read_text(encoding="utf-8")
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError.one("generate", f"--json-schema: this is not JSON: {error}.") from None


def stream_texts(writer: TextGenerator, prompts: Sequence[str], settings: dict[str, Any], terminal: Terminal) -> Outcome:
    """Prints each prompt and its text, token by token; the text of an encoder-decoder without the prompt, as it begins anew."""
    from tunesmith.generation.generator import generate

    notes = []
    for prompt in prompts:
        if writer.continues:
            write(prompt, terminal)
        shown = partial(write, terminal=terminal)
        (written,) = generate(writer, prompt, **settings, stream=shown, listener=partial(only_notes, terminal))[0]
        print(file=terminal.out, flush=True)
        notes += [written.note] if written.note else []
    return Outcome(None, notes=notes)


def only_notes(terminal: Terminal, event: Event) -> None:
    """Shows notes, and no progress, which would run into the text."""
    if event.kind == "note":
        terminal.listener(event)


def write(text: str, terminal: Terminal) -> None:
    """Prints a part of a line at once; control characters reach a pipe or a file only."""
    shown = printable(text, terminal.out) if terminal.out.isatty() else text
    print(shown, end="", file=terminal.out, flush=True)


def print_texts(
    args: argparse.Namespace, prompts: Sequence[str], texts: list[list[GeneratedText]], terminal: Terminal
) -> Outcome:
    """Prints the texts, or one JSON object per text; writes a file with --output."""
    answers = [(prompt, text) for prompt, generated in zip(prompts, texts, strict=True) for text in generated]
    rows = [{"prompt": prompt, **{name: getattr(text, name) for name in TEXT_FIELDS}} for prompt, text in answers]
    n_violations = sum(row["satisfied"] is False for row in rows)
    if args.output:
        text, was_there = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), Path(args.output).exists()
        write_text(Path(args.output), text)
    if args.json:
        for row in rows:
            print_json(row, terminal.out)
        return Outcome(None)
    notes = [f"note: {row['prompt']!r}: {row['note']}" for row in rows if row["note"]]
    if args.output:
        from tunesmith.report.numbers import plural

        suffix = f", {n_violations} of them violate the constraints" if n_violations else ""
        return Outcome(None, lines=[written(plural(len(rows), "text"), args.output, was_there) + suffix], notes=notes)
    # A space separates the prompt from a text that begins with a letter or digit.
    lines = [f"{prompt}{' ' * text.text[:1].isalnum()}{text.text}" if text.continues else text.text for prompt, text in answers]
    return Outcome(None, lines=lines, notes=notes, is_data=True)


VERB = Verb(
    name="generate",
    takes="MODEL PROMPT",
    does="generate texts from prompts, free or under constraints",
    about="Generates a text for each prompt: greedy decoding, beam search or sampling. Words can be forced\n"
    "and forbidden, and the text can be constrained to choices, a regular expression or a JSON schema; each text is checked\n"
    "against its constraints. --json prints one object per text: prompt, text, satisfied, logprob.",
    example='tunesmith generate runs/stories "Once upon a time" --must-include fox --forbid wolf\n'
    "tunesmith generate runs/tickets --prompts tickets.jsonl --choices refund,exchange,other --json",
    add_arguments=add_arguments,
    run=run,
)
