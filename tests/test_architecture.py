"""The rules of the layout, checked on the source itself.

Each rule is a function from parsed files to sentences that name what breaks it. It is applied to ``src/tunesmith``, and
to a small piece of wrong code that it has to catch.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "tunesmith"

# Low to high. A unit is a folder or a loose file. It may import from its own layer and from lower ones; no two import each other.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "progress"}),
    frozenset({"disk"}),
    frozenset({"results", "machine"}),
    frozenset({"run_folder"}),
    frozenset({"recipe"}),
    frozenset({"data"}),
    frozenset({"evaluation"}),
    frozenset({"models", "report"}),
    frozenset({"generation"}),
    frozenset({"training"}),
    frozenset({"preflight"}),
    frozenset({"tasks"}),
    frozenset({"diagnosis"}),
    frozenset({"workflows"}),
    frozenset({"cli"}),
    frozenset({"__init__", "__main__"}),
)
MOST_NAMES_IN_A_LAYER = 3
MOST_FOLDERS, MOST_LOOSE_FILES = 12, 7
FAST = ("errors", "disk", "results", "progress", "machine", "recipe", "data", "evaluation", "report", "cli", "__init__")
HEAVY = frozenset({"torch", "transformers", "accelerate", "sklearn", "pandas", "pyarrow", "datasets", "peft"})
NO_NAMES = frozenset({"util", "utils", "helper", "helpers", "common", "misc", "manager", "managers"})
MOST_LINES = 400
LONGEST_FUNCTION = 50
SHORT_FUNCTION = 25
SHORT_SHARE = 0.9
MOST_TASK_COMPARISONS = 5


@dataclass(frozen=True)
class File:
    """A parsed module; ``name`` is relative to the package: ``data.read``, ``run``, ``cli`` for ``cli/__init__.py``."""

    name: str
    text: str
    is_package: bool = False

    @property
    def tree(self) -> ast.Module:
        return parsed(self.text)

    @property
    def unit(self) -> str:
        return self.name.partition(".")[0]


@dataclass(frozen=True)
class Import:
    """One imported module. ``runs`` is False inside functions and under TYPE_CHECKING."""

    target: str
    line: int
    runs: bool


@cache
def parsed(text: str) -> ast.Module:
    return ast.parse(text)


@cache
def nodes(text: str) -> tuple[ast.AST, ...]:
    """Every node of a file."""
    return tuple(ast.walk(parsed(text)))


@cache
def files() -> tuple[File, ...]:
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        is_package = parts[-1] == "__init__" and len(parts) > 1
        name = ".".join(parts[:-1] if is_package else parts)
        found.append(File(name, path.read_text(encoding="utf-8"), is_package))
    return tuple(found)


def statements(nodes: Iterable[ast.stmt], runs: bool = True) -> Iterator[tuple[ast.stmt, bool]]:
    """Every statement with whether it runs when the module is imported."""
    for node in nodes:
        yield node, runs
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(node, name, [])
            is_later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            is_typing = name == "body" and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
            yield from statements(inner, runs and not is_later and not is_typing)


@cache
def imports(file: File) -> tuple[Import, ...]:
    """Everything a file imports; modules of tunesmith itself as ``.data.read``, with a leading dot."""
    return tuple(each_import(file))


def each_import(file: File) -> Iterator[Import]:
    for node, runs in statements(file.tree.body):
        if isinstance(node, ast.Import):
            yield from (Import(own_name(alias.name), node.lineno, runs) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = own_name(node.module or "") if node.level == 0 else resolve(file, node.level, node.module or "")
            yield from (Import(target, node.lineno, runs) for target in members(module, node.names))


def own_name(module: str) -> str:
    return re.sub(r"^tunesmith(\.|$)", ".", module) if re.match(r"tunesmith(\.|$)", module) else module


def resolve(file: File, level: int, module: str) -> str:
    """The target of ``from ..module import``."""
    parts = file.name.split(".")
    package = parts if file.is_package else parts[:-1]
    kept = package[: len(package) - (level - 1)]
    return "." + ".".join([*kept, *([module] if module else [])])


def members(module: str, names: list[ast.alias]) -> Iterator[str]:
    """The modules behind ``from module import names``: submodules where the names are some, else the module."""
    known = module_names() if module.startswith(".") else frozenset[str]()
    for alias in names:
        if (module, alias.name) == (".", "__version__"):  # a constant; the names that the package offers lie on top
            continue
        inner = f"{module}.{alias.name}".replace("..", ".")
        yield inner if inner[1:] in known else module


def module_names() -> frozenset[str]:
    return frozenset(file.name for file in files())


def unit_of(target: str) -> str:
    return target[1:].partition(".")[0] or "__init__"


def layer_of(unit: str) -> int | None:
    return next((height for height, folders in enumerate(LAYERS) if unit in folders), None)


def unknown_units(all_files: Iterable[File]) -> list[str]:
    return sorted({f"{file.unit} has no layer" for file in all_files if layer_of(file.unit) is None})


def upward_imports(all_files: Iterable[File]) -> list[str]:
    wrong = []
    for file in all_files:
        own = layer_of(file.unit)
        for found in imports(file):
            target = layer_of(unit_of(found.target)) if found.target.startswith(".") else None
            if own is not None and target is not None and target > own:
                wrong.append(f"{file.name}:{found.line} ({file.unit}) imports {found.target} from above")
    return wrong


def mutual_units(all_files: Iterable[File]) -> list[str]:
    """Pairs of units that import from each other, imports inside functions and for types included."""
    places: dict[tuple[str, str], str] = {}
    for file in all_files:
        for found in imports(file):
            other = unit_of(found.target) if found.target.startswith(".") else file.unit
            if other != file.unit:
                places.setdefault((file.unit, other), f"{file.name}:{found.line}")
    return [
        f"{unit} and {other} import each other: {place}, {places[other, unit]}"
        for (unit, other), place in sorted(places.items())
        if unit < other and (other, unit) in places
    ]


def import_cycles(all_files: Iterable[File]) -> list[str]:
    """Modules that reach themselves, imports inside functions and for types included."""
    graph = {file.name: {i.target[1:] for i in imports(file) if i.target.startswith(".")} - {file.name} for file in all_files}
    found: list[str] = []
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            found.append(" -> ".join([*path[path.index(name) :], name]))
        elif name not in done:
            for target in sorted(graph.get(name, ())):
                visit(target, (*path, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())
    return found


def long_files(all_files: Iterable[File]) -> list[str]:
    sizes = [(file.name, len(file.text.splitlines())) for file in all_files]
    return [f"{name} has {size} lines" for name, size in sizes if size > MOST_LINES]


def functions(all_files: Iterable[File]) -> Iterator[tuple[str, int]]:
    for file in all_files:
        for node in nodes(file.text):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{file.name}.{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def long_functions(all_files: Iterable[File]) -> list[str]:
    return [f"{name} has {size} lines" for name, size in functions(all_files) if size > LONGEST_FUNCTION]


def too_few_short_functions(all_files: Iterable[File]) -> list[str]:
    sizes = dict(functions(all_files))
    longer = sorted((size, name) for name, size in sizes.items() if size >= SHORT_FUNCTION)
    short = 1 - len(longer) / max(1, len(sizes))
    return [] if short >= SHORT_SHARE else [f"only {short:.1%} of functions are under {SHORT_FUNCTION} lines; longer: {longer}"]


def empty_names(all_files: Iterable[File]) -> list[str]:
    wrong = []
    for file in all_files:
        classes = [node.name for node in nodes(file.text) if isinstance(node, ast.ClassDef)]
        for name in (*file.name.split("."), *classes):
            words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)
            wrong += [f"{file.name}: {name}" for word in words if word.lower() in NO_NAMES]
    return wrong


def prints(all_files: Iterable[File]) -> list[str]:
    return [
        f"{file.name}:{node.lineno} prints"
        for file in all_files
        if file.unit != "cli"
        for node in nodes(file.text)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]


def swallowed_errors(all_files: Iterable[File]) -> list[str]:
    """``except:`` and ``except Exception:`` whose body does nothing."""
    wrong = []
    for file in all_files:
        for node in nodes(file.text):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = "" if node.type is None else ast.unparse(node.type)
            is_idle = all(isinstance(step, ast.Pass | ast.Continue) or is_ellipsis(step) for step in node.body)
            if not caught or (caught in {"Exception", "BaseException"} and is_idle):
                wrong.append(f"{file.name}:{node.lineno} except {caught}".rstrip())
    return wrong


def is_ellipsis(step: ast.stmt) -> bool:
    return isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant)


def heavy_imports(all_files: Iterable[File]) -> list[str]:
    """Libraries that take long to import, reached from a fast unit by imports that run at once."""
    by_name = {file.name: file for file in all_files}
    wrong = []
    for start in by_name.values():
        if start.unit not in FAST:
            continue
        seen, todo = {start.name}, [(start.name, start.name)]
        while todo:
            name, path = todo.pop()
            for found in imports(by_name[name]):
                if found.runs and found.target.partition(".")[0] in HEAVY:
                    wrong.append(f"{path} -> {found.target}")
                for inner in executed(found) if found.runs else ():
                    if inner in by_name and inner not in seen:
                        seen.add(inner)
                        todo.append((inner, f"{path} -> {inner}"))
    return sorted(set(wrong))


def executed(found: Import) -> list[str]:
    """The own modules that an import runs: the packages on the way, then the module."""
    parts = found.target[1:].split(".") if found.target.startswith(".") else []
    return [".".join(parts[: end + 1]) for end in range(len(parts))]


def task_comparisons(all_files: Iterable[File]) -> list[str]:
    """Comparisons with the name of a task outside the table of tasks, where there are more than a few."""
    found = [
        f"{file.name}:{node.lineno} {ast.unparse(node)}"
        for file in all_files
        if file.name != "recipe.tasks"
        for node in nodes(file.text)
        if compares_task(node)
    ]
    return found if len(found) > MOST_TASK_COMPARISONS else []


def compares_task(node: ast.AST) -> bool:
    """Whether a comparison holds a task's name as a text, or a ``task`` beside a constant such as ``LANGUAGE_TASKS``.

    Problem types and families are other things, some of which share their name with a task.
    """
    if isinstance(node, ast.MatchValue):
        return literals(node.value) & task_names() != set()
    if not isinstance(node, ast.Compare) or any(
        name.endswith(("problem_type", "family", "families")) for name in identifiers(node)
    ):
        return False
    constants = {name for name in identifiers(node) if name.isupper()}
    return literals(node) & task_names() != set() or (bool(constants) and reads_task(node))


def reads_task(node: ast.Compare) -> bool:
    """Whether one side is ``task``, ``x.task``, ``x["task"]`` or ``x.get("task")``."""
    for side in (node.left, *node.comparators):
        if isinstance(side, ast.Name | ast.Attribute) and identifiers(side)[:1] in (["task"], ["task_name"]):
            return True
        if isinstance(side, ast.Subscript | ast.Call) and "task" in literals(side):
            return True
    return False


def identifiers(node: ast.AST) -> list[str]:
    """The names and attributes in an expression, the outermost first."""
    inner = (x.attr if isinstance(x, ast.Attribute) else x.id if isinstance(x, ast.Name) else "" for x in ast.walk(node))
    return [name for name in inner if name]


def literals(node: ast.AST) -> set[str]:
    return {x.value for x in ast.walk(node) if isinstance(x, ast.Constant) and isinstance(x.value, str)}


@cache
def task_names() -> frozenset[str]:
    from tunesmith.recipe.tasks import TASKS

    return frozenset(TASKS)


Rule = Callable[[Iterable[File]], list[str]]

# A rule and code that breaks it.
BROKEN: tuple[tuple[Rule, tuple[File, ...]], ...] = (
    (unknown_units, (File("attic.shelf", "x = 1"),)),
    (upward_imports, (File("data.read", "from tunesmith.training.fit import fit"),)),
    (upward_imports, (File("recipe.load", "def f():\n    import tunesmith.workflows.train"),)),
    (
        upward_imports,
        (File("data.read", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..models.load import x"),),
    ),
    (upward_imports, (File("evaluation.table", "from .. import training"), File("training", "", True))),
    (
        mutual_units,
        (
            File("preflight.a", "from tunesmith.tasks import b"),
            File("tasks.b", "def f():\n    from tunesmith.preflight import c"),
        ),
    ),
    (import_cycles, (File("data.a", "from tunesmith.data import b"), File("data.b", "def f():\n    from .a import x"))),
    (import_cycles, (File("data.a", "import tunesmith.data.b"), File("data.b", "import tunesmith.data.a"))),
    (long_files, (File("data.read", "x = 1\n" * (MOST_LINES + 1)),)),
    (long_functions, (File("data.read", "def f():\n" + "    x = 1\n" * LONGEST_FUNCTION),)),
    (too_few_short_functions, (File("data.read", "def f():\n" + "    x = 1\n" * SHORT_FUNCTION + "def g():\n    pass\n"),)),
    (empty_names, (File("data.read_utils", ""),)),
    (empty_names, (File("data.read", "class CheckpointManager:\n    pass"),)),
    (empty_names, (File("common.read", ""),)),
    (prints, (File("data.read", "def f():\n    print(1)"),)),
    (swallowed_errors, (File("data.read", "try:\n    x = 1\nexcept:\n    raise"),)),
    (swallowed_errors, (File("data.read", "try:\n    x = 1\nexcept Exception:\n    pass"),)),
    (heavy_imports, (File("data.read", "import torch"),)),
    (heavy_imports, (File("report.page", "try:\n    from pandas import DataFrame\nexcept ImportError:\n    raise"),)),
    (
        heavy_imports,
        (
            File("cli.main", "from tunesmith.models.source import x"),
            File("models", "import torch", True),
            File("models.source", ""),
        ),
    ),
    (
        heavy_imports,
        (File("cli.main", "import tunesmith.models.load"), File("models.load", "from transformers import AutoModel")),
    ),
    (task_comparisons, (File("data.read", 'x = recipe.task == "sft"\n' * (MOST_TASK_COMPARISONS + 1)),)),
    (task_comparisons, (File("data.read", 'x = recipe.task not in ("sft", "embedding")\n' * (MOST_TASK_COMPARISONS + 1)),)),
    (task_comparisons, (File("data.read", "x = result.task in LANGUAGE_TASKS\n" * (MOST_TASK_COMPARISONS + 1)),)),
    (task_comparisons, (File("data.read", 'x = record["task"] == EMBEDDING\n' * (MOST_TASK_COMPARISONS + 1)),)),
    (task_comparisons, (File("data.read", 'match task:\n    case "sft":\n        pass\n' * (MOST_TASK_COMPARISONS + 1)),)),
)
FINE = (
    File("data.read", "from __future__ import annotations\nimport json\ndef f():\n    import pandas\n    return pandas\n"),
    File("models.load", "import torch\nfrom tunesmith.data.readers.read import f\n"),
    File("cli.main", "print(1)\n"),
    File("data.split", 'x = [labels.problem_type == "regression", task_settings(recipe).family == "embedding"] * 9\n'),
    File("data.table", 'x = labels.problem_type == "regression"\n' * (MOST_TASK_COMPARISONS + 1)),
)
RULES = tuple(dict.fromkeys(rule for rule, _ in BROKEN))


def rule_name(value: object) -> str:
    return getattr(value, "__name__", "")


@pytest.mark.parametrize("rule", RULES, ids=rule_name)
def test_the_source_keeps_the_rule(rule: Rule) -> None:
    assert rule(files()) == []


@pytest.mark.parametrize(("rule", "broken"), BROKEN, ids=rule_name)
def test_the_rule_catches_what_breaks_it(rule: Rule, broken: tuple[File, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "files", lambda: broken)
    monkeypatch.setitem(globals(), "imports", imports.__wrapped__)  # those of other files are cached
    assert rule(broken)


@pytest.mark.parametrize("rule", RULES, ids=rule_name)
def test_the_rule_leaves_good_code_alone(rule: Rule) -> None:
    assert rule(FINE) == []


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    code = "import sys, tunesmith.cli.main; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert HEAVY & set(loaded) == set()


def test_public_names_are_what_can_be_imported() -> None:
    import tunesmith

    assert [name for name in tunesmith.__all__ if not hasattr(tunesmith, name)] == []
    own = [name for name, value in vars(tunesmith).items() if getattr(value, "__module__", "").startswith("tunesmith")]
    assert [name for name in own if not name.startswith("_") and name not in tunesmith.__all__] == []


def test_public_names_are_on_the_python_page() -> None:
    import tunesmith

    page = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8")
    words = re.findall(r"\w+", page)
    assert [name for name in tunesmith.__all__ if not name.startswith("_") and name not in words] == []


def test_no_layer_holds_many_names() -> None:
    assert max(map(len, LAYERS)) <= MOST_NAMES_IN_A_LAYER


def test_the_top_level_is_a_dozen_folders_and_a_handful_of_files() -> None:
    folders = [path for path in SOURCE.iterdir() if path.is_dir() and any(path.glob("*.py"))]
    loose = list(SOURCE.glob("*.py"))
    assert len(folders) <= MOST_FOLDERS
    assert len(loose) <= MOST_LOOSE_FILES


def readme_map() -> list[str]:
    """The names in the first column of the README's table of the source: folders end in ``/``, loose files in ``.py``."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("## The source")[2].partition("\n## ")[0]
    return re.findall(r"^\| `(\w+(?:/|\.py))` \| \S.*\. \|$", section, re.M)


def test_the_readme_maps_every_folder_and_loose_file_and_nothing_else() -> None:
    folders = [f"{path.name}/" for path in SOURCE.iterdir() if path.is_dir() and any(path.glob("*.py"))]
    loose = [path.name for path in SOURCE.glob("*.py")]
    assert sorted(readme_map()) == sorted([*folders, *loose])
