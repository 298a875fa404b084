"""Keyword arguments of ``model.generate`` for decoding settings and constraints, in any of its decoding modes.

The constraints are one callable for ``custom_generate``. It also works in a ``pipeline("text-generation")`` and in programs that
wrap one, such as LangChain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import LogitsProcessorList
from transformers.generation.utils import GENERATION_MODES_MAPPING

from tunesmith.data.arrays import Array
from tunesmith.data.cells import plural
from tunesmith.errors import GenerationError
from tunesmith.generation.constrained_beam_search import constrained_beam_search, prepared_end_ids
from tunesmith.generation.constraints import Constraints
from tunesmith.generation.grammar import N_CANDIDATES, make_grammar
from tunesmith.generation.keyword_tracker import make_tracker, usual_sequences
from tunesmith.generation.labels import make_choices
from tunesmith.generation.processors import ForbiddenWords, Lookahead, RuleProcessor, TokenRule
from tunesmith.generation.token_text import decoded
from tunesmith.models.language.seq2seq import is_encoder_decoder

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase, StoppingCriteriaList
    from transformers.generation.streamers import BaseStreamer

BEAMS_FOR_WORDS = 4
"""Default number of beams for required words."""


@dataclass(frozen=True)
class Decoding:
    """Decoding settings, with upstream's names, meanings and defaults.

    Attributes:
        num_beams: None for 1, and for ``BEAMS_FOR_WORDS`` with required words.
        seed: for sampling (``do_sample``); the global generators are not changed.
    """

    max_new_tokens: int = 64
    min_new_tokens: int = 0
    num_beams: int | None = None
    do_sample: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 50
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    num_return_sequences: int = 1
    length_penalty: float = 1.0
    early_stopping: bool | str = False
    seed: int = 0

    def __post_init__(self) -> None:
        is_valid = {
            "max_new_tokens": self.max_new_tokens >= 1, "num_beams": self.num_beams is None or self.num_beams >= 1,
            "temperature": self.temperature > 0, "top_p": 0 < self.top_p <= 1, "top_k": self.top_k >= 0,
            "repetition_penalty": self.repetition_penalty > 0, "num_return_sequences": self.num_return_sequences >= 1,
            "min_new_tokens": 0 <= self.min_new_tokens <= self.max_new_tokens,
            "early_stopping": self.early_stopping in (True, False, "never"),
        }  # fmt: skip
        wrong = next((name for name, valid in is_valid.items() if not valid), None)
        if wrong is not None:
            raise GenerationError.one(wrong, f"{getattr(self, wrong)!r} is out of its range.")

    def beams(self, constraints: Constraints | None) -> int:
        if self.num_beams is not None:
            return self.num_beams
        return max(BEAMS_FOR_WORDS, self.num_return_sequences) if constraints is not None and constraints.groups else 1

    def arguments(self, constraints: Constraints | None) -> dict[str, Any]:
        """Returns keyword arguments of ``model.generate``, all explicit, so that none of the model's own defaults applies."""
        beams = self.beams(constraints)
        arguments: dict[str, Any] = {
            "max_new_tokens": self.max_new_tokens, "min_new_tokens": self.min_new_tokens or None, "num_beams": beams,
            "do_sample": self.do_sample, "repetition_penalty": self.repetition_penalty,
            "no_repeat_ngram_size": self.no_repeat_ngram_size, "num_return_sequences": self.num_return_sequences,
            "use_cache": True,
        }  # fmt: skip
        if self.do_sample:
            arguments |= {"temperature": self.temperature, "top_p": self.top_p, "top_k": self.top_k}
        if beams > 1:
            arguments |= {"length_penalty": self.length_penalty, "early_stopping": self.early_stopping}
        return arguments


def require_possible(decoding: Decoding, constraints: Constraints | None) -> None:
    """Raises GenerationError if the decoding settings contradict the constraints or each other."""
    beams = decoding.beams(constraints)
    if constraints is not None and constraints.groups and decoding.do_sample:
        message = "required words need beam search, and cannot be sampled."
        raise GenerationError.one("do_sample", message, "Leave it out, or leave must_include and any_of out.")
    if not decoding.do_sample and decoding.num_return_sequences > beams:
        texts = plural(decoding.num_return_sequences, "text", "is", "are")
        message = f"{texts} requested, and without sampling {plural(beams, 'beam', 'gives', 'give')} {beams}."
        raise GenerationError.one("num_return_sequences", message, "Raise num_beams, or set do_sample.")
    if decoding.do_sample and 1 < beams < decoding.num_return_sequences:
        message = (
            f"{plural(decoding.num_return_sequences, 'text', 'is', 'are')} requested, and there are {plural(beams, 'beam')}."
        )
        raise GenerationError.one("num_return_sequences", message, "Raise num_beams.")


def generation_arguments(
    tokenizer: PreTrainedTokenizerBase, constraints: Constraints | None = None, decoding: Decoding | None = None
) -> dict[str, Any]:
    """Returns the keyword arguments of ``model.generate(...)``, or a text-generation pipeline, for these constraints.

    ``decoding.seed`` is not among them: seed torch yourself.

    Raises:
        GenerationError: the decoding settings contradict the constraints.
    """
    decoding = decoding or Decoding()
    require_possible(decoding, constraints)
    arguments = decoding.arguments(constraints)
    if not constraints:
        return arguments
    arguments["custom_generate"] = constrained_generate(tokenizer, constraints)
    return arguments | sequence_bias(tokenizer, constraints)


def sequence_bias(tokenizer: PreTrainedTokenizerBase, constraints: Constraints) -> dict[str, Any]:
    """Returns upstream's ``sequence_bias`` for every spelling of the words by the tokenizer."""
    biases: dict[tuple[int, ...], float] = {}
    for word, bias in constraints.bias.items():
        sequences = usual_sequences(tokenizer, word)
        if not sequences:
            raise GenerationError.one(f"bias {word!r}", "no tokens of this tokenizer spell it.", "Choose another word.")
        biases |= dict.fromkeys(sequences, float(bias))
    return {"sequence_bias": biases} if biases else {}


def constrained_generate(
    tokenizer: PreTrainedTokenizerBase, constraints: Constraints | Sequence[Constraints], streamer: BaseStreamer | None = None
) -> Callable[..., Any]:
    """Returns a callable for ``model.generate(custom_generate=...)`` that enforces the constraints.

    Args:
        constraints: for all prompts, or one for each; then all with required words, or none.
        streamer: upstream passes none to a custom callable.
    """

    def decode(
        model: PreTrainedModel,
        input_ids: torch.Tensor,
        logits_processor: LogitsProcessorList,
        stopping_criteria: StoppingCriteriaList,
        generation_config: GenerationConfig,
        **model_kwargs: Any,
    ) -> Any:
        repeats = max(generation_config.num_beams, generation_config.num_return_sequences)
        prompts = prompt_texts(model, tokenizer, input_ids[::repeats], model_kwargs.get("attention_mask"), repeats)
        per_prompt = [constraints] * len(prompts) if isinstance(constraints, Constraints) else list(constraints)
        upstream = (stopping_criteria, generation_config)
        has_beams = generation_config.num_beams > 1 and not generation_config.do_sample
        if any(each.groups or (each.forbid and has_beams) for each in per_prompt):
            trackers = [make_tracker(tokenizer, each, vocabulary_size(model)) for each in per_prompt]
            search = {"trackers": trackers, "prompts": prompts, **model_kwargs}
            return constrained_beam_search(model, input_ids, logits_processor, *upstream, **search)
        rules = make_rules(tokenizer, per_prompt, prompts, vocabulary_size(model), generation_config)
        ends = frozenset(prepared_end_ids(generation_config).tolist())
        lookahead = make_lookahead(model, rules, generation_config, model_kwargs)
        ours = RuleProcessor(rules, input_ids.shape[1], generation_config.max_length, ends, lookahead)
        loop = getattr(type(model), GENERATION_MODES_MAPPING[generation_config.get_generation_mode()])
        streaming = {} if streamer is None else {"streamer": streamer}
        processors = LogitsProcessorList([ours, *logits_processor])
        return loop(model, input_ids, processors, *upstream, **streaming, **model_kwargs)

    return decode


def prompt_texts(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, ids: torch.Tensor, mask: torch.Tensor | None, repeats: int
) -> list[str]:
    """Returns the texts that the generated ones continue (N): the prompts (N, T), and nothing in a decoder with an encoder."""
    if is_encoder_decoder(model):
        return [""] * len(ids)
    is_text = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask[::repeats].bool()
    return decoded(tokenizer, [row[kept].tolist() for row, kept in zip(ids, is_text, strict=True)])


def vocabulary_size(model: PreTrainedModel) -> int:
    """Returns the width of the model's logits."""
    return int(model.config.get_text_config().vocab_size)


def make_rules(
    tokenizer: PreTrainedTokenizerBase,
    constraints: Sequence[Constraints],
    prompts: Sequence[str],
    n_vocabulary: int,
    config: GenerationConfig,
) -> list[TokenRule]:
    """Makes the rule of each prompt, whose constraints have no required words."""
    ends: Array = prepared_end_ids(config)
    n_good = 1 if config.num_beams == 1 and not config.do_sample else N_CANDIDATES
    rules: list[TokenRule] = []
    for each, prompt in zip(constraints, prompts, strict=True):
        if each.choices:
            rules.append(make_choices(tokenizer, each.choices, n_vocabulary, ends))
        elif each.form is not None:
            rules.append(make_grammar(tokenizer, each, n_vocabulary, ends, n_good))
        else:
            rules.append(ForbiddenWords(make_tracker(tokenizer, each, n_vocabulary), prompt, ends))
    return rules


def make_lookahead(
    model: PreTrainedModel, rules: Sequence[TokenRule], config: GenerationConfig, model_kwargs: dict[str, Any]
) -> Lookahead | None:
    """Makes the lookahead if all rules forbid words and there are no beams, else None."""
    word_rules = [rule for rule in rules if isinstance(rule, ForbiddenWords)]
    if config.num_beams > 1 or len(word_rules) < len(rules) or not any(rule.tracker.words for rule in word_rules):
        return None
    return Lookahead(model, word_rules, model_kwargs)
