"""What surrounds the code: pins, make targets, the README, the documentation's examples, the licence."""

from __future__ import annotations

import ast
import os
import re
import tomllib
from fnmatch import fnmatch
from functools import cache
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import pytest

import tunesmith
import update_readme
import write_cli_reference
import write_python_reference
import write_source_map
from tests.conftest import TRAINING_TESTS
from tunesmith import __version__
from tunesmith.cli.main import VERBS
from tunesmith.recipe.load import load_recipe

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if "_build" not in page.parts]


def pins() -> dict[str, str]:
    lines = [line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line) for line in lines), "a pin is NAME==VERSION, nothing else"
    return {plain(name): number for name, number in (line.split("==") for line in lines)}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def required(extras: set[str]) -> set[str]:
    groups = [PYPROJECT["project"]["dependencies"]]
    groups += [names for extra, names in PYPROJECT["project"]["optional-dependencies"].items() if extra in extras]
    return {plain(re.match(r"[\w.-]+", item)[0]) for group in groups for item in group}  # type: ignore[index]


def makefile() -> str:
    return (ROOT / "Makefile").read_text(encoding="utf-8")


def installed_extras() -> set[str]:
    return set(re.search(r"^EXTRAS := (.*)$", makefile(), re.M)[1].split(","))  # type: ignore[index]


def test_make_installs_every_extra_but_the_one_that_needs_an_account() -> None:
    assert installed_extras() == set(PYPROJECT["project"]["optional-dependencies"]) - {"wandb"}


def test_everything_that_is_installed_on_purpose_is_pinned() -> None:
    assert required(installed_extras()) - set(pins()) == set()


def test_the_pins_are_what_the_tests_run_with() -> None:
    wanted = {name: number for name, number in pins().items() if name in required(installed_extras())}
    assert {name: version(name).partition("+")[0] for name in wanted} == wanted


def test_no_pin_ties_the_installation_to_an_accelerator() -> None:
    assert [name for name in pins() if re.match(r"nvidia|cuda|triton", name)] == []
    assert pins()["torch"] == "2.13.0"


@pytest.mark.parametrize("target", ["install", "demo", "test", "quick", "check", "bench", "docs", "clean"])
def test_make_has_the_target(target: str) -> None:
    rule = re.search(rf"^{target}: *(.*)$", makefile(), re.M)
    assert rule
    assert re.search(rf"^\.PHONY:.*\b{target}\b", makefile(), re.M)
    if target != "clean":
        assert re.search(rf"^{target}: .*\$\(STAMP\)", makefile(), re.M), "it makes the virtual environment first"


def test_continuous_integration_runs_the_commands_of_people() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    lines = script.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("make ")] == ["make check", "make test", "make docs"]
    assert "set -euo pipefail" in lines
    for command in ("make demo", "make test"):
        assert re.search(rf"^{command}\b", README, re.M)


def test_the_version_is_the_same_everywhere() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    latest = re.search(r"^## \[(\d[^\]]*)\]", changelog, re.M)
    assert latest
    assert __version__ == PYPROJECT["project"]["version"] == latest[1]


def test_the_licence_is_apache_and_names_its_holder() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "Copyright 2026 The tunesmith authors" in text
    assert PYPROJECT["project"]["license"] == "Apache-2.0"


def test_files_beside_the_code_are_part_of_the_package() -> None:
    source = ROOT / "src" / "tunesmith"
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]["tunesmith"]
    others = [p.relative_to(source).as_posix() for p in source.rglob("*") if p.is_file() and p.suffix not in {".py", ".pyc"}]
    assert [name for name in others if not any(fnmatch(name, pattern) for pattern in patterns)] == []


def test_the_readme_shows_what_was_captured() -> None:
    assert update_readme.updated(README) == README


def test_a_captured_block_is_replaced_and_nothing_else() -> None:
    text = "a\n<!-- captured:demo -->\nold\n<!-- /captured:demo -->\nz"
    new = update_readme.replaced(
        text, "demo", "\x1b[1mbold\x1b[0m\n 10 %\r100 %\n..s. [ 1%]\n== slowest 2 durations ==\n3.86s call  a.py::b\n```\n"
    )
    assert new == "a\n<!-- captured:demo -->\n```text\nbold\n100 %\n'''\n```\n<!-- /captured:demo -->\nz"
    with pytest.raises(SystemExit, match="no block"):
        update_readme.replaced("no blocks here", "demo", "x")


def test_the_readme_lists_every_verb_and_no_other() -> None:
    table = README.partition("## The verbs")[2].partition("## ")[0]
    assert set(re.findall(r"^\| `([\w-]+)", table, re.M)) == {verb.name for verb in VERBS}


def test_the_command_line_page_is_up_to_date() -> None:
    assert write_cli_reference.PAGE.read_text(encoding="utf-8") == write_cli_reference.page(), "run: make reference"


def test_the_python_page_is_up_to_date() -> None:
    assert write_python_reference.PAGE.read_text(encoding="utf-8") == write_python_reference.page(), "run: make reference"


def test_the_source_map_is_up_to_date() -> None:
    assert write_source_map.PAGE.read_text(encoding="utf-8") == write_source_map.page(), "run: make reference"


def test_the_quick_tests_leave_out_files_that_exist() -> None:
    assert [name for name in TRAINING_TESTS if not (ROOT / "tests" / name).exists()] == []


def blocks(language: str) -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for i, block in enumerate(re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)):
            found.append((f"{page.relative_to(ROOT)} {i}", block))
    return found


@pytest.mark.parametrize("block", [pytest.param(text, id=name) for name, text in blocks("yaml")])
def test_every_recipe_in_the_documentation_is_valid(block: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(block, encoding="utf-8")
    given = [] if re.search(r"\btrain: \S*\w+\.\w|train: hub:|train: builtin:", block) else ["data.train=rows.csv"]
    load_recipe(path, given)


@pytest.mark.parametrize("block", [pytest.param(text, id=name) for name, text in blocks("python")])
def test_every_piece_of_python_in_the_documentation_is_python(block: str) -> None:
    compile(block, "page", "exec")


@pytest.mark.parametrize("block", [pytest.param(text, id=name) for name, text in blocks("sh")])
def test_every_command_in_the_documentation_exists(block: str) -> None:
    verbs = {verb.name for verb in VERBS}
    targets = set(re.findall(r"^([a-z]+):", makefile(), re.M))
    for verb in re.findall(r"\btunesmith ([a-z][a-z-]*)", block):
        assert verb in verbs
    for target in re.findall(r"(?:^|&& )make ([a-z]+)", block, re.M):
        assert target in targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_the_page_names_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:recipes|docs|scripts|tests|src|benchmarks|\.ci)/[\w./-]*\w)`", text)
    generated = ("docs/_build", "docs/_captured")
    assert [name for name in named if not name.startswith(generated) and not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_functions_the_page_names_exist(page: Path) -> None:
    named = re.findall(r"`([\w/]+\.py):(\w+)`", page.read_text(encoding="utf-8"))
    assert [f"{path}:{name}" for path, name in named if name not in definitions(ROOT / "src" / "tunesmith" / path)] == []


@cache
def definitions(path: Path) -> set[str]:
    """The names that a module defines or imports; empty where there is no such file."""
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_modules_the_page_names_exist(page: Path) -> None:
    source = ROOT / "src" / "tunesmith"
    folders = "|".join(sorted(path.name for path in source.iterdir() if path.is_dir()))
    named = re.findall(rf"`((?:{folders})/[a-z_/]+(?:\.py|/))[`:]", page.read_text(encoding="utf-8"))
    absent = (
        "models/export/",
        "evaluation/suites/",
        "tasks/preference/",
    )  # decision 0001 names them as folders that are not there
    assert [name for name in named if name not in absent and not (source / name).exists()] == []


def code_outside_the_package() -> list[tuple[str, ast.Module]]:
    """(place, tree) of the documentation's Python blocks, the benchmarks, the scripts and the tests."""
    texts = blocks("python")
    files = [path for folder in ("benchmarks", "scripts", "tests") for path in sorted((ROOT / folder).rglob("*.py"))]
    texts += [(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")) for path in files]
    return [(place, ast.parse(text)) for place, text in texts]


def module_file(module: str) -> Path | None:
    """The file of a module of the package; None if there is none."""
    path = ROOT / "src" / Path(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def has_name(module: str, name: str) -> bool:
    """Whether a module of the package defines, imports or contains a name."""
    file = module_file(module)
    public = tunesmith.__all__ if module == "tunesmith" else ()
    return module_file(f"{module}.{name}") is not None or (file is not None and (name in definitions(file) or name in public))


def module_aliases(tree: ast.Module) -> dict[str, str]:
    """Name in the file -> the module of the package that it stands for."""
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases |= {
                a.asname or a.name.partition(".")[0]: a.name if a.asname else "tunesmith" for a in node.names if is_ours(a.name)
            }
        elif isinstance(node, ast.ImportFrom) and node.module and is_ours(node.module):
            names = {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
            aliases |= {own: module for own, module in names.items() if module_file(module)}
    return aliases


def is_ours(module: str) -> bool:
    return module.partition(".")[0] == "tunesmith"


def missing_names(tree: ast.Module) -> list[str]:
    """Every ``from MODULE import NAME`` and ``MODULE.NAME`` of the package that does not exist."""
    missing = []
    aliases = module_aliases(tree)
    assigned = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    assigned |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and is_ours(node.module):
            missing += [f"{node.module}.{a.name}" for a in node.names if not has_name(node.module, a.name)]
        elif isinstance(node, ast.Import):
            missing += [a.name for a in node.names if is_ours(a.name) and module_file(a.name) is None]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id not in assigned:
            module = aliases.get(node.value.id)
            if module and not node.attr.startswith("__") and not has_name(module, node.attr):
                missing.append(f"{module}.{node.attr}")
    return missing


def test_names_of_the_package_that_other_code_uses_exist() -> None:
    found = {place: names for place, tree in code_outside_the_package() if (names := missing_names(tree))}
    assert found == {}


@pytest.mark.parametrize(
    ("code", "missing"),
    [
        ("from tunesmith.workflows.predict import compare", ["tunesmith.workflows.predict.compare"]),
        ("from tunesmith.workflows import gone", ["tunesmith.workflows.gone"]),
        ("import tunesmith.gone", ["tunesmith.gone"]),
        ("from tunesmith.diagnosis import ablation as a\na.read_inputs()", ["tunesmith.diagnosis.ablation.read_inputs"]),
        ("import tunesmith\ntunesmith.trian()", ["tunesmith.trian"]),
        ("import tunesmith\nfrom tunesmith.diagnosis import ablation\ntunesmith.train(ablation.make_plan)", []),
    ],
)
def test_a_missing_name_is_found(code: str, missing: list[str]) -> None:
    assert missing_names(ast.parse(code)) == missing


COUNTED = (
    "alarms|answers|beams|bytes|cells|characters|classes|clusters|columns|comparisons|corrections|dimensions|documents|epochs|"
    "examples|features|fields|files|findings|folds|judgements|labels|layers|lines|messages|metrics|negatives|numbers|outputs|"
    "pairs|parameters|positions|problems|prompts|queries|questions|rows|runs|seeds|sets|steps|texts|times|tokens|values|vectors|"
    "weights|words"
)
UNCOUNTED = "column|kind|metric|mode|name|oracle|own|quantisation|split|verb"
"""Last names of expressions that hold a word: ``{split} rows`` are the rows of a split, not a number of rows."""
SEVERAL = {
    "errors.py: {left_out} characters": "imports nothing",
    "evaluation/metrics/means.py: {len(values) - n_ours} seeds": "a sum",
    "evaluation/metrics/verdict.py: {n_other} seeds": "a sum",
    "recipe/rules.py: {train.n_seeds} seeds": "two or more",
}
"""Counts that need no singular, or cannot have one, and the reason."""


def counts_without_singular(tree: ast.Module) -> set[str]:
    """``{expression} rows`` of every f-string that would say ``1 rows``; errors of the programmer (ValueError) are left out."""
    raised = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and "ValueError(" in ast.unparse(node)[:20]]
    own = {id(part) for call in raised if call for part in ast.walk(call)}
    found = set()
    for node in ast.walk(tree):
        parts = node.values if isinstance(node, ast.JoinedStr) and id(node) not in own else []
        for value, text in pairwise(parts):
            if not isinstance(value, ast.FormattedValue) or not isinstance(text, ast.Constant):
                continue
            noun = re.match(
                rf" (?:(?!(?:of|in|and|has|have|for|looks|needs|with) )[a-z-]+ )?({COUNTED})\b(?![-/'])", str(text.value)
            )
            expression = ast.unparse(value.value)
            is_word = re.search(rf"\b({UNCOUNTED})('\])?$|'\)$|^plural\(|^(\w+\.)?[A-Z_]+$|'few' if", expression)
            is_measure = value.format_spec and ast.unparse(value.format_spec).endswith("f'")
            if noun and not is_word and not is_measure:
                found.add(f"{{{expression}}} {noun[1]}")
    return found


def test_a_count_has_its_noun_in_the_singular_or_the_plural() -> None:
    source = ROOT / "src" / "tunesmith"
    counts = {
        f"{path.relative_to(source)}: {count}"
        for path in source.rglob("*.py")
        for count in counts_without_singular(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert counts == set(SEVERAL), "tunesmith.data.cells.plural writes a count with its noun"


@pytest.mark.parametrize(
    ("code", "counts"),
    [
        ("f'{len(ids):,} rows are left'", {"{len(ids)} rows"}),
        ("f'{n} training rows of {total} labels'", {"{n} rows", "{total} labels"}),
        ("f'{plural(n, \"row\")} of {split} rows, {MOST_ROWS} rows'", set()),
        ("f'{n} has rows, {n:.2f} rows/s'", set()),
        ("raise ValueError(f'{n} rows')", set()),
    ],
)
def test_a_count_without_a_singular_is_found(code: str, counts: set[str]) -> None:
    assert counts_without_singular(ast.parse(code)) == counts
