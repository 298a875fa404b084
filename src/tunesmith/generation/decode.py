"""Generates texts in left-padded batches of similar length, and computes the log-probability of each output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers.generation.streamers import BaseStreamer

from tunesmith.data.cells import plural
from tunesmith.errors import GenerationError
from tunesmith.generation.arguments import Decoding, constrained_generate, require_possible, sequence_bias
from tunesmith.generation.constraints import Constraints, unfulfilled
from tunesmith.generation.encoder_decoder import (
    decoder_logprobs,
    decoder_prefix,
    encoder_inputs,
    require_decoder_room,
    with_prefix,
)
from tunesmith.generation.labels import left_padded, position_inputs
from tunesmith.generation.token_text import REPLACEMENT, continuation, decoded
from tunesmith.models.inference import MOST_LOGITS, batches_by_length, evaluation_mode, no_progress
from tunesmith.models.language.seq2seq import is_encoder_decoder

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Prompts = Sequence[Sequence[int]]


@dataclass(frozen=True)
class GeneratedText:
    """One generated text.

    Attributes:
        text: the text after the prompt, without special tokens; one of the choices without the blank before it.
        token_ids: the generated tokens, with an end token.
        logprob: the sum of the log-probabilities of ``token_ids`` under the model without constraints or temperature.
        satisfied: whether the text itself fulfils the constraints; None if there are none.
        finished: whether an end token was generated.
        note: the constraints that are not fulfilled; empty if all are.
        continues: the text continues its prompt; False for an encoder-decoder, whose text begins anew.
    """

    text: str
    token_ids: tuple[int, ...]
    logprob: float
    satisfied: bool | None
    finished: bool
    note: str = ""
    continues: bool = True


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Prompts,
    settings: Decoding | None = None,
    constraints: Constraints | Sequence[Constraints] | None = None,
    *,
    precision: str = "fp32",
    max_rows: int = 64,
    stream: Callable[[str], None] | None = None,
    progress: Callable[[int], None] = no_progress,
) -> list[list[GeneratedText]]:
    """Generates texts for each prompt, in the order of the prompts: (N) lists of ``num_return_sequences`` texts.

    A prompt's texts do not depend on the batch, except with sampling and by rounding.

    Args:
        prompts: (N) token ids, special tokens included.
        constraints: for all prompts, or one for each.
        precision: ``bf16`` runs under autocast, ``fp32`` without.
        max_rows: sequences at a time, beams included.
        stream: called with each piece of the text of a single prompt; not with beams.
        progress: called with the number of prompts done.

    Raises:
        GenerationError: prompts, decoding settings and constraints contradict each other.
        MissingExtra: llguidance is not installed, for a regular expression or a schema.
    """
    settings = settings or Decoding()
    per_prompt = one_per_prompt(constraints, len(prompts))
    for each in {id(each): each for each in per_prompt}.values():
        require_possible(settings, each)
    require_room(model, tokenizer, prompts, settings)
    if stream is not None and (len(prompts) != 1 or settings.beams(per_prompt[0]) > 1 or settings.num_return_sequences > 1):
        raise GenerationError.one("stream", "only a single text can be streamed.", "Leave beams and further texts out.")
    generated: list[list[GeneratedText]] = [[] for _ in prompts]
    ends, done = model_end_ids(model, tokenizer), 0
    with evaluation_mode(model, precision), torch.random.fork_rng(enabled=settings.do_sample):
        if settings.do_sample:
            torch.manual_seed(settings.seed)
        for batch in make_batches(prompts, per_prompt, settings, max_rows):
            rows, row_constraints = [list(prompts[i]) for i in batch], [per_prompt[i] for i in batch]
            sequences = decode_batch(model, tokenizer, rows, row_constraints, settings, stream)
            logprobs = sequence_logprobs(model, tokenizer, rows, sequences)
            befores = [[] for _ in rows] if is_encoder_decoder(model) else rows
            for i, before, each, texts, scores in zip(batch, befores, row_constraints, sequences, logprobs, strict=True):
                generated[i] = [make_text(tokenizer, before, *pair, each, ends) for pair in zip(texts, scores, strict=True)]
            done += len(batch)
            progress(done)
    return generated


def one_per_prompt(constraints: Constraints | Sequence[Constraints] | None, n: int) -> list[Constraints]:
    if constraints is None or isinstance(constraints, Constraints):
        return [constraints or Constraints()] * n
    if len(constraints) != n:
        message = f"there are {len(constraints)} for {plural(n, 'prompt')}."
        raise GenerationError.one("constraints", message, "Give one for each, or one for all.")
    return list(constraints)


def require_room(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Prompts, settings: Decoding) -> None:
    """Raises GenerationError for an empty prompt, and for one that leaves too few positions for the new tokens."""
    if is_encoder_decoder(model):
        require_decoder_room(model, tokenizer, prompts, settings.max_new_tokens)
        return
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    for i, prompt in enumerate(prompts):
        if not len(prompt):
            raise GenerationError.one(f"prompt {i}", "it has no tokens.", "Give at least one word.")
        if positions is not None and len(prompt) + settings.max_new_tokens > positions:
            sizes = f"{plural(len(prompt), 'token')} and {settings.max_new_tokens} new ones"
            message = f"{sizes} are more than the model's {plural(positions, 'position')}."
            raise GenerationError.one(f"prompt {i}", message, "Shorten it, or lower max_new_tokens.")


def make_batches(prompts: Prompts, constraints: Sequence[Constraints], settings: Decoding, max_rows: int) -> Iterator[list[int]]:
    """Yields positions of prompts with the same kind of decoding and similar length, the longest first."""
    kinds: dict[tuple[object, ...], list[int]] = {}
    for i, each in enumerate(constraints):
        kinds.setdefault((bool(each.groups), bool(each.forbid), each.form, tuple(sorted(each.bias.items()))), []).append(i)
    for positions in kinds.values():
        sequences = max(settings.beams(constraints[positions[0]]), settings.num_return_sequences)
        rows = max(1, max_rows // sequences)
        lengths = np.array([len(prompts[i]) for i in positions], dtype=np.int64)
        for batch in batches_by_length(lengths, rows, rows * max(1, int(lengths.max()))):
            yield [positions[i] for i in batch.tolist()]


def decode_batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: list[list[int]],
    constraints: list[Constraints],
    settings: Decoding,
    stream: Callable[[str], None] | None,
) -> list[list[list[int]]]:
    """Returns the new tokens of each prompt's texts, ends included."""
    ends = model_end_ids(model, tokenizer)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else ends[0] if ends else 0
    inputs, n_before = start_inputs(model, tokenizer, rows, pad)
    streamer = None if stream is None else PieceStreamer(tokenizer, [] if is_encoder_decoder(model) else rows[0], stream)
    arguments = {**settings.arguments(constraints[0]), **sequence_bias(tokenizer, constraints[0])}
    if any(each.groups or each.forbid or each.form for each in constraints):
        arguments["custom_generate"] = constrained_generate(tokenizer, constraints, streamer)
    arguments |= {"pad_token_id": pad, "eos_token_id": ends or None, "streamer": streamer, "return_dict_in_generate": False}
    sequences = model.generate(**inputs, **arguments)
    new_tokens = [cut_at_end(row, ends, pad) for row in sequences[:, n_before:].tolist()]
    n = settings.num_return_sequences
    return [new_tokens[i * n : (i + 1) * n] for i in range(len(rows))]


def start_inputs(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Sequence[Sequence[int]], pad: int
) -> tuple[dict[str, Any], int]:
    """Returns the arguments of ``generate`` for prompts, and the number of tokens before the new ones in its sequences."""
    prefix = decoder_prefix(model, tokenizer)
    if prefix:
        return with_prefix(prefix, encoder_inputs(model, rows, pad)), len(prefix)
    inputs = prompt_inputs(model, rows, pad)
    return inputs, inputs["input_ids"].shape[1]


def prompt_inputs(model: PreTrainedModel, rows: Sequence[Sequence[int]], pad: int) -> dict[str, torch.Tensor]:
    """Returns the arguments of ``generate`` for prompts that are continued, padded on the left."""
    ids, mask = left_padded(rows, pad)
    device = next(model.parameters()).device
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device)}


def model_end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Returns the ids that end a text: the model's own, which may be several, and the tokenizer's."""
    own = model.generation_config.eos_token_id
    model_ids = own if isinstance(own, list) else [own]
    return sorted({int(token) for token in (*model_ids, tokenizer.eos_token_id) if token is not None})


def cut_at_end(row: list[int], ends: list[int], pad: int) -> list[int]:
    """Returns the tokens up to the first end, without padding."""
    row = until_end(row, ends)
    while row and row[-1] == pad and pad not in ends:
        row = row[:-1]
    return row


def until_end(row: list[int], ends: list[int]) -> list[int]:
    """Returns the tokens up to the first end, or all of them."""
    return next((row[: i + 1] for i, token in enumerate(row) if token in ends), row)


def make_text(
    tokenizer: PreTrainedTokenizerBase,
    prompt: list[int],
    tokens: list[int],
    logprob: float,
    constraints: Constraints,
    ends: list[int],
) -> GeneratedText:
    """Decodes the new tokens and checks the text against the constraints; ``prompt`` is empty unless the text continues it."""
    text = continuation(tokenizer, prompt, tokens)
    text = text.strip() if constraints.choices else text
    is_constrained = bool(constraints.groups or constraints.forbid or constraints.form)
    problems = unfulfilled(constraints, text, decoded(tokenizer, [prompt])[0]) if is_constrained else []
    return GeneratedText(
        text=text,
        token_ids=tuple(tokens),
        logprob=logprob,
        satisfied=not problems if is_constrained else None,
        finished=bool(tokens) and tokens[-1] in ends,
        note=f"not satisfied within {plural(len(tokens), 'token')}: {'; '.join(problems)}" if problems else "",
        continues=bool(prompt),
    )


def sequence_logprobs(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: list[list[int]], sequences: list[list[list[int]]]
) -> list[list[float]]:
    """Computes the log-probability of every generated sequence after its prompt, by one plain forward pass over both."""
    flat = [(prompt, tokens) for prompt, texts in zip(prompts, sequences, strict=True) for tokens in texts]
    longest = max((len(tokens) for _, tokens in flat), default=0)
    n_vocabulary = model.config.get_text_config().vocab_size
    at_once = max(1, MOST_LOGITS // max(1, n_vocabulary * (longest + 1)))
    scores: list[float] = []
    for start in range(0, len(flat), at_once):
        rows = flat[start : start + at_once]
        width = max(len(tokens) for _, tokens in rows)
        if not width:
            scores += [0.0] * len(rows)
            continue
        if is_encoder_decoder(model):
            scores += decoder_logprobs(model, tokenizer, [prompt for prompt, _ in rows], [tokens for _, tokens in rows])
            continue
        ids, mask = left_padded([[*prompt, *tokens] for prompt, tokens in rows])
        options = {"logits_to_keep": width + 1} if model._supports_logits_to_keep() else {}
        logits = model(**position_inputs(model, ids, mask), use_cache=False, **options).logits[:, -width - 1 : -1]
        targets = ids[:, -width:].to(logits.device)
        each = torch.log_softmax(logits.float(), dim=-1).gather(2, targets[..., None])[..., 0].cpu()
        scores += [float(each[i, width - len(tokens) :].double().sum()) for i, (_, tokens) in enumerate(rows)]
    remaining = iter(scores)
    return [[next(remaining) for _ in texts] for texts in sequences]


class PieceStreamer(BaseStreamer):  # type: ignore[misc]
    """Calls a function with each new piece of a text; joined they are the text. Incomplete characters are held back."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, prompt: list[int], call: Callable[[str], None]) -> None:
        self.tokenizer, self.prompt, self.call = tokenizer, prompt, call
        self.tokens: list[int] | None = None
        self.n_characters = 0

    def put(self, value: torch.Tensor) -> None:
        if self.tokens is None:
            self.tokens = []  # upstream sends the prompt first
            return
        self.tokens += value.reshape(-1).tolist()
        self._emit(whole_only=True)

    def end(self) -> None:
        self._emit(whole_only=False)

    def _emit(self, whole_only: bool) -> None:
        text = continuation(self.tokenizer, self.prompt, self.tokens or [])
        if whole_only:
            text = text.rstrip(REPLACEMENT)
        if len(text) > self.n_characters:
            self.call(text[self.n_characters :])
            self.n_characters = len(text)
