"""Generates texts with a finished run, or any causal model or encoder-decoder, for prompts given directly or in a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tunesmith.data.cells import clip, listed, plural
from tunesmith.data.readers.frame import column_names, plain_cells, table_from_frame
from tunesmith.data.readers.plain_cells import HALF_PAIR, plain_column
from tunesmith.errors import DataError, GenerationError, MissingExtra, ModelError
from tunesmith.generation import decode
from tunesmith.generation.arguments import Decoding
from tunesmith.generation.constraints import CUT_CHARACTER, Constraints
from tunesmith.generation.decode import GeneratedText
from tunesmith.generation.encoder_decoder import decoder_prefix
from tunesmith.generation.prompt_rows import RowPrompt, prompts_of, read_prompts, row_ids, unused_context
from tunesmith.machine import device_name, quiet_libraries
from tunesmith.models.adapters.attach import is_adapter
from tunesmith.models.adapters.base import PEFT_SETTINGS, AdapterBase
from tunesmith.models.adapters.quantise import detect_quantisation
from tunesmith.models.chat.control_tokens import replace_within, replacer, tokenise
from tunesmith.models.chat.prompts import plain_ids
from tunesmith.models.chat.targets import closed
from tunesmith.models.chat.template import template_errors
from tunesmith.models.chat.time_limit import within_time
from tunesmith.models.fast.path import choose_fast_path
from tunesmith.models.language.model import CAUSAL, SEQ2SEQ, Objective, require_decoder_start
from tunesmith.models.language.save import reload_language_model
from tunesmith.models.language.seq2seq import is_encoder_decoder
from tunesmith.models.load import (
    load_config,
    load_tokenizer,
    model_errors,
    position_limit,
    require_every_layer,
    require_own_tokenizer,
)
from tunesmith.models.source import ModelSource, find_model
from tunesmith.progress import Event, Listener, silent
from tunesmith.recipe.files import locate
from tunesmith.recipe.load import IN_MEMORY
from tunesmith.recipe.sections import ModelSection
from tunesmith.run_folder import require_saved_model

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

BF16_FROM = 30_000_000
"""Parameters from which weights are bf16 if the machine has it: every token reads every weight (with 90 million on a
CPU it is 1.6 times as fast). Smaller models stay in fp32, in which a text does not depend on rounding."""
Prompt = str | Sequence[Mapping[str, str]]
"""A text, or the turns of a conversation: ``[{"role": "user", "content": "..."}]``."""
P = TypeVar("P", str, Prompt)


@dataclass(frozen=True)
class TextGenerator:
    """A causal language model or an encoder-decoder in memory, with its tokenizer."""

    model: PreTrainedModel | PeftModel
    tokenizer: PreTrainedTokenizerBase

    @property
    def continues(self) -> bool:
        """Tells whether a text continues its prompt, which it does not in the decoder of an encoder-decoder."""
        return not is_encoder_decoder(self.model)

    def has_room(self, ids: Sequence[int], max_new_tokens: int) -> bool:
        """Tells whether a prompt and an answer of so many tokens fit into the model's positions, or those of its two halves."""
        positions = position_limit(self.model)
        if positions is None:
            return True
        if self.continues:
            return len(ids) + max_new_tokens <= positions
        return max(len(ids), len(decoder_prefix(self.model, self.tokenizer)) + max_new_tokens) <= positions

    def prompt_ids(self, prompt: Prompt, raw: bool = False) -> list[int]:
        """Tokenises a prompt by the chat template, or unchanged without one or if ``raw``; then turns raise GenerationError.

        So does a prompt that the template refuses. A control token in a turn, or in a prompt without ``raw``, is text. An
        encoder's input ends as the tokenizer ends texts.
        """
        if isinstance(prompt, str) and raw:
            return list(self.tokenizer(prompt)["input_ids"])
        ids = self.continued_ids(prompt, raw)
        return ids if self.continues else closed(self.tokenizer, ids)

    def continued_ids(self, prompt: Prompt, raw: bool) -> list[int]:
        """Tokenises a prompt that the text continues."""
        if isinstance(prompt, RowPrompt) and not raw:
            return row_ids(self.tokenizer, prompt)
        is_templated = self.tokenizer.chat_template is not None and not raw
        replaced = replacer(self.tokenizer)
        if isinstance(prompt, str) and not is_templated:
            if replaced(prompt) == prompt and self.continues:
                return list(self.tokenizer(prompt)["input_ids"])
            return plain_ids(self.tokenizer, replaced(prompt))
        if not is_templated:
            raise GenerationError.one("prompt", "turns need a chat template, and the tokenizer has none.", "Give texts.")
        given = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        turns = replace_within(list(given), replaced)
        try:
            text = within_time(lambda: self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False))
        except template_errors() as error:
            message = f"the chat template refuses it: {' '.join(str(error).split()).rstrip('.')}."
            raise GenerationError.one("prompt", message, "Correct the turns, or give a text with raw.") from None
        return tokenise(self.tokenizer, [str(text)])[0].ids


def load_text_generator(name: str, base: Path = Path()) -> TextGenerator:
    """Loads a run, folder, hub id or built-in model on this machine's device. Raises ModelError if it generates no texts."""
    quiet_libraries()
    source = adapter_source(name, base) or find_model(ModelSection(name=name), base)
    tokenizer = load_tokenizer(source)
    model = load_writer(source)
    require_own_tokenizer(source, model, tokenizer)
    has_bf16 = choose_fast_path(fast=True, device=device_name()).precision == "bf16"
    is_large = device_name() == "cuda" or sum(parameter.numel() for parameter in model.parameters()) >= BF16_FROM
    if detect_quantisation(model) is None and has_bf16 and is_large:
        model = model.bfloat16()
    return TextGenerator(model.eval(), tokenizer)


def adapter_source(name: str, base: Path) -> ModelSource | None:
    """Returns the folder, or a run's folder, that holds an adapter, whose base model is recorded there; None for others."""
    places = [] if name.startswith("builtin:") else [base / name, locate(name, base)]
    for place in places:
        require_saved_model(place)
    folders = [place / inner for place in places for inner in ("", "model")]
    folder = next((folder for folder in folders if is_adapter(folder)), None)
    return None if folder is None else ModelSource(name, str(folder), "folder")


def load_writer(source: ModelSource) -> PreTrainedModel | PeftModel:
    """Loads a causal language model, an encoder-decoder, or an adapter of one, in fp32 unless the base is quantised.

    Raises ModelError if it generates no texts.
    """
    where, remedy = (
        f"model.name {source.name}",
        "Text is generated by decoders (Llama, GPT-2, ...) and encoder-decoders (T5, ...).",
    )
    if is_adapter(Path(source.location)):
        if (Path(source.location) / PEFT_SETTINGS).exists() and find_spec("peft") is None:
            raise MissingExtra.of("peft", "adapters", f"the adapter in {source.location}")
        adapted = reload_language_model(Path(source.location), adapter_objective(Path(source.location)))
        return adapted if detect_quantisation(adapted) is not None else adapted.to(device_name())
    objective = writing_objective(load_config(source))
    with model_errors(where, f"it cannot be loaded as a {objective.name} language model", remedy):
        options = {"dtype": "float32", "use_safetensors": True, "output_loading_info": True}
        model, info = objective.load(source.location, **source.version, **options)
    if info["missing_keys"]:
        message = f"it has no weights for a next token ({len(info['missing_keys'])} of a {objective.name} model's are missing)."
        raise ModelError.one(where, message, remedy)
    require_every_layer(where, model, info["unexpected_keys"])
    if objective.has_encoder:
        require_decoder_start(model, where)
    return model.to(device_name())


def writing_objective(config: PreTrainedConfig) -> Objective:
    """Returns the objective of a model that generates texts: seq2seq for encoder-decoders, else causal."""
    return SEQ2SEQ if getattr(config, "is_encoder_decoder", False) else CAUSAL


def adapter_objective(folder: Path) -> Objective:
    """Returns the objective of the adapter in a folder: that of its base model."""
    return writing_objective(load_config(AdapterBase.load(folder).source))


def generate(
    model: object,
    prompts: object,
    *,
    must_include: Sequence[str] = (),
    any_of: Sequence[Sequence[str]] = (),
    forbid: Sequence[str] = (),
    bias: Mapping[str, float] | None = None,
    choices: Sequence[str] = (),
    regex: str | None = None,
    json_schema: Mapping[str, Any] | None = None,
    raw: bool = False,
    stream: Callable[[str], None] | None = None,
    listener: Listener = silent,
    **decoding: Any,
) -> list[list[GeneratedText]]:
    """Generates texts after each prompt: a list of texts for each, in the order of the prompts.

    Args:
        model: a run or its folder, a hub id, or a ``TextGenerator`` from ``load_text_generator``.
        prompts: texts, or conversations as lists of turns; a single prompt counts as a list of one. Also a table in memory or
            the ``Path`` of a file, see ``generation.prompt_rows.prompts_of``.
        must_include, any_of, forbid, bias, choices, regex, json_schema: see ``generation.constraints.Constraints``.
        raw: without the tokenizer's chat template.
        stream: called with each new piece of the text of a single prompt.
        decoding: ``max_new_tokens``, ``num_beams`` and the other fields of ``generation.arguments.Decoding``.

    Raises:
        InputError: contradictory constraints or settings, unusable prompts, or a model that cannot be loaded.

    Example::

        tunesmith.generate("runs/stories", "Once upon a time", must_include=["fox"])[0][0].text
    """
    settings = make_decoding(decoding)
    groups = tuple(tuple(group) for group in any_of)
    words = (tuple(must_include), groups, tuple(forbid), bias or {}, tuple(choices))
    constraints = Constraints(*words, regex=regex, json_schema=json_schema)
    listener(Event("phase", "texts"))
    given = whole_prompts(as_list(prompts, listener), listener)
    generator = model if isinstance(model, TextGenerator) else load_text_generator(str(getattr(model, "folder", model)))
    rows = [generator.prompt_ids(prompt, raw) for prompt in given]
    if note := unused_context(generator.tokenizer, given, raw):
        listener(Event("note", note))

    def progress(done: int) -> None:
        listener(Event("step", "texts", done, len(rows)))

    tokenizer = generator.tokenizer
    return decode.generate(generator.model, tokenizer, rows, settings, constraints, stream=stream, progress=progress)


def make_decoding(settings: Mapping[str, Any]) -> Decoding:
    """Makes the decoding settings. Raises GenerationError for unknown names and values out of range."""
    unknown = sorted(set(settings) - set(Decoding.__dataclass_fields__))
    if unknown:
        remedy = f"There are: {listed(Decoding.__dataclass_fields__)}."
        raise GenerationError.one(unknown[0], "there is no setting of that name.", remedy)
    return Decoding(**settings)


def as_list(prompts: object, listener: Listener) -> list[Prompt]:
    """Returns the prompts as a list: of a single prompt, of texts or conversations, or of a table's column.

    Raises DataError for a prompt that is neither a text nor a list of turns.
    """
    if isinstance(prompts, str):
        return [prompts]
    if isinstance(prompts, Path):
        return list(read_prompts(prompts, listener))
    if isinstance(prompts, Mapping) or column_names(prompts) is not None:
        return list(prompts_of(table_from_frame(prompts, IN_MEMORY)))
    items = plain_cells(prompts) if hasattr(prompts, "__len__") else []
    if items and all(isinstance(item, Mapping) for item in items):
        return [items] if "role" in items[0] else list(prompts_of(table_from_frame(items, IN_MEMORY)))
    wrong = next((item for item in items if not is_prompt(item)), None if items else prompts)
    if not items or wrong is not None or None in items:
        message = f"texts or lists of turns were expected as prompts, not {type(wrong).__name__}: {clip(wrong)}."
        raise DataError.one("prompts", message, 'A turn is {"role": "user", "content": "..."}.')
    return items


def whole_prompts(prompts: Sequence[P], listener: Listener) -> list[P]:
    """Replaces halves of surrogate pairs, which no tokenizer reads, as in rows; tells a listener how many prompts have one."""
    whole, reasons = plain_column(list(prompts))
    if n := sum(reason == HALF_PAIR for reason in reasons.values()):
        listener(Event("note", f"{plural(n, 'prompt', 'holds', 'hold')} {CUT_CHARACTER}, read as U+FFFD"))
    return whole


def is_prompt(item: object) -> bool:
    is_turns = isinstance(item, list | tuple) and bool(item) and all(isinstance(turn, Mapping) for turn in item)
    return isinstance(item, str) or is_turns
