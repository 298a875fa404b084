"""Chooses the chat template: the tokenizer's own or, only if it has none, one by name or from a file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tunesmith.data.chat.messages import TOOLS, Turn
from tunesmith.data.chat.rows import INPUT_HEADING, Conversations
from tunesmith.errors import ModelError, RecipeError
from tunesmith.models.chat.time_limit import within_time
from tunesmith.recipe.files import locate

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MARKER = re.compile(r"\{%-?\s*generation\s*-?%\}")

DIALOGUE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}"
    "{{ 'Assistant:' }}{% generation %}{{ ' ' + (message['content'] | trim) + eos_token }}{% endgeneration %}"
    "{% if not loop.last %}{{ '\\n' }}{% endif %}"
    "{% else %}"
    "{{ (message['role'] | capitalize) + ': ' + (message['content'] | trim) + '\\n' }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ (message['content'] | trim) + '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}"
    "{% else %}"
    "{{ (message['content'] | trim) + '<|im_end|>\\n' }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
ALPACA = (
    "{% for message in messages %}"
    "{% if loop.first %}"
    "{% if message['role'] == 'system' %}{{ (message['content'] | trim) + '\\n\\n' }}"
    "{% elif " + repr(INPUT_HEADING) + " in message['content'] %}"
    "{{ 'Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\\n\\n' }}"
    "{% else %}"
    "{{ 'Below is an instruction that describes a task. Write a response that appropriately completes the request.\\n\\n' }}"
    "{% endif %}"
    "{% endif %}"
    "{% if message['role'] == 'user' %}{{ '### Instruction:\\n' + (message['content'] | trim) + '\\n\\n' }}"
    "{% elif message['role'] == 'assistant' %}"
    "{{ '### Response:\\n' }}{% generation %}{{ (message['content'] | trim) + eos_token }}{% endgeneration %}"
    "{% if not loop.last %}{{ '\\n\\n' }}{% endif %}"
    "{% elif not loop.first or message['role'] != 'system' %}"
    "{{ raise_exception('the alpaca template knows user and assistant turns, and a system turn at the start') }}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '### Response:\\n' }}{% endif %}"
)


@dataclass(frozen=True)
class NamedTemplate:
    """A built-in template, the special tokens that it writes besides the tokenizer's, and whether it needs an end token."""

    text: str
    tokens: tuple[str, ...] = ()
    needs_end: bool = True


NAMED_TEMPLATES: Mapping[str, NamedTemplate] = {
    "dialogue": NamedTemplate(DIALOGUE),  # plain words, so that a base model knows all of it
    "alpaca": NamedTemplate(ALPACA),  # Taori et al. 2023
    "chatml": NamedTemplate(CHATML, ("<|im_start|>", "<|im_end|>"), needs_end=False),
}
DEFAULTS: Mapping[str, str] = {
    "messages": "dialogue",
    "sharegpt": "dialogue",
    "labelled": "dialogue",
    "dialogue": "dialogue",
    "alpaca": "alpaca",
}
"""Form of the rows -> the template if the tokenizer has none and none is requested. Prompts and completions get none, unless they
are lists of messages."""


@dataclass(frozen=True)
class Template:
    """A chat template.

    Attributes:
        name: ``tokenizer``, a name of ``NAMED_TEMPLATES``, a file, or ``none``.
        text: Jinja; empty if contents are concatenated, with the end-of-text token after them.
        new_tokens: special tokens that the tokenizer lacks; they enlarge the embedding.
    """

    name: str
    text: str
    source: Literal["tokenizer", "named", "file", "none"]
    new_tokens: tuple[str, ...] = ()

    @property
    def has_markers(self) -> bool:
        """True if answers are marked with ``{% generation %}``. Labels do not need it; other tools may."""
        return MARKER.search(self.text) is not None

    def sentence(self, has_encoder: bool = False) -> str:
        """Describes the template; with an encoder it writes the input, and the answer is a target of its own."""
        if has_encoder:
            written = "joined as they are" if self.source == "none" else f"written by the chat template {self.name!r}"
            return f"The turns before an answer, {written}, are the encoder's input; the answer is the decoder's target."
        if self.source == "none":
            return "No chat template: contents are joined as they are, and the end-of-text token follows."
        origins = {
            "tokenizer": "the tokenizer's own chat template",
            "file": f"the chat template of the file {self.name}",
            "named": f"the chat template {self.name!r}, since the tokenizer has none; it is saved with the model",
        }
        marks = "" if self.has_markers else " It has no {% generation %} markers; answers are found by where they begin and end."
        new = f" New special tokens: {', '.join(self.new_tokens)}." if self.new_tokens else ""
        return f"Turns become text by {origins[self.source]}.{marks}{new}"


NO_TEMPLATE = Template("none", "", "none")


def choose_template(
    tokenizer: PreTrainedTokenizerBase,
    requested: str | None,
    conversations: Conversations,
    base: Path | None = None,
    key: str = "sft.chat_template",
    *,
    single_turns_plain: bool = False,
) -> Template:
    """Chooses the tokenizer's own template, which is never altered; else the requested one; else the default of the form.

    Args:
        requested: a name of ``NAMED_TEMPLATES`` or a file.
        base: the folder that a relative file is searched in.
        key: the recipe key that requests it, for errors.
        single_turns_plain: a question with its answer gets no template in any form, since nothing has to mark where the answer
            begins (encoder-decoders).
    """
    own = tokenizer.get_chat_template() if tokenizer.chat_template else None
    if requested is not None and conversations.kind == "text":
        raise RecipeError.one(key, f"{requested!r} is requested, but plain texts have no turns.", "Leave it out.")
    if conversations.kind == "text":
        return NO_TEMPLATE
    template = None if requested is None else requested_template(tokenizer, requested, base or Path(), key)
    if own is not None:
        if template is not None and template.text != own:
            message = f"{requested!r} is requested, but the tokenizer of {tokenizer.name_or_path or 'this model'} has a chat "
            message += "template of its own, which the model was trained with. It is never replaced."
            remedy = f"Leave {key} out, or start from a base model whose tokenizer has no template."
            raise ModelError.one(key, message, remedy)
        return Template("tokenizer", own, "tokenizer")
    if template is None:
        roles = {tuple(turn.role for turn in turns) for turns in conversations.turns}
        default = None if single_turns_plain else DEFAULTS.get(conversations.kind)
        name = default or ("dialogue" if roles - {("user", "assistant")} else None)
        template = NO_TEMPLATE if name is None else named_template(tokenizer, name)
    return template


def requested_template(tokenizer: PreTrainedTokenizerBase, requested: str, base: Path, key: str) -> Template:
    """Returns the template of that name or file. Raises RecipeError if there is none, or the file is no Jinja template."""
    import jinja2

    if requested in NAMED_TEMPLATES:
        return named_template(tokenizer, requested)
    path = locate(requested, base)
    if not path.is_file():
        message = f"{requested!r} is neither a template nor a file. Templates: {', '.join(NAMED_TEMPLATES)}."
        raise RecipeError.one(key, message, "Choose one of them, or give a Jinja file.")
    text = path.read_text(encoding="utf-8")
    try:
        question = [{"role": "user", "content": "?"}]
        within_time(lambda: tokenizer.apply_chat_template(question, chat_template=text, tokenize=False), f"{key} {requested}")
    except jinja2.TemplateSyntaxError as error:
        where = f"{key} {requested}, line {error.lineno}"
        raise RecipeError.one(where, f"The file is no Jinja template: {error.message}", "Correct it.") from None
    except template_errors():
        pass  # the syntax is right; the template may refuse a single turn
    return Template(requested, text, "file", lacking(tokenizer, re.findall(r"<\|[a-z_]+\|>", text)))


def template_errors() -> tuple[type[Exception], ...]:
    """Lists the errors of a template that refuses a conversation, or that cannot be computed for it."""
    import jinja2

    return (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError)


def named_template(tokenizer: PreTrainedTokenizerBase, name: str) -> Template:
    """Returns a built-in template, which begins with the beginning-of-text token if the tokenizer adds it to plain texts."""
    built_in = NAMED_TEMPLATES[name]
    if built_in.needs_end:
        end_token(tokenizer, f"the chat template {name!r} ends each answer with it")
    begins = bool(tokenizer.bos_token) and tokenizer.bos_token_id in edges(tokenizer)[0]
    text = "{{ bos_token }}" + built_in.text if begins else built_in.text
    return Template(name, text, "named", lacking(tokenizer, built_in.tokens))


def lacking(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[str]) -> tuple[str, ...]:
    """Returns the tokens that the tokenizer does not have."""
    vocabulary = tokenizer.get_vocab()
    return tuple(token for token in dict.fromkeys(tokens) if token not in vocabulary)


def adopt_template(tokenizer: PreTrainedTokenizerBase, template: Template) -> int:
    """Sets the template and its new tokens on the tokenizer, so that both are saved with it, unless it has its own.

    Returns:
        The number of new tokens; if not 0, the model's embedding must be resized to ``len(tokenizer)``.
    """
    if template.source in ("tokenizer", "none"):
        return 0
    tokenizer.chat_template = template.text
    if not template.new_tokens:
        return 0
    new: dict[str, Any] = {"extra_special_tokens": list(template.new_tokens)}
    return int(tokenizer.add_special_tokens(new, replace_extra_special_tokens=False))


def edges(tokenizer: PreTrainedTokenizerBase) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns the special token ids that the tokenizer adds before and after a text."""
    encoding = tokenizer("a", return_special_tokens_mask=True)
    ids, special = encoding["input_ids"], encoding["special_tokens_mask"]
    first = special.index(0) if 0 in special else len(ids)
    last = len(ids) - special[::-1].index(0) if 0 in special else len(ids)
    return tuple(ids[:first]), tuple(ids[last:])


def end_token(tokenizer: PreTrainedTokenizerBase, why: str = "it marks the end of a text") -> str:
    """Returns the end-of-text token. Raises ModelError if the tokenizer has none."""
    if not tokenizer.eos_token:
        message = f"it has no end-of-text token, and {why}: a model that never learns it never stops."
        remedy = "Name the token in the model folder's tokenizer_config.json (eos_token)"
        remedy += "; for conversations, sft.chat_template: chatml brings one."
        raise ModelError.one(f"tokenizer of {tokenizer.name_or_path or 'this model'}", message, remedy)
    return str(tokenizer.eos_token)


def to_messages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Converts turns to the dictionaries that templates read; the tools of a row are none of a message."""
    extras = [{key: value for key, value in turn.extra.items() if key != TOOLS} for turn in turns]
    return [{"role": turn.role, "content": turn.content, **extra} for turn, extra in zip(turns, extras, strict=True)]
