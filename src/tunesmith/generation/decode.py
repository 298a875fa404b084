"""Texts of a causal language model for many prompts: batches of similar length, padded on the left, and what they are worth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers.generation.streamers import BaseStreamer

from tunesmith.errors import GenerationError
from tunesmith.generation.constraints import Constraints, unfulfilled
from tunesmith.generation.labels import left_padded, placed
from tunesmith.generation.steering import Decoding, bias_of, require_possible, steered
from tunesmith.generation.token_text import REPLACEMENT, continuation, decoded
from tunesmith.models.inference import autocast, batches_by_length, unheard

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MOST_LOGITS = 1 << 26
"""Numbers that the logits of one scoring pass may be."""
Prompts = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Written:
    """One text that a model wrote.

    Attributes:
        text: what was written after the prompt, special tokens left out; one of the choices without the blank before it.
        token_ids: what was written, the end token included where it was.
        logprob: the sum of the log-probabilities of ``token_ids`` under the plain model, without any constraint or temperature.
        satisfied: whether the text fulfils the constraints, found by reading the text; None where there are none.
        finished: whether the end token was written.
        note: what is not fulfilled; empty where nothing is amiss.
    """

    text: str
    token_ids: tuple[int, ...]
    logprob: float
    satisfied: bool | None
    finished: bool
    note: str = ""


def generate(
    model: Any, tokenizer: PreTrainedTokenizerBase, prompts: Prompts, settings: Decoding | None = None,
    constraints: Constraints | Sequence[Constraints] | None = None, *, precision: str = "fp32", max_rows: int = 64,
    stream: Callable[[str], None] | None = None, progress: Callable[[int], None] = unheard,
) -> list[list[Written]]:  # fmt: skip
    """What the model writes after each prompt, in the order of the prompts: (N) lists of ``num_return_sequences`` texts.

    A prompt's texts do not depend on the batch it comes in, but for sampling and for rounding.

    Args:
        prompts: (N) token ids, special tokens included.
        constraints: for all prompts, or one for each.
        precision: ``bf16`` runs under autocast, ``fp32`` without.
        max_rows: sequences at a time, beams included.
        stream: hears the text of a single prompt piece by piece; not with beams.
        progress: hears the number of prompts done.

    Raises:
        GenerationError: prompts, decoding and constraints do not go together.
        MissingExtra: llguidance is not installed, for a regular expression or a schema.
    """
    settings = settings or Decoding()
    wanted = constraints_of(constraints, len(prompts))
    for each in {id(one): one for one in wanted}.values():
        require_possible(settings, each)
    require_room(model, prompts, settings)
    if stream is not None and (len(prompts) != 1 or settings.beams(wanted[0]) > 1 or settings.num_return_sequences > 1):
        raise GenerationError.one("stream", "only a single text can be streamed.", "Leave beams and further texts out.")
    found: list[list[Written]] = [[] for _ in prompts]
    device, done = next(model.parameters()).device, 0
    with evaluating(model), torch.inference_mode(), autocast(precision, device.type), drawing(settings):
        for batch in batches_of(prompts, wanted, settings, max_rows):
            rows, kept = [list(prompts[i]) for i in batch], [wanted[i] for i in batch]
            sequences = decode_batch(model, tokenizer, rows, kept, settings, stream)
            logprobs = sequence_logprobs(model, rows, sequences)
            for i, row, each, texts, scores in zip(batch, rows, kept, sequences, logprobs, strict=True):
                ends = end_ids_of(model, tokenizer)
                found[i] = [
                    judged(tokenizer, row, tokens, score, each, ends) for tokens, score in zip(texts, scores, strict=True)
                ]
            done += len(batch)
            progress(done)
    return found


def constraints_of(given: Constraints | Sequence[Constraints] | None, n: int) -> list[Constraints]:
    """One for each of n prompts."""
    if given is None or isinstance(given, Constraints):
        return [given or Constraints()] * n
    if len(given) != n:
        raise GenerationError.one("constraints", f"there are {len(given)} for {n} prompts.", "Give one for each, or one for all.")
    return list(given)


def require_room(model: Any, prompts: Prompts, settings: Decoding) -> None:
    """Raise GenerationError for an empty prompt, and for one that leaves too few positions for the new tokens."""
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    for i, prompt in enumerate(prompts):
        if not len(prompt):
            raise GenerationError.one(f"prompt {i}", "it has no tokens.", "Give at least one word.")
        if positions is not None and len(prompt) + settings.max_new_tokens > positions:
            message = (
                f"{len(prompt)} tokens and {settings.max_new_tokens} new ones are more than the model's {positions} positions."
            )
            raise GenerationError.one(f"prompt {i}", message, "Shorten it, or lower max_new_tokens.")


def batches_of(prompts: Prompts, wanted: Sequence[Constraints], settings: Decoding, max_rows: int) -> Iterator[list[int]]:
    """Positions of prompts that are decoded together: of one kind of decoding, and of similar length, the longest first."""
    kinds: dict[Any, list[int]] = {}
    for i, each in enumerate(wanted):
        kinds.setdefault((bool(each.groups), bool(each.forbid), each.form, tuple(sorted(each.bias.items()))), []).append(i)
    for positions in kinds.values():
        rows = max(settings.beams(wanted[positions[0]]), settings.num_return_sequences)
        lengths = np.array([len(prompts[i]) for i in positions], dtype=np.int64)
        most_tokens = max(1, max_rows // rows) * max(1, int(lengths.max()))
        for batch in batches_by_length(lengths, max(1, max_rows // rows), most_tokens):
            yield [positions[i] for i in batch.tolist()]


def decode_batch(
    model: Any, tokenizer: Any, rows: list[list[int]], wanted: list[Constraints], settings: Decoding,
    stream: Callable[[str], None] | None,
) -> list[list[list[int]]]:  # fmt: skip
    """The written tokens of each prompt's texts, ends included."""
    ends = end_ids_of(model, tokenizer)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else ends[0] if ends else 0
    ids, mask = left_padded(rows, pad)
    device = next(model.parameters()).device
    streamer = None if stream is None else Pieces(tokenizer, rows[0], stream)
    arguments = {**settings.arguments(wanted[0]), **bias_of(tokenizer, wanted[0])}
    if any(each.groups or each.forbid or each.form for each in wanted):
        arguments["custom_generate"] = steered(tokenizer, wanted, streamer)
    sequences = model.generate(
        input_ids=ids.to(device), attention_mask=mask.to(device), pad_token_id=pad, eos_token_id=ends or None, streamer=streamer,
        return_dict_in_generate=False, **arguments,
    )  # fmt: skip
    written = [until_end(row, ends, pad) for row in sequences[:, ids.shape[1] :].tolist()]
    n = settings.num_return_sequences
    return [written[i * n : (i + 1) * n] for i in range(len(rows))]


def end_ids_of(model: Any, tokenizer: Any) -> list[int]:
    """The ids that end a text: the model's own, which may be several, and the tokenizer's."""
    own = model.generation_config.eos_token_id
    listed = own if isinstance(own, list) else [own]
    return sorted({int(token) for token in (*listed, tokenizer.eos_token_id) if token is not None})


def until_end(row: list[int], ends: list[int], pad: int) -> list[int]:
    """The tokens up to the first end, without padding."""
    first = next((i for i, token in enumerate(row) if token in ends), None)
    if first is not None:
        return row[: first + 1]
    while row and row[-1] == pad:
        row = row[:-1]
    return row


def judged(
    tokenizer: Any, prompt: list[int], tokens: list[int], logprob: float, wanted: Constraints, ends: list[int]
) -> Written:  # fmt: skip
    """The text, and whether it fulfils what was wanted."""
    text = continuation(tokenizer, prompt, tokens)
    text = text.strip() if wanted.choices else text
    is_wanted = bool(wanted.groups or wanted.forbid or wanted.form)
    amiss = unfulfilled(wanted, text, decoded(tokenizer, [prompt])[0]) if is_wanted else []
    note = f"not satisfied within {len(tokens)} tokens: {'; '.join(amiss)}" if amiss else ""
    finished = bool(tokens) and tokens[-1] in ends
    return Written(text, tuple(tokens), logprob, not amiss if is_wanted else None, finished, note)


def sequence_logprobs(model: Any, prompts: list[list[int]], sequences: list[list[list[int]]]) -> list[list[float]]:
    """The log-probability of every written sequence after its prompt, by one plain pass over both."""
    flat = [(prompt, tokens) for prompt, texts in zip(prompts, sequences, strict=True) for tokens in texts]
    longest = max((len(tokens) for _, tokens in flat), default=0)
    width = model.config.get_text_config().vocab_size
    at_once = max(1, MOST_LOGITS // max(1, width * (longest + 1)))
    scores: list[float] = []
    for start in range(0, len(flat), at_once):
        scores += _logprobs(model, flat[start : start + at_once])
    found, place = [], 0
    for texts in sequences:
        found.append(scores[place : place + len(texts)])
        place += len(texts)
    return found


def _logprobs(model: Any, rows: list[tuple[list[int], list[int]]]) -> list[float]:
    longest = max(len(tokens) for _, tokens in rows)
    if not longest:
        return [0.0] * len(rows)
    ids, mask = left_padded([[*prompt, *tokens] for prompt, tokens in rows])
    kept = {"logits_to_keep": longest + 1} if model._supports_logits_to_keep() else {}
    logits = model(**placed(model, ids, mask), use_cache=False, **kept).logits[:, -longest - 1 : -1]
    targets = ids[:, -longest:].to(logits.device)
    each = torch.log_softmax(logits.float(), dim=-1).gather(2, targets[..., None])[..., 0].cpu()
    return [float(each[i, longest - len(tokens) :].double().sum()) for i, (_, tokens) in enumerate(rows)]


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """The model in evaluation mode, and afterwards as it was."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


@contextmanager
def drawing(settings: Decoding) -> Iterator[None]:
    """Draws of the seed; the global generators are as before afterwards."""
    with torch.random.fork_rng(enabled=settings.do_sample):
        if settings.do_sample:
            torch.manual_seed(settings.seed)
        yield


class Pieces(BaseStreamer):  # type: ignore[misc]
    """Hands on a text as it grows: together the pieces are the text. Characters that are not whole yet are held back."""

    def __init__(self, tokenizer: Any, prompt: list[int], hear: Callable[[str], None]) -> None:
        self.tokenizer, self.prompt, self.hear = tokenizer, prompt, hear
        self.written: list[int] | None = None
        self.told = 0

    def put(self, value: torch.Tensor) -> None:
        if self.written is None:
            self.written = []  # upstream sends the prompt first
            return
        self.written += value.reshape(-1).tolist()
        self._tell(whole_only=True)

    def end(self) -> None:
        self._tell(whole_only=False)

    def _tell(self, whole_only: bool) -> None:
        text = continuation(self.tokenizer, self.prompt, self.written or [])
        if whole_only:
            text = text.rstrip(REPLACEMENT)
        if len(text) > self.told:
            self.hear(text[self.told :])
            self.told = len(text)
