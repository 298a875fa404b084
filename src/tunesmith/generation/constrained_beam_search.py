"""Beam search that puts given words into the text, over banks; upstream's own left transformers with version 5.

Hypotheses that need the same number of further tokens for their missing words form a bank, and compete only with one another:
else those that pay for a word would always lose against those that put it off. The beams are shared among the banks (dynamic
beam allocation: Post and Vilar 2018; of grid beam search: Hokamp and Liu 2017). A group of words is fulfilled by any of them
(disjunctive sets: Hu et al. 2019). Words are watched as text (``generation.watch``), so any tokens may spell them, several words
may share their tokens, and a word that is broken off costs its progress.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers.generation.utils import GenerateBeamDecoderOnlyOutput

from tunesmith.data.arrays import Array
from tunesmith.errors import GenerationError
from tunesmith.generation.keyword_tracker import Watch
from tunesmith.generation.words import NEVER

PRICE_OF_NEED = 4.0
"""What a token that is still needed is expected to cost, in nats: which banks come first if there are more than beams."""
PRICE_OF_ESCAPE = 6.0
"""What it is expected to cost to make a longer word of a forbidden one that has just been written, in nats."""
MOST_FORCED = 32
"""Tokens towards missing words that are looked at for one hypothesis, the likeliest first."""
LOWEST = -1e9
STOPS_KNOWN = {"MaxLengthCriteria", "EosTokenCriteria"}


@dataclass(eq=False)
class Finished:
    """The best ended texts of one prompt so far.

    Attributes:
        scores: by falling score: the sum of log-probabilities, divided by the length to the power of ``length_penalty``.
        tokens: of each the written tokens.
    """

    most: int
    scores: list[float] = field(default_factory=list)
    tokens: list[list[int]] = field(default_factory=list)

    def add(self, score: float, tokens: list[int]) -> None:
        place = next((i for i, other in enumerate(self.scores) if score > other), len(self.scores))
        self.scores.insert(place, score)
        self.tokens.insert(place, tokens)
        del self.scores[self.most :], self.tokens[self.most :]

    @property
    def is_full(self) -> bool:
        return len(self.scores) == self.most


@dataclass(eq=False)
class Beams:
    """The running hypotheses of one prompt: (n,) scores and places, (n, K) states, their written tokens."""

    watch: Watch
    scores: Array
    places: Array
    states: Array
    tokens: list[list[int]]
    finished: Finished
    spare: Finished
    is_done: bool = False


@dataclass(frozen=True)
class Candidates:
    """Continuations by one token, those of one prompt: (C,) arrays, by falling rank.

    Attributes:
        parents: which hypothesis is continued.
        ranks: the scores by which candidates compete; lower than ``scores`` where a forbidden word has yet to be made longer.
        ends: whether the token ends the text.
        needs: tokens still needed for missing words.
        late: whether fewer are left.
    """

    parents: Array
    tokens: Array
    scores: Array
    ranks: Array
    ends: Array
    needs: Array
    late: Array
    places: Array
    states: Array


@dataclass(frozen=True)
class Search:
    """The settings of one search: upstream's, and the ids that end a text."""

    n_beams: int
    n_return: int
    max_new: int
    length_penalty: float
    early_stopping: bool | str
    ends: Array


def search_banks(
    model: Any, input_ids: torch.Tensor, logits_processor: Any, stopping_criteria: Any, generation_config: Any,
    watches: Sequence[Watch], prompts: Sequence[str], **model_kwargs: Any,
) -> Any:  # fmt: skip
    """The sequences (N x num_return_sequences, T) found, prompts included: for ``model.generate(custom_generate=...)``.

    The best of each prompt come first; where fewer texts than asked for fulfil the words, others follow. With
    ``return_dict_in_generate`` it is upstream's object with ``sequences`` and ``sequences_scores``.

    Args:
        input_ids: (N x num_beams, P) prompts, each repeated.
        logits_processor: what upstream prepared: bias, repetition penalty, forbidden tokens; they are respected.
        watches, prompts: of each of the N prompts the words, and its text.

    Raises:
        GenerationError: a stopping criterion other than the length and the end token.
    """
    settings = settings_of(generation_config, stopping_criteria, input_ids.shape[1])
    all_beams = [begin(watch, prompt, settings) for watch, prompt in zip(watches, prompts, strict=True)]
    outputs = model._prefill(input_ids, generation_config, model_kwargs)
    running = input_ids
    for written in range(settings.max_new):
        model_kwargs = model._update_model_kwargs_for_generation(outputs, model_kwargs, is_encoder_decoder=False)
        log_probs = torch.log_softmax(outputs.logits[:, -1, :].float(), dim=-1).to(input_ids.device)
        log_probs = logits_processor(running, log_probs)
        parents, tokens = advance(all_beams, log_probs, settings, settings.max_new - written)
        if all(beams.is_done for beams in all_beams):
            break
        index = torch.as_tensor(parents, device=input_ids.device)
        running = torch.cat([running[index], torch.as_tensor(tokens, device=input_ids.device)[:, None]], dim=1)
        reorder(model, model_kwargs, index)
        length = 1 if model_kwargs["use_cache"] else None
        outputs = model(
            **model.prepare_inputs_for_generation(running, next_sequence_length=length, **model_kwargs), return_dict=True
        )
    sequences, scores = assembled(all_beams, input_ids, settings, filler_of(generation_config))
    if generation_config.return_dict_in_generate:
        return GenerateBeamDecoderOnlyOutput(sequences=sequences, sequences_scores=scores)
    return sequences


def settings_of(config: Any, stopping_criteria: Any, n_prompt: int) -> Search:
    """The settings as upstream prepared them."""
    unknown = [type(stop).__name__ for stop in stopping_criteria if type(stop).__name__ not in STOPS_KNOWN]
    if unknown:
        message = f"{unknown[0]} cannot stop a search for words: a text ends by its end token or its length."
        raise GenerationError.one("stopping_criteria", message, "Leave it out, or leave must_include and any_of out.")
    ends = config._eos_token_tensor
    ids = np.zeros(0, dtype=np.int64) if ends is None else ends.reshape(-1).cpu().numpy()
    return Search(
        config.num_beams, config.num_return_sequences, config.max_length - n_prompt, config.length_penalty,
        config.early_stopping, ids,
    )  # fmt: skip


def filler_of(config: Any) -> int:
    """What stands behind a text that is shorter than others."""
    token = config._pad_token_tensor if config._pad_token_tensor is not None else config._eos_token_tensor
    return 0 if token is None else int(token.reshape(-1)[0])


def begin(watch: Watch, prompt: str, settings: Search) -> Beams:
    """The beams before anything is written: the same hypothesis, of which all but the first can win nothing."""
    place, states = watch.begin(prompt)
    n = settings.n_beams
    scores = np.full(n, LOWEST)
    scores[0] = 0.0
    places, repeated = np.full(n, place), np.repeat(states[None], n, axis=0)
    return Beams(watch, scores, places, repeated, [[] for _ in range(n)], Finished(n), Finished(n))


def advance(all_beams: list[Beams], log_probs: torch.Tensor, settings: Search, left: int) -> tuple[Array, Array]:
    """Continue every prompt's hypotheses by one token.

    Args:
        log_probs: (N x n, V) of the next token.
        left: tokens that may still be written, this one included.

    Returns:
        Of each new hypothesis the row it continues and its token: (N x n,) each.
    """
    n = settings.n_beams
    for i, beams in enumerate(all_beams):
        if not beams.is_done:
            bar(beams, log_probs[i * n : (i + 1) * n], settings, left)
    most = min(n + len(settings.ends), log_probs.shape[1])
    top_tokens = torch.topk(log_probs, most, dim=1).indices.cpu().numpy()
    on_cpu = log_probs.cpu().numpy()
    parents, tokens = [], []
    for i, beams in enumerate(all_beams):
        rows = slice(i * n, (i + 1) * n)
        if not beams.is_done:
            found = candidates_of(beams, on_cpu[rows], top_tokens[rows], settings, left)
            chosen = keep(beams, found, settings, left)
            parents.append(found.parents[chosen] + i * n)
            tokens.append(found.tokens[chosen])
        if beams.is_done:
            parents[i:], tokens[i:] = [np.arange(i * n, (i + 1) * n)], [np.zeros(n, dtype=np.int64)]
    return np.concatenate(parents), np.concatenate(tokens)


def bar(beams: Beams, log_probs: torch.Tensor, settings: Search, left: int) -> None:
    """Take away, in place, the tokens that may not follow, and the end where words are missing or forbidden ones stand there."""
    watch = beams.watch
    needs = watch.need(beams.places, beams.states)
    may_end = watch.may_end(beams.places, beams.states) & (needs == 0)
    for row in range(len(beams.scores)):
        place, states = int(beams.places[row]), beams.states[row]
        bad = watch.barred(place, states)
        if left == 1:
            bad = bad | watch.leaves_open(place, states)
        if len(settings.ends):
            bad = bad.copy()
            bad[settings.ends] = not may_end[row]
        log_probs[row].masked_fill_(torch.from_numpy(bad).to(log_probs.device), -torch.inf)


def candidates_of(beams: Beams, log_probs: Array, top_tokens: Array, settings: Search, left: int) -> Candidates:
    """The likeliest tokens of every hypothesis, and those that bring missing words nearer."""
    alive = np.flatnonzero(beams.scores > LOWEST / 2)
    per_row = [tokens_of(beams, row, log_probs[row], top_tokens[row]) for row in alive.tolist()]
    parents, tokens = np.repeat(alive, [len(row) for row in per_row]), np.concatenate(per_row)
    scores = beams.scores[parents] + log_probs[parents, tokens]
    places, states = beams.places[parents], beams.states[parents]
    for place in set(beams.places[alive].tolist()):
        there = np.flatnonzero(beams.places[parents] == place)
        places[there], states[there] = beams.watch.step(place, states[there], tokens[there])
    ends = np.isin(tokens, settings.ends)
    needs, may_end = beams.watch.need(places, states), beams.watch.may_end(places, states)
    ranks = scores - PRICE_OF_ESCAPE * ~may_end
    late = beams.watch.need(places, states, least=True) + ~may_end > left - 1
    order = np.flatnonzero(np.isfinite(scores))
    order = order[np.argsort(-ranks[order], kind="stable")]
    return Candidates(*(values[order] for values in (parents, tokens, scores, ranks, ends, needs, late, places, states)))


def tokens_of(beams: Beams, row: int, log_probs: Array, top_tokens: Array) -> Array:
    """The tokens by which one hypothesis is continued: the likeliest, and others towards missing words."""
    towards = beams.watch.towards(int(beams.places[row]), beams.states[row])
    forced = towards[~(towards[:, None] == top_tokens).any(axis=1)]
    if len(forced) > MOST_FORCED:
        forced = forced[np.argsort(-log_probs[forced], kind="stable")[:MOST_FORCED]]
    return np.concatenate([top_tokens, forced])


def keep(beams: Beams, found: Candidates, settings: Search, left: int) -> Array:
    """Put ended texts aside, make the best others the new hypotheses, and say which those are: (n,) positions in ``found``.

    Where there are fewer, they are repeated as hypotheses that can win nothing; where there are none, the search is done.
    """
    n, written = settings.n_beams, len(beams.tokens[0]) + 1
    divisor = written**settings.length_penalty
    whole = np.flatnonzero(found.needs == 0)[:n]
    for i in whole[found.ends[whole] | (left == 1)].tolist():
        beams.finished.add(found.scores[i] / divisor, continued(beams, found, i))
    running = np.flatnonzero(~found.ends)
    chosen: Array = running[share(found.ranks[running], found.needs[running], found.late[running], n)]
    if left == 1 or not len(chosen):
        leave(beams, found, chosen)
        return chosen
    filled = np.resize(chosen, n)
    beams.tokens = [continued(beams, found, i) for i in filled.tolist()]
    beams.scores = np.where(np.arange(n) < len(chosen), found.scores[filled], LOWEST)
    beams.places, beams.states = found.places[filled], found.states[filled]
    beams.is_done = cannot_improve(beams, settings, written)
    return filled


def continued(beams: Beams, found: Candidates, i: int) -> list[int]:
    return [*beams.tokens[found.parents[i]], int(found.tokens[i])]


def share(ranks: Array, needs: Array, late: Array, n: int) -> Array:
    """(at most n,) positions of the candidates kept: of every bank the best one, then of every bank the second, and so on.

    Args:
        ranks: (C,) falling.
        needs: (C,) the bank of each. Where there are more banks than beams, those come first whose best score is highest after
            ``PRICE_OF_NEED`` for every token it still needs.
        late: (C,) candidates to whose words the tokens left may not suffice: they come after all others.
    """
    banks, first, which = np.unique(needs + late * 2 * NEVER, return_index=True, return_inverse=True)
    worth = ranks[first] - PRICE_OF_NEED * needs[first]
    by_bank = np.argsort(which, kind="stable")
    begins = np.searchsorted(which[by_bank], np.arange(len(banks)))
    turns = np.empty(len(ranks), dtype=np.int64)
    turns[by_bank] = np.arange(len(ranks)) - begins[which[by_bank]]
    return np.asarray(np.lexsort((-worth[which], turns, late))[:n])


def leave(beams: Beams, found: Candidates, chosen: Array) -> None:
    """End the search; what it has in hand is kept for want of better."""
    beams.is_done = True
    for i in chosen.tolist():
        if found.needs[i]:
            beams.spare.add(float(found.scores[i] - PRICE_OF_NEED * found.needs[i]), continued(beams, found, i))
    if not len(chosen):
        for score, tokens in zip(beams.scores.tolist(), beams.tokens, strict=True):
            if score > LOWEST / 2:
                beams.spare.add(score, tokens)


def cannot_improve(beams: Beams, settings: Search, written: int) -> bool:
    """Upstream's rule: whether no running hypothesis can still beat the worst of the finished ones."""
    if not beams.finished.is_full:
        return False
    if settings.early_stopping is True:
        return True
    never = settings.early_stopping == "never" and settings.length_penalty > 0
    length = settings.max_new if never else written
    return bool(beams.scores.max() / length**settings.length_penalty <= beams.finished.scores[-1])


def reorder(model: Any, model_kwargs: dict[str, Any], index: torch.Tensor) -> None:
    """Give every new hypothesis the cached keys and values of the one it continues."""
    cache = model_kwargs.get("past_key_values")
    if cache is None:
        return
    if hasattr(model, "_reorder_cache"):
        model_kwargs["past_key_values"] = model._reorder_cache(cache, index)
    else:
        cache.reorder_cache(index)


def assembled(
    all_beams: list[Beams], input_ids: torch.Tensor, settings: Search, filler: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The sequences (N x num_return_sequences, T) with their prompts, and their scores; minus infinity for unfulfilled ones."""
    written: list[list[int]] = []
    scores: list[float] = []
    for beams in all_beams:
        found = [*beams.finished.tokens, *beams.spare.tokens][: settings.n_return]
        written += [*found, *[[]] * (settings.n_return - len(found))]
        good = beams.finished.scores[: settings.n_return]
        scores += [*good, *[-math.inf] * (settings.n_return - len(good))]
    width = max(map(len, written))
    filled = torch.tensor([[*tokens, *[filler] * (width - len(tokens))] for tokens in written], dtype=torch.long)
    n_prompts = len(all_beams)
    prompts = input_ids.view(n_prompts, settings.n_beams, -1)[:, :1].expand(-1, settings.n_return, -1).flatten(0, 1)
    return torch.cat([prompts, filled.to(prompts.device)], dim=1), torch.tensor(scores, device=prompts.device)
