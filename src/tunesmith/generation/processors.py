"""What may follow a text while it is written, for upstream's greedy, sampling and beam loops.

A rule says which tokens are barred in a state of the text. The processor keeps no memory of rows: it replays what a row has
written, with the states of the last length at hand, so that reordered beams cannot confuse it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from transformers import LogitsProcessor

from tunesmith.data.arrays import Array
from tunesmith.generation.keyword_tracker import Watch
from tunesmith.generation.labels import placed

LIKELY = 1e-3
"""Probability from which the beginning of a forbidden word is looked ahead of."""


class Rule(Protocol):
    """What may follow in the text of one prompt."""

    def start(self) -> Any:
        """The state before anything is written."""

    def step(self, state: Any, token: int) -> Any:
        """The state after one more token."""

    def barred(self, state: Any, left: int, scores: torch.Tensor) -> Array:
        """(V,) tokens that may not follow, the ends of the text among them.

        Args:
            left: tokens that may still be written, this one included.
            scores: (V,) what the model makes of them.
        """


@dataclass(eq=False)
class Steered(LogitsProcessor):  # type: ignore[misc]
    """Bars tokens by the rule of each row's prompt.

    Attributes:
        rules: one of each prompt; rows of one prompt follow each other.
        n_prompt: tokens of the (padded) prompts.
        max_length: of prompt and text together.
        ends: ids that end a text.
        lookahead: called with the rows' tokens and scores and the states of the rows still written, before tokens are barred.
    """

    rules: Sequence[Rule]
    n_prompt: int
    max_length: int
    ends: frozenset[int]
    lookahead: Callable[[torch.Tensor, torch.Tensor, dict[int, Any]], None] | None = None
    _kept: dict[tuple[int, tuple[int, ...]], Any] = field(default_factory=dict)

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        written = [tuple(row) for row in input_ids[:, self.n_prompt :].tolist()]
        per_prompt = len(written) // len(self.rules)
        keys = {i: (i // per_prompt, row) for i, row in enumerate(written) if not self.ends.intersection(row)}
        states = {i: self._state(*key) for i, key in keys.items()}
        self._kept = {keys[i]: state for i, state in states.items()}
        if self.lookahead is not None:
            self.lookahead(input_ids, scores, states)
        left = self.max_length - input_ids.shape[1]
        for i, state in states.items():
            bad = self.rules[i // per_prompt].barred(state, left, scores[i])
            if bad.all():
                bad[list(self.ends)] = False  # nothing leads on: the text ends here, unfulfilled
            if not bad.all():
                scores[i].masked_fill_(torch.from_numpy(bad).to(scores.device), -torch.inf)
        return scores

    def _state(self, prompt: int, written: tuple[int, ...]) -> Any:
        before = self._kept.get((prompt, written[:-1]))
        if written and before is not None:
            return self.rules[prompt].step(before, written[-1])
        state = self.rules[prompt].start()
        for token in written:
            state = self.rules[prompt].step(state, token)
        return state


@dataclass(frozen=True, eq=False)
class ForbiddenWords:
    """The rule that keeps forbidden words out of a text, whatever tokens would spell them."""

    watch: Watch
    prompt: str
    ends: Array

    def start(self) -> tuple[int, Array]:
        return self.watch.begin(self.prompt)

    def step(self, state: tuple[int, Array], token: int) -> tuple[int, Array]:
        return self.watch.step_one(*state, token)

    def barred(self, state: tuple[int, Array], left: int, scores: torch.Tensor) -> Array:
        place, states = state
        bad = self.watch.barred(place, states)
        bad = bad | self.watch.leaves_open(place, states) if left == 1 else bad.copy()
        bad[self.ends] = not self.watch.may_end(np.array(place), states)
        return bad


@dataclass(frozen=True, eq=False)
class LooksAhead:
    """Weighs a token that spells a forbidden word by how likely a longer word follows.

    Such a token may be written, since "fox" begins "foxes". But once it is there, only a longer word is allowed, however odd.
    So its log-probability is that of being written **and** going on, for which the model is run one token further.

    Attributes:
        attention_mask: (N, P) of the prompts; None where they are not padded.
    """

    model: Any
    rules: Sequence[ForbiddenWords]
    attention_mask: torch.Tensor | None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, states: dict[int, Any]) -> None:
        per_prompt = len(input_ids) // len(self.rules)
        found: list[tuple[int, int, Array]] = []
        for i, state in states.items():
            rule, probabilities = self.rules[i // per_prompt], torch.softmax(scores[i].float(), dim=-1).cpu().numpy()
            open_after = rule.watch.leaves_open(*state) & ~rule.watch.barred(*state) & (probabilities > LIKELY)
            for token in np.flatnonzero(open_after).tolist():
                after = rule.step(state, token)
                bad = rule.watch.barred(*after) | rule.watch.leaves_open(*after)
                bad[rule.ends] = True
                found.append((i, token, bad))
        if found:
            rows, tokens, barred = [i for i, _, _ in found], [token for _, token, _ in found], [bad for _, _, bad in found]
            going_on = self._next_probabilities(input_ids, rows, tokens).masked_fill(
                torch.from_numpy(np.stack(barred)).to(scores.device), 0.0
            )  # fmt: skip
            scores[rows, tokens] += torch.log(going_on.sum(dim=-1).clamp_min(1e-30)).to(scores.dtype)

    def _next_probabilities(self, input_ids: torch.Tensor, rows: list[int], tokens: list[int]) -> torch.Tensor:
        """(M, V) what the model writes after each of these rows and tokens."""
        longer = torch.cat([input_ids[rows], torch.tensor(tokens, device=input_ids.device)[:, None]], dim=1)
        mask = torch.ones_like(longer)
        if self.attention_mask is not None:
            mask[:, : self.attention_mask.shape[1]] = self.attention_mask[rows]
        logits = self.model(**placed(self.model, longer, mask), use_cache=False).logits[:, -1]
        return torch.softmax(logits.float(), dim=-1).to(input_ids.device)
