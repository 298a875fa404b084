"""Constraints as what ``model.generate`` takes: one callable for ``custom_generate`` that works in any of its decoding modes.

The same goes for a ``pipeline("text-generation")`` and for what wraps one, such as LangChain's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import LogitsProcessorList
from transformers.generation.utils import GENERATION_MODES_MAPPING

from tunesmith.data.arrays import Array
from tunesmith.errors import GenerationError
from tunesmith.generation.constrained_beam_search import search_banks
from tunesmith.generation.constraints import Constraints
from tunesmith.generation.grammar import LOOKED_AT, grammar_of
from tunesmith.generation.keyword_tracker import usual_sequences, watch_of
from tunesmith.generation.labels import choices_of
from tunesmith.generation.processors import ForbiddenWords, LooksAhead, Rule, Steered
from tunesmith.generation.token_text import decoded

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BEAMS_FOR_WORDS = 4
"""Beams of a search for words where no number was asked for."""


@dataclass(frozen=True)
class Decoding:
    """How texts are decoded: upstream's names, meanings and defaults.

    Attributes:
        num_beams: 1 when None, and ``BEAMS_FOR_WORDS`` where words have to be in the text.
        seed: of the draws with ``do_sample``; the global generators are left as they were.
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
        limits = {
            "max_new_tokens": self.max_new_tokens >= 1, "num_beams": self.num_beams is None or self.num_beams >= 1,
            "temperature": self.temperature > 0, "top_p": 0 < self.top_p <= 1, "top_k": self.top_k >= 0,
            "repetition_penalty": self.repetition_penalty > 0, "num_return_sequences": self.num_return_sequences >= 1,
            "min_new_tokens": 0 <= self.min_new_tokens <= self.max_new_tokens,
            "early_stopping": self.early_stopping in (True, False, "never"),
        }  # fmt: skip
        wrong = next((name for name, is_good in limits.items() if not is_good), None)
        if wrong is not None:
            raise GenerationError.one(wrong, f"{getattr(self, wrong)!r} is out of its range.")

    def beams(self, wanted: Constraints | None) -> int:
        """The beams of the search."""
        if self.num_beams is not None:
            return self.num_beams
        return max(BEAMS_FOR_WORDS, self.num_return_sequences) if wanted is not None and wanted.groups else 1

    def arguments(self, wanted: Constraints | None) -> dict[str, Any]:
        """Keyword arguments of ``model.generate``, each named, so that no default of the model's own slips in."""
        beams = self.beams(wanted)
        found: dict[str, Any] = {
            "max_new_tokens": self.max_new_tokens, "min_new_tokens": self.min_new_tokens or None, "num_beams": beams,
            "do_sample": self.do_sample, "repetition_penalty": self.repetition_penalty,
            "no_repeat_ngram_size": self.no_repeat_ngram_size, "num_return_sequences": self.num_return_sequences,
            "use_cache": True,
        }  # fmt: skip
        if self.do_sample:
            found |= {"temperature": self.temperature, "top_p": self.top_p, "top_k": self.top_k}
        if beams > 1:
            found |= {"length_penalty": self.length_penalty, "early_stopping": self.early_stopping}
        return found


def require_possible(decoding: Decoding, wanted: Constraints | None) -> None:
    """Raise GenerationError where a way of decoding cannot do what is asked of the text."""
    beams = decoding.beams(wanted)
    if wanted is not None and wanted.groups and decoding.do_sample:
        message = "words that have to be in the text are searched for, and cannot be drawn."
        raise GenerationError.one("do_sample", message, "Leave it out, or leave must_include and any_of out.")
    if not decoding.do_sample and decoding.num_return_sequences > beams:
        message = f"{decoding.num_return_sequences} texts were asked for, and without sampling {beams} beams give {beams}."
        raise GenerationError.one("num_return_sequences", message, "Raise num_beams, or set do_sample.")
    if decoding.do_sample and 1 < beams < decoding.num_return_sequences:
        message = f"{decoding.num_return_sequences} texts were asked for, and there are {beams} beams."
        raise GenerationError.one("num_return_sequences", message, "Raise num_beams.")


def generation_arguments(
    tokenizer: PreTrainedTokenizerBase, constraints: Constraints | None = None, decoding: Decoding | None = None
) -> dict[str, Any]:
    """The keyword arguments by which ``model.generate(...)``, or a text-generation pipeline, decodes under the constraints.

    ``decoding.seed`` is not among them: seed torch yourself.

    Raises:
        GenerationError: the decoding cannot do what is asked of the text.
    """
    decoding = decoding or Decoding()
    require_possible(decoding, constraints)
    arguments = decoding.arguments(constraints)
    if not constraints:
        return arguments
    return {**arguments, **bias_of(tokenizer, constraints), "custom_generate": steered(tokenizer, constraints)}


def bias_of(tokenizer: PreTrainedTokenizerBase, wanted: Constraints) -> dict[str, Any]:
    """Upstream's ``sequence_bias`` for every way in which the tokenizer spells the words."""
    found: dict[tuple[int, ...], float] = {}
    for word, bias in wanted.bias.items():
        sequences = usual_sequences(tokenizer, word)
        if not sequences:
            raise GenerationError.one(f"bias {word!r}", "no tokens of this tokenizer spell it.", "Choose another word.")
        found |= dict.fromkeys(sequences, float(bias))
    return {"sequence_bias": found} if found else {}


def steered(
    tokenizer: PreTrainedTokenizerBase, constraints: Constraints | Sequence[Constraints], streamer: Any = None
) -> Callable[..., Any]:
    """A callable for ``model.generate(custom_generate=...)`` that keeps texts to the constraints.

    Args:
        constraints: for all prompts, or one of each; then all with words that have to be in the text, or none.
        streamer: upstream hands none to a custom callable, so it is given here.
    """

    def decode(
        model: Any, input_ids: torch.Tensor, logits_processor: Any, stopping_criteria: Any, generation_config: Any,
        **model_kwargs: Any,
    ) -> Any:  # fmt: skip
        if model.config.is_encoder_decoder:
            raise GenerationError.one("model", "constraints are for decoders, and this model has an encoder, too.")
        repeats = max(generation_config.num_beams, generation_config.num_return_sequences)
        texts = prompt_texts(tokenizer, input_ids[::repeats], model_kwargs.get("attention_mask"), repeats)
        wanted = [constraints] * len(texts) if isinstance(constraints, Constraints) else list(constraints)
        arguments = (model, input_ids, logits_processor, stopping_criteria, generation_config)
        if any(is_searched(each, generation_config) for each in wanted):
            watches = [watch_of(tokenizer, each, width_of(model)) for each in wanted]
            return search_banks(*arguments, watches, texts, **model_kwargs)
        mask = model_kwargs.get("attention_mask")
        ours = processor_of(model, tokenizer, wanted, texts, input_ids.shape[1], generation_config, mask)
        loop = getattr(type(model), GENERATION_MODES_MAPPING[generation_config.get_generation_mode()])
        streaming = {} if streamer is None else {"streamer": streamer}
        processors = LogitsProcessorList([ours, *logits_processor])
        return loop(model, input_ids, processors, stopping_criteria, generation_config, **streaming, **model_kwargs)

    return decode


def width_of(model: Any) -> int:
    """How many numbers the model's logits have."""
    width: int = model.config.get_text_config().vocab_size
    return width


def processor_of(
    model: Any, tokenizer: Any, wanted: Sequence[Constraints], prompts: Sequence[str], n_prompt: int, config: Any,
    mask: torch.Tensor | None,
) -> Steered:  # fmt: skip
    """The processor that keeps the texts of a batch to their constraints.

    Args:
        n_prompt: tokens of the padded prompts.
        mask: (N x repeats, P) attention mask; None where no prompt is padded.
    """
    ends, n_good = end_ids(config), 1 if config.num_beams == 1 and not config.do_sample else LOOKED_AT
    rules = [
        rule_of(tokenizer, each, prompt, width_of(model), ends, n_good) for each, prompt in zip(wanted, prompts, strict=True)
    ]
    words = [rule for rule in rules if isinstance(rule, ForbiddenWords)]
    needs_no_look = config.num_beams > 1 or len(words) < len(rules) or not any(rule.watch.words for rule in words)
    ahead = None if needs_no_look else LooksAhead(model, words, mask)
    return Steered(rules, n_prompt, config.max_length, frozenset(ends.tolist()), ahead)


def is_searched(wanted: Constraints, config: Any) -> bool:
    """Whether texts are found by the search over banks: words that have to be in them, or beams that may not write some."""
    return bool(wanted.groups) or bool(wanted.forbid and config.num_beams > 1 and not config.do_sample)


def prompt_texts(tokenizer: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor | None, repeats: int) -> list[str]:
    """The text of each prompt, without its padding."""
    if attention_mask is None:
        return decoded(tokenizer, input_ids.tolist())
    masks = attention_mask[::repeats].bool()
    return decoded(tokenizer, [ids[mask].tolist() for ids, mask in zip(input_ids, masks, strict=True)])


def end_ids(generation_config: Any) -> Array:
    """The ids that end a text, as upstream prepared them."""
    ends = generation_config._eos_token_tensor
    found: Array = np.zeros(0, dtype=np.int64) if ends is None else ends.reshape(-1).cpu().numpy()
    return found


def rule_of(tokenizer: Any, wanted: Constraints, prompt: str, width: int, ends: Array, n_good: int) -> Rule:
    """The rule for a text without words that have to be in it."""
    if wanted.choices:
        return choices_of(tokenizer, wanted.choices, width, ends)
    if wanted.form is not None:
        return grammar_of(tokenizer, wanted, width, ends, n_good)
    return ForbiddenWords(watch_of(tokenizer, wanted, width), prompt, ends)
