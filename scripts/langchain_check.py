"""Tests constraints through LangChain's HuggingFacePipeline in a separate environment, and prints the outcome as JSON.

    python scripts/langchain_check.py MODEL_FOLDER [--prompt TEXT] [--must-include WORD] [--regex R]

langchain-huggingface pins another version of the hub client than tunesmith's environment has. So a temporary environment is made
on top of the libraries of this one, and langchain-huggingface is installed there. Exit codes: 0 the text fulfils the
constraints, 1 it does not, 3 the library cannot be installed here.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

LIBRARY = "langchain-huggingface"
CANNOT_INSTALL = 3
ATTEMPT = """
import json, sys
from importlib.metadata import version
from langchain_huggingface import HuggingFacePipeline
from transformers import pipeline
from tunesmith.generation.constraints import Constraints, unfulfilled
from tunesmith.generation.arguments import Decoding, generation_arguments

folder, prompt, asked = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
write, wanted = pipeline("text-generation", folder), Constraints(**asked)
arguments = generation_arguments(write.tokenizer, wanted, Decoding(max_new_tokens=40))
text = HuggingFacePipeline(pipeline=write).bind(pipeline_kwargs=arguments).invoke(prompt).removeprefix(prompt)
versions = {name: version(name) for name in ("langchain-huggingface", "langchain-core", "huggingface_hub", "transformers")}
print(json.dumps({"text": text, "amiss": unfulfilled(wanted, text, prompt), "versions": versions}))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--prompt", default="Once upon a time")
    parser.add_argument("--must-include", action="append", default=[])
    parser.add_argument("--regex")
    args = parser.parse_args()
    wanted_words = {"must_include": args.must_include, "regex": args.regex}
    with tempfile.TemporaryDirectory(prefix="langchain-") as place:
        python, message = environment(Path(place))
        if python is None:
            print(f"{LIBRARY} cannot be installed: {message}", file=sys.stderr)
            return CANNOT_INSTALL
        command = [str(python), "-c", ATTEMPT, str(args.model.resolve()), args.prompt, json.dumps(wanted_words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    if done.returncode:
        print(done.stderr[-3000:], file=sys.stderr)
        return 1
    found = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(found, indent=1, ensure_ascii=False))
    return 1 if found["amiss"] else 0


def environment(place: Path) -> tuple[Path | None, str]:
    """Makes an environment on top of this one; returns its Python with langchain-huggingface, or None and the reason."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    python = place / "bin" / "python"
    inner = sysconfig.get_path("purelib", vars={"base": str(place), "platbase": str(place)})
    outer = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *sources()])
    Path(inner, "outer.pth").write_text("\n".join(outer) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--disable-pip-version-check", LIBRARY]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (None, done.stderr.strip()[-500:]) if done.returncode else (python, "")


def sources() -> list[str]:
    """Returns the folder of this checkout's own code."""
    return [str(Path(__file__).resolve().parents[1] / "src")]


if __name__ == "__main__":
    raise SystemExit(main())
