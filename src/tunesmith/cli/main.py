"""Entry point of ``tunesmith VERB ...``: runs the verb, prints its outcome, and turns errors into exit codes."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import warnings
from argparse import Namespace
from collections.abc import Iterator, Sequence
from types import FrameType

from tunesmith import __version__
from tunesmith.cli import (
    adapt,
    apply,
    check,
    compare,
    demo,
    diagnose,
    embed,
    evaluate,
    experiment,
    generate,
    init,
    losses,
    predict,
    report,
    reward_test,
    rounds,
    trace,
    train,
)
from tunesmith.cli.parsing import UsageError, Verb, did_you_mean, main_help, make_parser, parse
from tunesmith.cli.terminal import Outcome, Terminal, error_lines, print_json, printable, show
from tunesmith.data.cells import clip
from tunesmith.errors import InputError, TunesmithError
from tunesmith.progress import silent

ABOUT = "From a base model and a table of examples to a tuned model and the evidence that it is better."

MODULES = (
    demo,
    init,
    check,
    train,
    evaluate,
    predict,
    embed,
    generate,
    losses,
    compare,
    adapt,
    reward_test,
    rounds,
    experiment,
    diagnose,
    apply,
    trace,
    report,
)
VERBS: tuple[Verb, ...] = tuple(module.VERB for module in MODULES)
INTERRUPTED = 130

# Environment variables that the libraries read on import. Values set by the user are kept.
QUIET = {
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "PYTHONWARNINGS": "ignore",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line (default: ``sys.argv``) and returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    terminal = Terminal(sys.stdout, sys.stderr, as_json="--json" in words)
    try:
        code = guarded(words, terminal)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Python flushes standard output once more at exit; redirected to /dev/null, so that this cannot fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def guarded(words: list[str], terminal: Terminal) -> int:
    """Runs the command line; reports every error as one readable message and an exit code."""
    try:
        return dispatch(words, terminal)
    except TunesmithError as error:
        return fail(error, error.exit_code, str(error), words, terminal)
    except KeyboardInterrupt as error:
        return fail(error, INTERRUPTED, "interrupted before anything was finished.", words, terminal)
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:  # of a run, a recipe or an output that the user names
            return fail(error, UsageError.exit_code, f"{clip(error.filename)}: the name is too long for a file.", words, terminal)
        place = f"{error.filename}: " if error.filename else ""
        return fail(error, 1, f"{place}{error.strerror or error}.", words, terminal)
    except Exception as error:  # noqa: BLE001 - the outermost frame: a bug ends in one line, and --debug shows it
        description = " ".join(f"{type(error).__name__}: {error}".split())
        hint = "." if "--debug" in words else "; run again with --debug for the traceback."
        return fail(error, 1, f"unexpected {description}{hint}", words, terminal)


def fail(error: BaseException, code: int, message: str, words: list[str], terminal: Terminal) -> int:
    """Prints the error on standard error, and with ``--json`` as an object on standard output; returns the exit code."""
    if "--debug" in words:
        import traceback

        traceback.print_exception(error, file=terminal.err)
    problems = error.problems if isinstance(error, InputError) else ()
    print(printable("\n".join(error_lines(message, problems, terminal.err)), terminal.err), file=terminal.err)
    if terminal.as_json:
        details = {"problems": [problem.to_json() for problem in problems]} if problems else {"message": message}
        print_json({"error": {"exit_code": code, **details}}, terminal.out)
    return code


def dispatch(words: list[str], terminal: Terminal) -> int:
    """Runs the verb, or prints the text of --help or --version."""
    name = next((word for word in words if not word.startswith("-")), None)
    if name is None:
        return without_verb(words, terminal)
    by_name = {verb.name: verb for verb in VERBS}
    if name not in by_name:
        near = did_you_mean(name, by_name)
        raise UsageError.one("", f"there is no verb {name!r}.", near or f"There are: {listed()}.")
    verb, rest = by_name[name], list(words)
    rest.remove(name)
    if {"-h", "--help"} & set(rest):
        terminal.out.write(make_parser(verb).format_help())
        return 0
    args = parse(verb, rest)
    args.words = words
    if not args.debug:
        quiet_libraries()
    outcome = run(verb, args, terminal)
    show(outcome, terminal)
    return outcome.exit_code


def without_verb(words: list[str], terminal: Terminal) -> int:
    if "--version" in words:
        print(f"tunesmith {__version__}", file=terminal.out)
        return 0
    if {"-h", "--help"} & set(words):
        print(main_help(VERBS, ABOUT), file=terminal.out)
        return 0
    unknown = [word for word in words if word not in ("--json", "--debug")]
    if unknown:
        raise UsageError.one("", f"there is no option {unknown[0]}.", "See: tunesmith --help")
    raise UsageError.one("", f"a verb is missing: {listed()}.", "Start with: tunesmith demo, or see: tunesmith --help")


def listed() -> str:
    return ", ".join(verb.name for verb in VERBS)


def run(verb: Verb, args: Namespace, terminal: Terminal) -> Outcome:
    """Runs a verb. Meanwhile, output of libraries goes to standard error, and SIGTERM acts as Ctrl-C."""
    from tunesmith.cli.progress import progress_on

    is_other_rank = "TUNESMITH_CHILD" in os.environ and os.environ.get("RANK", "0") != "0"
    progress = progress_on(terminal.err)
    listener = silent if is_other_rank else progress
    done = False
    try:
        with contextlib.redirect_stdout(terminal.err), terminate_as_interrupt():
            outcome = verb.run(args, Terminal(terminal.out, terminal.err, terminal.as_json, listener))
        done = True
    finally:
        progress.close(done)
    return outcome


@contextlib.contextmanager
def terminate_as_interrupt() -> Iterator[None]:
    """Makes SIGTERM raise KeyboardInterrupt, as SIGINT does. Training installs its own handlers inside and restores these."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def quiet_libraries() -> None:
    """Turns off warnings and progress bars of the libraries; their errors are still raised as exceptions."""
    import logging

    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # on a CPU it warns about missing GPU kernels on import
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


if __name__ == "__main__":
    sys.exit(main())
