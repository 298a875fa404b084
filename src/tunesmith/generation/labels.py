"""A language model as classifier: a text restricted to one of several answers, and the probability of each answer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tunesmith.data.arrays import Array
from tunesmith.errors import GenerationError
from tunesmith.models.inference import autocast, batches_by_length, unheard

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Trie = dict[int, Any]
ROWS = 256
"""Answers of all prompts of a batch together."""


def label_tokens(tokenizer: PreTrainedTokenizerBase, labels: Sequence[str], blank: bool = False) -> list[list[int]]:
    """The tokens of each label as it continues a text, without special tokens.

    Args:
        blank: a blank stands between the text and the label, and belongs to the label.

    Raises:
        GenerationError: an empty label, or one that the tokenizer cannot spell.
    """
    found = []
    for label in labels:
        tokens = continued_by(tokenizer, f" {label}" if blank else label)
        if not label.strip() or not tokens or tokenizer.unk_token_id in tokens:
            raise GenerationError.one(f"label {label!r}", "no tokens of this tokenizer spell it.", "Choose another label.")
        found.append(tokens)
    return found


def continued_by(tokenizer: Any, text: str) -> list[int]:
    """The tokens of a text behind a line break, or alone where the tokenizer does not keep line breaks apart."""
    known = tokenizer.encode("\n", add_special_tokens=False)
    whole = tokenizer.encode(f"\n{text}", add_special_tokens=False)
    tokens: list[int] = whole[len(known) :] if whole[: len(known)] == known else tokenizer.encode(text, add_special_tokens=False)
    return tokens


def trie_of(sequences: Sequence[Sequence[int]], ends: Sequence[int]) -> Trie:
    """Token -> the trie of what may follow it; behind a whole sequence any of ``ends`` follows, and then nothing."""
    root: Trie = {}
    for sequence in sequences:
        node = root
        for token in sequence:
            node = node.setdefault(token, {})
        for end in ends:
            node.setdefault(end, {})
    return root


def require_distinct(labels: Sequence[str], sequences: Sequence[Sequence[int]], n_ends: int) -> None:
    """Raise GenerationError where two labels cannot be told apart.

    A label may begin another one ("no", "not sure"), since the token that ends the text tells them apart; without such a token
    it may not.
    """
    for i, one in enumerate(sequences):
        for j, other in enumerate(sequences):
            if i != j and list(other[: len(one)]) == list(one) and (not n_ends or len(one) == len(other)):
                message = f"{labels[i]!r} begins {labels[j]!r}, and no token ends the text, which would tell them apart."
                raise GenerationError.one("labels", message, "Name the labels so that none begins another.")


@dataclass(frozen=True, eq=False)
class Choices:
    """The rule that keeps a text to a trie of answers (``generation.processors.Rule``)."""

    trie: Trie
    n_vocabulary: int

    def start(self) -> Trie:
        return self.trie

    def step(self, state: Trie, token: int) -> Trie:
        following: Trie = state.get(token, {})
        return following

    def barred(self, state: Trie, left: int, scores: torch.Tensor) -> Array:
        bad = np.ones(self.n_vocabulary, dtype=bool)
        bad[[token for token, rest in state.items() if 1 + shortest(rest) <= left] or list(state)] = False
        return bad


def shortest(trie: Trie) -> int:
    """The fewest tokens to a whole answer; the end itself need not be written."""
    if not trie or any(not rest for rest in trie.values()):
        return 0
    return 1 + min(shortest(rest) for rest in trie.values())


def choices_of(tokenizer: PreTrainedTokenizerBase, choices: Sequence[str], n_vocabulary: int, ends: Array) -> Choices:
    """The rule for some answers, each with and without a blank before it.

    Raises:
        GenerationError: answers that cannot be spelled or told apart, or no token that ends a text.
    """
    if not len(ends):
        raise GenerationError.one("choices", "the tokenizer has no token that ends a text.", "Use another model.")
    spelled = [*label_tokens(tokenizer, choices), *label_tokens(tokenizer, choices, blank=True)]
    for half in (spelled[: len(choices)], spelled[len(choices) :]):
        require_distinct(choices, half, len(ends))
    return Choices(trie_of(spelled, ends.tolist()), n_vocabulary)


def label_probabilities(
    model: Any, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[Sequence[int]],
    labels: Sequence[str] | Sequence[Sequence[int]], *, end: int | None = None, blank: bool = False, precision: str = "fp32",
    max_rows: int = ROWS, progress: Callable[[int], None] = unheard,
) -> Array:  # fmt: skip
    """The probability of each label after each prompt, normalised over the labels: (N, K) float64, rows sum to 1.

    A label's score is the log-probability of all its tokens and of the end behind them. Prompts are run once; their keys and
    values serve all labels.

    Args:
        prompts: (N) token ids.
        labels: (K) texts, or token sequences without their end.
        end: the token that ends an answer; the tokenizer's end-of-text token when None.
        blank: labels that are texts have a blank before them.

    Raises:
        GenerationError: labels that cannot be spelled or told apart.
    """
    names = [label if isinstance(label, str) else str(list(label)) for label in labels]
    texts = [label for label in labels if isinstance(label, str)]
    sequences = label_tokens(tokenizer, texts, blank) if texts else [[int(token) for token in label] for label in labels]
    end = tokenizer.eos_token_id if end is None else end
    ends = [] if end is None else [int(end)]
    require_distinct(names, sequences, len(ends))
    scores = np.zeros((len(prompts), len(sequences)))
    lengths, device, done = np.array([len(prompt) for prompt in prompts], dtype=np.int64), next(model.parameters()).device, 0
    was_training = model.training
    model.eval()
    with torch.inference_mode(), autocast(precision, device.type):
        for batch in batches_by_length(lengths, max(1, max_rows // len(sequences))):
            scores[batch] = scored(model, [list(prompts[i]) for i in batch.tolist()], [[*s, *ends] for s in sequences])
            done += len(batch)
            progress(done)
    model.train(was_training)
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    normalised: Array = shares / shares.sum(axis=1, keepdims=True)
    return normalised


def scored(model: Any, prompts: list[list[int]], sequences: list[list[int]]) -> Array:
    """(N, K) the log-probability of every sequence after every prompt."""
    ids, mask = left_padded(prompts)
    first = model(**placed(model, ids, mask), use_cache=True)
    n, k, width = len(prompts), len(sequences), max(map(len, sequences))
    answers = torch.tensor([[*s, *[0] * (width - len(s))] for s in sequences])
    real = torch.tensor([[1] * len(s) + [0] * (width - len(s)) for s in sequences])
    total = torch.log_softmax(first.logits[:, -1].float(), dim=-1)[:, answers[:, 0].to(first.logits.device)].cpu()
    if width == 1:
        return total.double().numpy()
    cache = first.past_key_values
    cache.batch_repeat_interleave(k)
    whole = torch.cat([mask.repeat_interleave(k, 0), real.repeat(n, 1)[:, :-1]], dim=1)
    inner = placed(model, answers[:, :-1].repeat(n, 1), whole)
    logits = model(**inner, past_key_values=cache, use_cache=True).logits
    following = answers[:, 1:].repeat(n, 1).to(logits.device)
    later = torch.log_softmax(logits.float(), dim=-1).gather(2, following[..., None])[..., 0].cpu()
    later = (later * real.repeat(n, 1)[:, 1:]).sum(dim=1).view(n, k)
    return (total + later).double().numpy()


def left_padded(rows: Sequence[Sequence[int]], pad_id: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """``input_ids`` and ``attention_mask`` (B, T) of rows that end together."""
    width = max(map(len, rows))
    ids = torch.tensor([[*[pad_id] * (width - len(row)), *row] for row in rows], dtype=torch.long)
    mask = torch.tensor([[*[0] * (width - len(row)), *[1] * len(row)] for row in rows], dtype=torch.long)
    return ids, mask


def placed(model: Any, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
    """The model's inputs for left-padded rows, with the positions that the unpadded rows would have.

    Args:
        ids: (B, T) the last tokens of the rows.
        mask: (B, T or more) of the whole rows.
    """
    device = next(model.parameters()).device
    inputs = {"input_ids": ids.to(device), "attention_mask": mask.to(device)}
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    if "position_ids" in inspect.signature(plain.forward).parameters:
        inputs["position_ids"] = (mask.cumsum(dim=1) - 1).clamp_min(0)[:, -ids.shape[1] :].to(device)
    return inputs
