"""The arguments of a verb: argparse with our own words for mistakes, and nothing guessed."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NoReturn

from tunesmith.cli.terminal import Outcome, Terminal
from tunesmith.errors import InputError

EXIT_CODES = "exit codes: 0 done, 1 failed, 2 bad input or usage, 130 interrupted"


@dataclass(frozen=True)
class Verb:
    """One verb of the command line.

    Attributes:
        takes: what stands after it, for the list of verbs.
        does: half a sentence, for the list of verbs.
        about: more about it, for its own help.
        example: commands that work as they stand, given the files they name.
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
    """The command line itself cannot be understood."""

    check = "usage"


class Parser(argparse.ArgumentParser):
    """argparse that raises UsageError instead of printing and leaving."""

    def error(self, message: str) -> NoReturn:
        remedy = self.suggestion(message) or f"See: {self.prog} --help"
        raise UsageError.one(self.prog.removeprefix("tunesmith "), f"{self.without_optional(message)}.", remedy)

    def without_optional(self, message: str) -> str:
        """The message without arguments that may be left out, which parse_intermixed_args names as missing, too."""
        start, found, names = message.partition("are required: ")
        optional = {str(action.metavar) for action in self._actions if action.nargs in ("?", "*")}
        needed = [name for name in names.split(", ") if name not in optional]
        return f"{start}{found}{', '.join(needed)}"

    def suggestion(self, message: str) -> str:
        """``Did you mean --OPTION?`` for an unknown option."""
        wrong = message.partition("unrecognized arguments: ")[2].split(" ")[0].partition("=")[0]
        return did_you_mean(wrong, self._option_string_actions) if wrong.startswith("-") else ""


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """``Did you mean NAME?`` for the closest spelling; empty where nothing is close."""
    import difflib

    near = difflib.get_close_matches(word, list(names), n=1, cutoff=0.5)
    return f"Did you mean {near[0]}?" if near else ""


def parser_of(verb: Verb) -> Parser:
    """The parser of one verb."""
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
        "--json", action="store_true", help="print one JSON object on standard output, all else on standard error"
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error and the libraries' own messages")
    return parser


def parse(verb: Verb, rest: list[str]) -> argparse.Namespace:
    """The verb's arguments. Options may stand anywhere between them.

    Raises:
        UsageError: they cannot be understood.
    """
    return parser_of(verb).parse_intermixed_args(rest)


def split_verb(argv: list[str]) -> tuple[str | None, list[str]]:
    """The first word that is no option, and everything else."""
    for i, word in enumerate(argv):
        if not word.startswith("-"):
            return word, [*argv[:i], *argv[i + 1 :]]
    return None, argv


def main_help(verbs: Iterable[Verb], about: str) -> str:
    """The text of ``tunesmith --help``."""
    verbs = list(verbs)
    width = max(len(f"{verb.name} {verb.takes}") for verb in verbs)
    lines = [f"  {f'{verb.name} {verb.takes}'.ljust(width)}  {verb.does}" for verb in verbs]
    return "\n".join(
        [
            "usage: tunesmith VERB ... [--json] [--debug]", "", about, "", *lines, "",
            "Try it without any data:   tunesmith demo",
            "With your own table:       tunesmith init DATA.csv && tunesmith train recipe.yaml",
            "More about one verb:       tunesmith VERB --help",
            "", f"{EXIT_CODES}; compare: 3 worse, 4 cannot tell",
        ]
    )  # fmt: skip
