"""Measures the size and the coupling of the source in one or several checkouts and prints a Markdown table.

    python scripts/measure_source.py [CHECKOUT ...]       # this checkout where none is given

A unit is a folder or a loose file of ``src/tunesmith``, or one of the folders ``benchmarks`` and ``scripts``. An import is
a pair of units the first of which imports the second, at the top of a module, inside a function or for types. The import
levels are the number of units on the longest path of imports, mutual imports counting as one unit. All other figures are of
``src/tunesmith``.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BESIDE = ("benchmarks", "scripts")
MANY_ARGUMENTS = 7


def package(checkout: Path) -> Path:
    """Return the folder of the package in a checkout."""
    return checkout / "src" / "tunesmith"


def unit_of(path: Path, checkout: Path) -> str:
    """Return the unit that a file belongs to."""
    inside = package(checkout)
    return path.relative_to(inside if path.is_relative_to(inside) else checkout).parts[0].removesuffix(".py")


def python_files(checkout: Path) -> list[Path]:
    """List the modules of the package and of the folders beside it."""
    return [
        path for folder in (package(checkout), *(checkout / name for name in BESIDE)) for path in sorted(folder.rglob("*.py"))
    ]


def units(checkout: Path) -> set[str]:
    """Name the units, folders without Python included."""
    entries = [path for path in package(checkout).iterdir() if path.is_dir() or path.suffix == ".py"]
    return {path.name.removesuffix(".py") for path in entries if path.name != "__pycache__"} | set(BESIDE)


def imported(tree: ast.Module) -> Iterator[str]:
    """Yield ``package.module.name`` for everything that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports_between(checkout: Path) -> dict[str, set[str]]:
    """Map each unit to the units it imports."""
    known = units(checkout)
    graph: dict[str, set[str]] = {unit: set() for unit in known}
    for path in python_files(checkout):
        own = unit_of(path, checkout)
        for name in imported(ast.parse(path.read_text(encoding="utf-8"))):
            parts = name.split(".")
            if parts[0] == "tunesmith":
                target = parts[1] if len(parts) > 1 and parts[1] in known else "__init__"
                graph[own] |= {target} - {own}
    return graph


def mutual_pairs(graph: dict[str, set[str]]) -> list[tuple[str, str]]:
    """List the pairs of units that import each other."""
    return sorted((unit, other) for unit in graph for other in graph[unit] if unit < other and unit in graph[other])


def levels(graph: dict[str, set[str]]) -> int:
    """Count the units on the longest path of imports."""
    merged = {other: unit for unit, other in mutual_pairs(graph)}
    plain = {merged.get(unit, unit): set[str]() for unit in graph}
    for unit, targets in graph.items():
        own = merged.get(unit, unit)
        plain[own] |= {merged.get(target, target) for target in targets} - {own}
    height: dict[str, int] = {}

    def visit(unit: str, path: tuple[str, ...]) -> int:
        if unit in path:
            raise SystemExit(f"a cycle of more than two units: {' -> '.join([*path, unit])}")
        if unit not in height:
            height[unit] = 1 + max((visit(target, (*path, unit)) for target in plain[unit]), default=0)
        return height[unit]

    return max(visit(unit, ()) for unit in plain)


def bare_any(node: ast.AST) -> int:
    """Count the parameters of a function that are annotated ``Any`` and nothing else, ``*args`` and ``**kwargs`` left out."""
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return 0
    parameters = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
    return sum(isinstance(one.annotation, ast.Name) and one.annotation.id == "Any" for one in parameters)


def figures(checkout: Path) -> dict[str, int]:
    """Return name -> figure."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(package(checkout).rglob("*.py"))]
    nodes = [node for text in texts for node in ast.walk(ast.parse(text))]
    graph = imports_between(checkout)
    return {
        "files": len(texts),
        "lines": sum(len(text.splitlines()) for text in texts),
        "functions": sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in nodes),
        "units: folders and loose files": len(graph),
        "import levels": levels(graph),
        "imports between units": sum(map(len, graph.values())),
        "pairs of units that import each other": len(mutual_pairs(graph)),
        "calls with seven or more positional arguments": sum(
            isinstance(node, ast.Call) and len(node.args) >= MANY_ARGUMENTS for node in nodes
        ),
        "parameters annotated with a bare `Any`": sum(map(bare_any, nodes)),
        "`# fmt: skip`": sum(text.count("# fmt: skip") for text in texts),
    }


def table(measured: Sequence[tuple[str, dict[str, int]]]) -> str:
    """Return a Markdown table with one column for each checkout."""
    header = ["", *(name for name, _ in measured)]
    rows = [[name, *(f"{values[name]:,}" for _, values in measured)] for name in measured[0][1]]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows))


def main() -> int:
    """Print the table; returns 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", nargs="*", type=Path, default=[ROOT], metavar="CHECKOUT", help="folders with src/tunesmith")
    paths = [path.resolve() for path in parser.parse_args().checkouts]
    print(table([(path.name, figures(path)) for path in paths]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
