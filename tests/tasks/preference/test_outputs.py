"""The files that a preference run writes beside its model."""

from __future__ import annotations

from pathlib import Path

from tests.contract.cases import PREFERRED
from tests.language_models import write_model
from tests.tasks.preference.rows import session_of
from tunesmith.tasks.preference.outputs import first_pair


def test_the_answers_of_the_first_pair_are_its_supervised_tokens(tmp_path: Path) -> None:
    _, session = session_of(write_model(tmp_path / "llama"), tmp_path)
    pair = first_pair(session.train)
    assert list(pair) == ["chosen", "rejected"]
    for name, side in zip(pair, session.train.sides, strict=True):
        answer = pair[name]
        assert list(answer.input_ids) == side.input_ids[0].tolist()
        assert answer.supervised is not None
        text = session.tokenizer.decode(
            [token for token, counts in zip(answer.input_ids, answer.supervised, strict=True) if counts], skip_special_tokens=True
        )
        assert (answer.row_id, text.split()) == (0, PREFERRED[0][name].split())
