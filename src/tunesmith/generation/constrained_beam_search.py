"""Constrained beam search over banks: puts required words into the text; upstream removed its own with version 5.

Hypotheses that need the same number of further tokens for their missing words form a bank, and compete only with one another:
else those that generate a word would always lose against those that postpone it. The beams are shared among the banks (dynamic
beam allocation: Post and Vilar 2018; of grid beam search: Hokamp and Liu 2017). A group of words is fulfilled by any of them
(disjunctive sets: Hu et al. 2019). Words are tracked as text (``generation.keyword_tracker``), so any tokens may spell them,
several words may share their tokens, and a word that is broken off loses its progress.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers.generation.utils import GenerateBeamDecoderOnlyOutput

from tunesmith.data.arrays import Array
from tunesmith.errors import GenerationError
from tunesmith.generation.keyword_tracker import KeywordTracker
from tunesmith.generation.words import NEVER

if TYPE_CHECKING:
    from transformers import GenerationConfig, LogitsProcessorList, PreTrainedModel, StoppingCriteriaList

PRICE_OF_NEED = 4.0
"""Expected cost of a token that is still needed, in nats: it ranks the banks if there are more of them than beams."""
PRICE_OF_ESCAPE = 6.0
"""Expected cost of extending a forbidden word that was just generated to a longer word, in nats."""
MOST_FORCED = 32
"""Tokens towards missing words that are considered for one hypothesis, the likeliest first."""
LOWEST = -1e9
STOPS_KNOWN = {"MaxLengthCriteria", "EosTokenCriteria"}


@dataclass(eq=False)
class Finished:
    """The best ended texts of one prompt so far.

    Attributes:
        scores: descending: the sum of log-probabilities, divided by the length to the power of ``length_penalty``.
        tokens: the generated tokens of each.
    """

    most: int
    scores: list[float] = field(default_factory=list)
    tokens: list[list[int]] = field(default_factory=list)

    def add(self, score: float, tokens: list[int]) -> None:
        place = next((i for i, other in enumerate(self.scores) if score > other), len(self.scores))
        self.scores.insert(place, score)
        self.tokens.insert(place, tokens)
        del self.scores[self.most :], self.tokens[self.most :]


@dataclass(eq=False)
class Beams:
    """The running hypotheses of one prompt: (n,) scores and places, (n, K) states, their generated tokens."""

    tracker: KeywordTracker
    scores: Array
    places: Array
    states: Array
    tokens: list[list[int]]
    finished: Finished
    spare: Finished
    is_done: bool = False


@dataclass(frozen=True)
class Candidates:
    """Continuations of one prompt's hypotheses by one token: (C,) arrays, by descending rank.

    Attributes:
        parents: index of the hypothesis that is continued.
        ranks: scores by which candidates compete; lower than ``scores`` if a forbidden word has yet to be extended.
        ends: whether the token ends the text.
        needs: tokens still needed for missing words.
        late: whether fewer tokens than needed are left.
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

    def tokens_with(self, beams: Beams, i: int) -> list[int]:
        """Returns the generated tokens of candidate ``i``."""
        return [*beams.tokens[self.parents[i]], int(self.tokens[i])]


@dataclass(frozen=True)
class Search:
    """The settings of one search: upstream's, and the ids that end a text."""

    n_beams: int
    n_return: int
    max_new: int
    length_penalty: float
    early_stopping: bool | str
    ends: Array


def constrained_beam_search(
    model: PreTrainedModel,
    input_ids: torch.Tensor,
    logits_processor: LogitsProcessorList,
    stopping_criteria: StoppingCriteriaList,
    generation_config: GenerationConfig,
    trackers: Sequence[KeywordTracker],
    prompts: Sequence[str],
    **model_kwargs: Any,
) -> torch.Tensor | GenerateBeamDecoderOnlyOutput:
    """Generates sequences (N x num_return_sequences, T), prompts included: for ``model.generate(custom_generate=...)``.

    The best of each prompt come first; if fewer texts than requested fulfil the words, others follow. With
    ``return_dict_in_generate`` it returns upstream's object with ``sequences`` and ``sequences_scores``.

    Args:
        input_ids: (N x num_beams, P) prompts, each repeated; of an encoder-decoder what its decoder begins with.
        logits_processor: upstream's processors (bias, repetition penalty, bad words), which are applied.
        trackers, prompts: for each of the N prompts its words, and its text.
    """
    settings = search_settings(generation_config, stopping_criteria, input_ids.shape[1])
    all_beams = [begin(tracker, prompt, settings) for tracker, prompt in zip(trackers, prompts, strict=True)]
    outputs = model._prefill(input_ids, generation_config, model_kwargs)
    running = input_ids
    for n_generated in range(settings.max_new):
        model_kwargs = model._update_model_kwargs_for_generation(outputs, model_kwargs, model.config.is_encoder_decoder)
        log_probs = torch.log_softmax(outputs.logits[:, -1, :].float(), dim=-1).to(input_ids.device)
        log_probs = logits_processor(running, log_probs)
        parents, tokens = advance(all_beams, log_probs, settings, settings.max_new - n_generated)
        if all(beams.is_done for beams in all_beams):
            break
        index = torch.as_tensor(parents, device=input_ids.device)
        running = torch.cat([running[index], torch.as_tensor(tokens, device=input_ids.device)[:, None]], dim=1)
        reorder_cache(model, model_kwargs, index)
        length = 1 if model_kwargs["use_cache"] else None
        inputs = model.prepare_inputs_for_generation(running, next_sequence_length=length, **model_kwargs)
        outputs = model(**inputs, return_dict=True)
    padding = generation_config._pad_token_tensor
    if padding is None:
        padding = generation_config._eos_token_tensor
    sequences, scores = assemble(all_beams, input_ids, settings, 0 if padding is None else int(padding.reshape(-1)[0]))
    if generation_config.return_dict_in_generate:
        return GenerateBeamDecoderOnlyOutput(sequences=sequences, sequences_scores=scores)
    return sequences


def search_settings(config: GenerationConfig, stopping_criteria: StoppingCriteriaList, n_prompt: int) -> Search:
    """Reads the settings that upstream prepared. Raises GenerationError for unknown stopping criteria."""
    unknown = [type(stop).__name__ for stop in stopping_criteria if type(stop).__name__ not in STOPS_KNOWN]
    if unknown:
        message = f"{unknown[0]} cannot stop a search for words: a text ends by its end token or its length."
        raise GenerationError.one("stopping_criteria", message, "Leave it out, or leave must_include and any_of out.")
    max_new, ends = config.max_length - n_prompt, prepared_end_ids(config)
    return Search(config.num_beams, config.num_return_sequences, max_new, config.length_penalty, config.early_stopping, ends)


def prepared_end_ids(config: GenerationConfig) -> Array:
    """Returns the ids that end a text, as upstream prepared them."""
    ends = config._eos_token_tensor
    ids: Array = np.zeros(0, dtype=np.int64) if ends is None else ends.reshape(-1).cpu().numpy()
    return ids


def begin(tracker: KeywordTracker, prompt: str, settings: Search) -> Beams:
    """Makes the initial beams: the same hypothesis, whose copies after the first have the lowest score."""
    place, states = tracker.begin(prompt)
    n = settings.n_beams
    scores = np.full(n, LOWEST)
    scores[0] = 0.0
    all_states = np.repeat(states[None], n, axis=0)
    tokens: list[list[int]] = [[] for _ in range(n)]
    return Beams(tracker, scores, np.full(n, place), all_states, tokens, finished=Finished(n), spare=Finished(n))


def advance(all_beams: list[Beams], log_probs: torch.Tensor, settings: Search, left: int) -> tuple[Array, Array]:
    """Continues every prompt's hypotheses by one token.

    Args:
        log_probs: (N x n, V) of the next token.
        left: tokens that may still be generated, this one included.

    Returns:
        For each new hypothesis the row that it continues and its token: (N x n,) each.
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
            candidates = make_candidates(beams, on_cpu[rows], top_tokens[rows], settings, left)
            chosen = select_hypotheses(beams, candidates, settings, left)
            parents.append(candidates.parents[chosen] + i * n)
            tokens.append(candidates.tokens[chosen])
        if beams.is_done:
            parents[i:], tokens[i:] = [np.arange(i * n, (i + 1) * n)], [np.zeros(n, dtype=np.int64)]
    return np.concatenate(parents), np.concatenate(tokens)


def bar(beams: Beams, log_probs: torch.Tensor, settings: Search, left: int) -> None:
    """Bars tokens in place: those that may not follow, and the end while words are missing or a forbidden one is last."""
    tracker = beams.tracker
    needs = tracker.need(beams.places, beams.states)
    may_end = tracker.may_end(beams.places, beams.states) & (needs == 0)
    for row in range(len(beams.scores)):
        place, states = int(beams.places[row]), beams.states[row]
        bad = tracker.barred(place, states)
        if left == 1:
            bad = bad | tracker.leaves_open(place, states)
        if len(settings.ends):
            bad = bad.copy()
            bad[settings.ends] = not may_end[row]
        log_probs[row].masked_fill_(torch.from_numpy(bad).to(log_probs.device), -torch.inf)


def make_candidates(beams: Beams, log_probs: Array, top_tokens: Array, settings: Search, left: int) -> Candidates:
    """Continues every hypothesis by its likeliest tokens, and by tokens towards missing words."""
    tracker = beams.tracker
    alive = np.flatnonzero(beams.scores > LOWEST / 2)
    per_row = [next_tokens(beams, row, log_probs[row], top_tokens[row]) for row in alive.tolist()]
    parents, tokens = np.repeat(alive, [len(row) for row in per_row]), np.concatenate(per_row)
    scores = beams.scores[parents] + log_probs[parents, tokens]
    places, states = beams.places[parents], beams.states[parents]
    for place in set(beams.places[alive].tolist()):
        here = np.flatnonzero(beams.places[parents] == place)
        places[here], states[here] = tracker.step(place, states[here], tokens[here])
    may_end = tracker.may_end(places, states)
    ranks = scores - PRICE_OF_ESCAPE * ~may_end
    order = np.flatnonzero(np.isfinite(scores))
    order = order[np.argsort(-ranks[order], kind="stable")]
    return Candidates(
        parents=parents[order],
        tokens=tokens[order],
        scores=scores[order],
        ranks=ranks[order],
        ends=np.isin(tokens, settings.ends)[order],
        needs=tracker.need(places, states)[order],
        late=(tracker.need(places, states, least=True) + ~may_end > left - 1)[order],
        places=places[order],
        states=states[order],
    )


def next_tokens(beams: Beams, row: int, log_probs: Array, top_tokens: Array) -> Array:
    """Returns the tokens that continue one hypothesis: the likeliest, and others towards missing words."""
    towards = beams.tracker.towards(int(beams.places[row]), beams.states[row])
    forced = towards[~(towards[:, None] == top_tokens).any(axis=1)]
    if len(forced) > MOST_FORCED:
        forced = forced[np.argsort(-log_probs[forced], kind="stable")[:MOST_FORCED]]
    return np.concatenate([top_tokens, forced])


def select_hypotheses(beams: Beams, candidates: Candidates, settings: Search, left: int) -> Array:
    """Stores ended texts and makes the best others the new hypotheses; returns their positions in ``candidates``: (n,).

    If there are fewer, they are repeated with the lowest score; if there are none, the search is done.
    """
    n, n_tokens = settings.n_beams, len(beams.tokens[0]) + 1
    divisor = n_tokens**settings.length_penalty
    whole = np.flatnonzero(candidates.needs == 0)[:n]
    for i in whole[candidates.ends[whole] | (left == 1)].tolist():
        beams.finished.add(candidates.scores[i] / divisor, candidates.tokens_with(beams, i))
    running = np.flatnonzero(~candidates.ends)
    ranks, needs, late = candidates.ranks[running], candidates.needs[running], candidates.late[running]
    chosen: Array = running[allocate_beams(ranks, needs, late, n)]
    if left == 1 or not len(chosen):
        finish(beams, candidates, chosen)
        return chosen
    filled = np.resize(chosen, n)
    beams.tokens = [candidates.tokens_with(beams, i) for i in filled.tolist()]
    beams.scores = np.where(np.arange(n) < len(chosen), candidates.scores[filled], LOWEST)
    beams.places, beams.states = candidates.places[filled], candidates.states[filled]
    beams.is_done = cannot_improve(beams, settings, n_tokens)
    return filled


def allocate_beams(ranks: Array, needs: Array, late: Array, n: int) -> Array:
    """Selects candidates for n beams, the best one of every bank, then the second of every bank, and so on: (at most n,).

    Args:
        ranks: (C,) descending.
        needs: (C,) the bank of each. If there are more banks than beams, those come first whose best score is highest after
            ``PRICE_OF_NEED`` for every token that is still needed.
        late: (C,) candidates whose words may need more tokens than are left: they come after all others.
    """
    banks, first, which = np.unique(needs + late * 2 * NEVER, return_index=True, return_inverse=True)
    bank_scores = ranks[first] - PRICE_OF_NEED * needs[first]
    by_bank = np.argsort(which, kind="stable")
    begins = np.searchsorted(which[by_bank], np.arange(len(banks)))
    turns = np.empty(len(ranks), dtype=np.int64)
    turns[by_bank] = np.arange(len(ranks)) - begins[which[by_bank]]
    return np.asarray(np.lexsort((-bank_scores[which], turns, late))[:n])


def finish(beams: Beams, candidates: Candidates, chosen: Array) -> None:
    """Ends the search; its unfulfilled hypotheses are kept as spare texts."""
    beams.is_done = True
    for i in chosen.tolist():
        if candidates.needs[i]:
            score = float(candidates.scores[i] - PRICE_OF_NEED * candidates.needs[i])
            beams.spare.add(score, candidates.tokens_with(beams, i))
    if not len(chosen):
        for score, tokens in zip(beams.scores.tolist(), beams.tokens, strict=True):
            if score > LOWEST / 2:
                beams.spare.add(score, tokens)


def cannot_improve(beams: Beams, settings: Search, n_tokens: int) -> bool:
    """Applies upstream's rule: True if no running hypothesis can exceed the worst of the finished ones."""
    if len(beams.finished.scores) < beams.finished.most:
        return False
    if settings.early_stopping is True:
        return True
    never = settings.early_stopping == "never" and settings.length_penalty > 0
    length = settings.max_new if never else n_tokens
    return bool(beams.scores.max() / length**settings.length_penalty <= beams.finished.scores[-1])


def reorder_cache(model: PreTrainedModel, model_kwargs: dict[str, Any], index: torch.Tensor) -> None:
    """Gives every new hypothesis the cached keys and values of the one that it continues."""
    cache = model_kwargs.get("past_key_values")
    if cache is None:
        return
    if hasattr(model, "_reorder_cache"):
        model_kwargs["past_key_values"] = model._reorder_cache(cache, index)
    else:
        cache.reorder_cache(index)


def assemble(all_beams: list[Beams], input_ids: torch.Tensor, settings: Search, pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the sequences (N x num_return_sequences, T) with prompts, and their scores; minus infinity for unfulfilled ones."""
    rows: list[list[int]] = []
    scores: list[float] = []
    for beams in all_beams:
        texts = [*beams.finished.tokens, *beams.spare.tokens][: settings.n_return]
        rows += [*texts, *[[]] * (settings.n_return - len(texts))]
        good = beams.finished.scores[: settings.n_return]
        scores += [*good, *[-math.inf] * (settings.n_return - len(good))]
    width = max(map(len, rows))
    filled = torch.tensor([[*tokens, *[pad_id] * (width - len(tokens))] for tokens in rows], dtype=torch.long)
    prompts = input_ids.view(len(all_beams), settings.n_beams, -1)[:, :1].expand(-1, settings.n_return, -1).flatten(0, 1)
    return torch.cat([prompts, filled.to(prompts.device)], dim=1), torch.tensor(scores, device=prompts.device)
