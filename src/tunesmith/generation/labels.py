"""Restricts generated text to a set of labels, and computes the probability of each label."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tunesmith.data.arrays import Array
from tunesmith.errors import GenerationError
from tunesmith.generation.encoder_decoder import every_text_logprobs
from tunesmith.models.chat.control_tokens import continuation
from tunesmith.models.inference import batches_by_length, evaluation_mode, no_progress
from tunesmith.models.language.seq2seq import is_encoder_decoder
from tunesmith.models.language.token_losses import accepts_positions, pad_rows

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Trie = dict[int, Any]
MOST_ROWS = 256
"""Labels of all prompts of a batch together."""


def label_tokens(tokenizer: PreTrainedTokenizerBase, labels: Sequence[str], blank: bool = False) -> list[list[int]]:
    """Tokenises labels as continuations of a text. Raises GenerationError for one that is empty or cannot be spelled.

    Args:
        blank: a blank separates the text and the label, and belongs to the label.
    """
    sequences = []
    for label in labels:
        tokens = continuation(tokenizer, f" {label}" if blank else label).ids
        if not label.strip() or not tokens or tokenizer.unk_token_id in tokens:
            raise GenerationError.one(f"label {label!r}", "no tokens of this tokenizer spell it.", "Choose another label.")
        sequences.append(tokens)
    return sequences


def make_trie(sequences: Sequence[Sequence[int]], ends: Sequence[int]) -> Trie:
    """Builds the trie token -> trie of next tokens; a whole sequence is followed by any of ``ends``, and then by nothing."""
    root: Trie = {}
    for sequence in sequences:
        node = root
        for token in sequence:
            node = node.setdefault(token, {})
        for end in ends:
            node.setdefault(end, {})
    return root


def require_distinct(labels: Sequence[str], sequences: Sequence[Sequence[int]], n_ends: int) -> None:
    """Raises GenerationError if two labels cannot be distinguished.

    A label may be a prefix of another one ("no", "not sure"), since the end token separates them; without an end token it may
    not.
    """
    for i, prefix in enumerate(sequences):
        for j, other in enumerate(sequences):
            if i != j and list(other[: len(prefix)]) == list(prefix) and (not n_ends or len(prefix) == len(other)):
                message = f"{labels[i]!r} begins {labels[j]!r}, and no token ends the text, which would separate them."
                raise GenerationError.one("labels", message, "Name the labels so that none begins another.")


@dataclass(frozen=True, eq=False)
class Choices:
    """The rule that restricts a text to a trie of choices (``generation.processors.TokenRule``)."""

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
    """Returns the fewest tokens to a whole choice; the end itself need not be generated."""
    if not trie or any(not rest for rest in trie.values()):
        return 0
    return 1 + min(shortest(rest) for rest in trie.values())


def make_choices(tokenizer: PreTrainedTokenizerBase, choices: Sequence[str], n_vocabulary: int, ends: Array) -> Choices:
    """Makes the rule for choices, with and without a blank. Raises GenerationError if tokens cannot spell or separate them."""
    if not len(ends):
        raise GenerationError.one("choices", "the tokenizer has no token that ends a text.", "Use another model.")
    plain, after_blank = label_tokens(tokenizer, choices), label_tokens(tokenizer, choices, blank=True)
    for sequences in (plain, after_blank):
        require_distinct(choices, sequences, len(ends))
    return Choices(make_trie([*plain, *after_blank], ends.tolist()), n_vocabulary)


def label_probabilities(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    labels: Sequence[str] | Sequence[Sequence[int]],
    *,
    end: int | None = None,
    blank: bool = False,
    precision: str = "fp32",
    max_rows: int = MOST_ROWS,
    progress: Callable[[int], None] = no_progress,
) -> Array:
    """Computes the probability of each label after each prompt, normalised over the labels: (N, K) float64, rows sum to 1.

    A label's score is the log-probability of all its tokens and of the end after them. Prompts are run once; their keys and
    values, or the states of their encoder, serve all labels.

    Args:
        prompts: (N) token ids.
        labels: (K) texts, or token sequences without their end.
        end: the token that ends an answer; None for the tokenizer's end-of-text token.
        blank: labels that are texts have a blank before them.

    Raises:
        GenerationError: tokens cannot spell a label, or two labels cannot be distinguished.
    """
    names = [label if isinstance(label, str) else str(list(label)) for label in labels]
    texts = [label for label in labels if isinstance(label, str)]
    sequences = label_tokens(tokenizer, texts, blank) if texts else [[int(token) for token in label] for label in labels]
    end = tokenizer.eos_token_id if end is None else end
    ends = [] if end is None else [int(end)]
    require_distinct(names, sequences, len(ends))
    scores, done = np.zeros((len(prompts), len(sequences))), 0
    lengths = np.array([len(prompt) for prompt in prompts], dtype=np.int64)
    with evaluation_mode(model, precision):
        for batch in batches_by_length(lengths, max(1, max_rows // len(sequences))):
            rows = [list(prompts[i]) for i in batch.tolist()]
            texts_with_ends = [[*tokens, *ends] for tokens in sequences]
            if is_encoder_decoder(model):
                scores[batch] = every_text_logprobs(model, tokenizer, rows, texts_with_ends)
            else:
                scores[batch] = label_logprobs(model, rows, texts_with_ends)
            done += len(batch)
            progress(done)
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities: Array = shares / shares.sum(axis=1, keepdims=True)
    return probabilities


def label_logprobs(model: PreTrainedModel, prompts: list[list[int]], sequences: list[list[int]]) -> Array:
    """Computes the log-probability of every sequence after every prompt: (N, K) float64."""
    ids, mask = left_padded(prompts)
    first = model(**position_inputs(model, ids, mask), use_cache=True)
    n, k, width = len(prompts), len(sequences), max(map(len, sequences))
    labels = torch.tensor([[*s, *[0] * (width - len(s))] for s in sequences])
    real = torch.tensor([[1] * len(s) + [0] * (width - len(s)) for s in sequences])
    total = torch.log_softmax(first.logits[:, -1].float(), dim=-1)[:, labels[:, 0].to(first.logits.device)].cpu()
    if width == 1:
        return total.double().numpy()
    cache = first.past_key_values
    cache.batch_repeat_interleave(k)
    whole = torch.cat([mask.repeat_interleave(k, 0), real.repeat(n, 1)[:, :-1]], dim=1)
    inputs = position_inputs(model, labels[:, :-1].repeat(n, 1), whole)
    logits = model(**inputs, past_key_values=cache, use_cache=True).logits
    following = labels[:, 1:].repeat(n, 1).to(logits.device)
    later = torch.log_softmax(logits.float(), dim=-1).gather(2, following[..., None])[..., 0].cpu()
    later = (later * real.repeat(n, 1)[:, 1:]).sum(dim=1).view(n, k)
    return (total + later).double().numpy()


def left_padded(rows: Sequence[Sequence[int]], pad_id: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns ``input_ids`` and ``attention_mask`` (B, T) of rows padded on the left."""
    mask = pad_rows([[1] * len(row) for row in rows], 0, left=True)
    return pad_rows(rows, pad_id, left=True), mask


def position_inputs(model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
    """Builds inputs of left-padded rows with unpadded positions; ``ids`` (B, T) are their last tokens, ``mask`` is of all."""
    device = next(model.parameters()).device
    inputs = {"input_ids": ids.to(device), "attention_mask": mask.to(device)}
    if accepts_positions(model):
        inputs["position_ids"] = (mask.cumsum(dim=1) - 1).clamp_min(0)[:, -ids.shape[1] :].to(device)
    return inputs
