"""Writes the first training pair token by token, as the model reads it (``pair.json``)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tunesmith.disk import write_text
from tunesmith.run_folder import RunFolder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PAIR = "pair.json"


@dataclass(frozen=True)
class ReadAnswer:
    """The tokens of one answer behind its prompt (L).

    Attributes:
        row_id: of the answer's row in the source.
        supervised: (L) whether a token counts in the loss; None for a reward model, whose loss reads one number of all tokens.
    """

    row_id: int
    input_ids: Sequence[int]
    supervised: Sequence[bool] | None = None


def write_pair(answers: Mapping[str, ReadAnswer], tokenizer: PreTrainedTokenizerBase, folder: RunFolder) -> None:
    """Writes ``pair.json``: name -> {``row_id``, ``tokens`` [{``id``, ``token``, ``supervised``}]}.

    Args:
        answers: ``chosen`` and ``rejected``, or of judged answers ``good`` and ``bad``.
    """
    content = {name: {"row_id": answer.row_id, "tokens": tokens_of(answer, tokenizer)} for name, answer in answers.items()}
    write_text(folder.work / PAIR, json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def tokens_of(answer: ReadAnswer, tokenizer: PreTrainedTokenizerBase) -> list[dict[str, Any]]:
    """Returns the id and the text of each token (L), and whether it is supervised."""
    ids = [int(token) for token in answer.input_ids]
    rows = [{"id": token, "token": text} for token, text in zip(ids, tokenizer.convert_ids_to_tokens(ids), strict=True)]
    if answer.supervised is None:
        return rows
    return [{**row, "supervised": bool(counts)} for row, counts in zip(rows, answer.supervised, strict=True)]
