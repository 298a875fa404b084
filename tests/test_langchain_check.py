"""Constraints hold through LangChain, in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import langchain_check
from tests.generation.made import tiny_llama, tokenizer_of

SCRIPT = Path(langchain_check.__file__)


@pytest.mark.slow
def test_constraints_hold_through_langchain(tmp_path: Path) -> None:
    tokenizer = tokenizer_of("byte_level")
    model = tiny_llama(len(tokenizer), 1)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    command = [sys.executable, str(SCRIPT), str(tmp_path), "--prompt", "the cat", "--must-include", "fox"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == langchain_check.CANNOT_INSTALL:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "fox" in found["text"]
    assert found["versions"]["huggingface_hub"].startswith("1.")
