"""Parses the arguments of a verb with argparse: own error messages, no abbreviated options."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from tunesmith.cli.terminal import Outcome, Terminal
from tunesmith.data.cells import plural
from tunesmith.errors import InputError

LONG_WORD = re.compile(r"[^\s']{200,}")
"""A value in a message of argparse that is too long to be shown."""
EXIT_CODES = "exit codes: 0 done, 1 failed, 2 bad input or usage, 130 interrupted"


@dataclass(frozen=True)
class Verb:
    """One verb of the command line.

    Attributes:
        takes: its arguments, for the list of verbs.
        does: a short summary, for the list of verbs.
        about: description in its own help.
        example: commands that work without changes if the named files exist.
    """

    name: str
    takes: str
    does: str
    about: str
    example: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, Terminal], Outcome]
    exit_codes: str = EXIT_CODES


class UsageError(InputError):
    """Invalid usage of the command line."""

    check = "usage"


class Parser(argparse.ArgumentParser):
    """ArgumentParser that raises UsageError instead of exiting."""

    def error(self, message: str) -> NoReturn:
        unknown = message.partition("unrecognized arguments: ")[2].split(" ")[0].partition("=")[0]
        remedy = self.remedy_of(unknown, message) if unknown.startswith("-") else ""
        start, separator, names = message.partition("are required: ")  # parse_intermixed_args lists optional arguments, too
        optional = {str(action.metavar) for action in self._actions if action.nargs in ("?", "*")}
        required = ", ".join(name for name in names.split(", ") if name not in optional)
        verb = self.prog.removeprefix("tunesmith ")
        shown = LONG_WORD.sub(shortened, f"{start}{separator}{required}")
        raise UsageError.one(verb, f"{shown}.", remedy or f"See: {self.prog} --help")

    def remedy_of(self, option: str, message: str) -> str:
        """Suggests an option of nearly the same spelling, or the override of a recipe key; empty if neither is close."""
        name, names = option.lstrip("-"), [known for known in self._option_string_actions if known.startswith("--")]
        near = did_you_mean(name, [known[2:] for known in names], "--")
        if near or not any(action.metavar == "KEY=VALUE" for action in self._actions):
            return near
        from tunesmith.recipe.suggest import suggest_override

        value = message.partition(option)[2][1:].split(" ")[0]
        return suggest_override(name, "VALUE" if not value or value.startswith("--") else value)


def shortened(word: re.Match[str]) -> str:
    return f"{word[0][:40]}… ({plural(len(word[0]), 'character')})"


def split_list(option: str, text: str) -> list[str]:
    """Splits a list at its commas; an item in double quotes may hold commas. Raises UsageError for a quote that is not closed."""
    import csv

    try:
        (items,) = csv.reader([text], skipinitialspace=True, strict=True)
    except (csv.Error, ValueError):
        remedy = """Write for instance '"yes, sure",no'; a quote inside of an item is written twice."""
        raise UsageError.one("", f"{option} {text}: the quotes do not fit.", remedy) from None
    return [item.strip() for item in items or [""]]


def add_processes(parser: argparse._ActionsContainer, divided: str = "the rows") -> None:
    """Adds the option ``--processes``, a number or ``auto``; None if it is not given."""
    parser.add_argument(
        "--processes",
        metavar="N",
        type=process_count,
        help=f"processes that divide {divided}, each with a GPU or a share of the cores; auto: one for each GPU (default: 1)",
    )


def process_count(word: str) -> int | str:
    """Reads a number of processes, at least 1, or ``auto``."""
    if word == "auto":
        return word
    if not (word.isascii() and word.isdigit() and int(word)):
        raise argparse.ArgumentTypeError(f"{word} is neither a whole number from 1 nor auto")
    return int(word)


def did_you_mean(word: str, names: Iterable[str], prefix: str = "") -> str:
    """Returns ``Did you mean NAME?`` for a close spelling, or the beginning of one name; empty if there is none."""
    import difflib

    known = list(names)
    begun = [name for name in known if len(word) > 2 and name.startswith(word)]
    near = begun if len(begun) == 1 else difflib.get_close_matches(word, known, n=1, cutoff=0.75)
    return f"Did you mean {prefix}{near[0]}?" if near else ""


def make_parser(verb: Verb) -> Parser:
    example = "\n".join(f"  {line}" for line in verb.example.splitlines())
    parser = Parser(
        prog=f"tunesmith {verb.name}",
        description=verb.about,
        epilog=f"example:\n{example}\n\n{verb.exit_codes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verb.add_arguments(parser)
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object on standard output, everything else on standard error"
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks and the messages of libraries")
    return parser


def parse(verb: Verb, rest: list[str]) -> argparse.Namespace:
    """Parses the verb's arguments and options, in any order. Raises UsageError if they are invalid."""
    return make_parser(verb).parse_intermixed_args(rest)


def main_help(verbs: Iterable[Verb], about: str) -> str:
    """Formats the text of ``tunesmith --help``."""
    verbs = list(verbs)
    width = max(len(f"{verb.name} {verb.takes}") for verb in verbs)
    lines = [f"  {f'{verb.name} {verb.takes}'.ljust(width)}  {verb.does}" for verb in verbs]
    return "\n".join(
        [
            "usage: tunesmith VERB ... [--json] [--debug]",
            "",
            about,
            "",
            *lines,
            "",
            "Try it without any data:   tunesmith demo",
            "With your own table:       tunesmith init DATA.csv && tunesmith train recipe.yaml",
            "More about one verb:       tunesmith VERB --help",
            "",
            f"{EXIT_CODES}; compare: 3 worse, 4 cannot tell",
        ]
    )


def columns_by_role(words: Sequence[str] | None, verb: str) -> dict[str, str | list[str]]:
    """Collects role -> column, or several, from the words ROLE=COLUMN of ``--column``."""
    columns: dict[str, str | list[str]] = {}
    for word in words or []:
        role, equals, column = word.partition("=")
        if not equals or not column:
            raise UsageError.one(verb, f"--column {word} names no column.", "Write --column anchor=question.")
        earlier = columns.get(role)
        columns[role] = column if earlier is None else [*([earlier] if isinstance(earlier, str) else earlier), column]
    return columns
