"""Writes docs/reference/recipe.schema.json and docs/reference/recipe.md from the recipe's sections.

``--check`` writes nothing and exits 1 if a file is missing or out of date.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tunesmith.recipe.schema import json_schema_text, reference_page

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"


def main() -> int:
    """Returns 0 when the files are up to date or were written, 1 when ``--check`` found one that is not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only report whether the files are up to date")
    check = parser.parse_args().check
    stale = 0
    for name, text in (("recipe.schema.json", json_schema_text()), ("recipe.md", reference_page())):
        path = FOLDER / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        if check:
            stale = 1
            print(f"{path.relative_to(FOLDER.parents[1])} is out of date; run: python scripts/write_reference.py")
        else:
            FOLDER.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return stale


if __name__ == "__main__":
    raise SystemExit(main())
