"""Logits processors that bar tokens by a rule, for upstream's greedy, sampling and beam loops.

A rule bars tokens in a state of the text. The processor keeps no memory of rows: it replays the generated tokens of a row, from
cached states of the last length, so that reordered beams do not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from transformers import LogitsProcessor

from tunesmith.data.arrays import Array
from tunesmith.generation.encoder_decoder import next_logits
from tunesmith.generation.keyword_tracker import KeywordTracker
from tunesmith.generation.labels import position_inputs
from tunesmith.models.language.seq2seq import is_encoder_decoder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LIKELY = 1e-3
"""Probability from which the continuations of a forbidden word's spelling are computed."""


class TokenRule(Protocol):
    """Bars tokens in the text of one prompt; each rule has a state type of its own."""

    def start(self) -> Any:
        """Returns the state before the first token."""

    def step(self, state: Any, token: int) -> Any:
        """Returns the state after one more token."""

    def barred(self, state: Any, left: int, scores: torch.Tensor) -> Array:
        """Returns the tokens that may not follow, end tokens among them: (V,) bool.

        Args:
            left: tokens that may still be generated, this one included.
            scores: (V,) the model's scores.
        """


@dataclass(eq=False)
class RuleProcessor(LogitsProcessor):  # type: ignore[misc]
    """Bars tokens by the rule of each row's prompt.

    Attributes:
        rules: one for each prompt; rows of one prompt are adjacent.
        n_prompt: tokens of the (padded) prompts.
        max_length: of prompt and text together.
        ends: ids that end a text.
        lookahead: called with the rows' tokens and scores and the states of unfinished rows, before tokens are barred.
    """

    rules: Sequence[TokenRule]
    n_prompt: int
    max_length: int
    ends: frozenset[int]
    lookahead: Callable[[torch.Tensor, torch.Tensor, dict[int, Any]], None] | None = None
    _states: dict[tuple[int, tuple[int, ...]], Any] = field(default_factory=dict)

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        rows = [tuple(row) for row in input_ids[:, self.n_prompt :].tolist()]
        per_prompt = len(rows) // len(self.rules)
        keys = {i: (i // per_prompt, row) for i, row in enumerate(rows) if not self.ends.intersection(row)}
        states = {i: self._state(*key) for i, key in keys.items()}
        self._states = {keys[i]: state for i, state in states.items()}
        if self.lookahead is not None:
            self.lookahead(input_ids, scores, states)
        left = self.max_length - input_ids.shape[1]
        for i, state in states.items():
            bad = self.rules[i // per_prompt].barred(state, left, scores[i])
            if bad.all():
                bad[list(self.ends)] = False  # no token is allowed: the text ends here, unfulfilled
            if not bad.all():
                scores[i].masked_fill_(torch.from_numpy(bad).to(scores.device), -torch.inf)
        return scores

    def _state(self, prompt: int, tokens: tuple[int, ...]) -> Any:
        before = self._states.get((prompt, tokens[:-1]))
        if tokens and before is not None:
            return self.rules[prompt].step(before, tokens[-1])
        state = self.rules[prompt].start()
        for token in tokens:
            state = self.rules[prompt].step(state, token)
        return state


@dataclass(frozen=True, eq=False)
class ForbiddenWords:
    """The rule that excludes forbidden words from a text, for any tokens that spell them."""

    tracker: KeywordTracker
    prompt: str
    ends: Array

    def start(self) -> tuple[int, Array]:
        return self.tracker.begin(self.prompt)

    def step(self, state: tuple[int, Array], token: int) -> tuple[int, Array]:
        return self.tracker.step_one(*state, token)

    def barred(self, state: tuple[int, Array], left: int, scores: torch.Tensor) -> Array:
        place, states = state
        bad = self.tracker.barred(place, states)
        bad = bad | self.tracker.leaves_open(place, states) if left == 1 else bad.copy()
        bad[self.ends] = not self.tracker.may_end(np.array(place), states)
        return bad


@dataclass(frozen=True, eq=False)
class Lookahead:
    """Weights a token that completes a forbidden word by the probability of a longer word.

    Such a token is allowed, since "fox" begins "foxes". But after it only a longer word is allowed, however unlikely. So its
    log-probability becomes that of the token **and** a continuation, for which the model is run one token further.

    Attributes:
        inputs: the arguments of upstream's loop: ``attention_mask`` (N, P) of the prompts, None if they are not padded; for an
            encoder-decoder also ``encoder_outputs``.
    """

    model: PreTrainedModel
    rules: Sequence[ForbiddenWords]
    inputs: Mapping[str, Any]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, states: dict[int, Any]) -> None:
        per_prompt = len(input_ids) // len(self.rules)
        rows: list[int] = []
        tokens: list[int] = []
        barred: list[Array] = []
        for i, state in states.items():
            rule, probabilities = self.rules[i // per_prompt], torch.softmax(scores[i].float(), dim=-1).cpu().numpy()
            open_after = rule.tracker.leaves_open(*state) & ~rule.tracker.barred(*state) & (probabilities > LIKELY)
            for token in np.flatnonzero(open_after).tolist():
                after = rule.step(state, token)
                bad = rule.tracker.barred(*after) | rule.tracker.leaves_open(*after)
                bad[rule.ends] = True
                rows.append(i)
                tokens.append(token)
                barred.append(bad)
        if rows:
            bars = torch.from_numpy(np.stack(barred)).to(scores.device)
            longer = torch.cat([input_ids[rows], torch.tensor(tokens, device=input_ids.device)[:, None]], dim=1)
            logits = self.next_logits(longer, rows)
            continuing = torch.softmax(logits.float(), dim=-1).to(input_ids.device).masked_fill(bars, 0.0)
            scores[rows, tokens] += torch.log(continuing.sum(dim=-1).clamp_min(1e-30)).to(scores.dtype)

    def next_logits(self, ids: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        """Returns the logits (n, V) after the tokens (n, T) of some rows of the batch."""
        if is_encoder_decoder(self.model):
            return next_logits(self.model, ids, rows, self.inputs)
        mask, of_prompts = torch.ones_like(ids), self.inputs.get("attention_mask")
        if of_prompts is not None:
            mask[:, : of_prompts.shape[1]] = of_prompts[list(rows)]
        logits: torch.Tensor = self.model(**position_inputs(self.model, ids, mask), use_cache=False).logits[:, -1]
        return logits
