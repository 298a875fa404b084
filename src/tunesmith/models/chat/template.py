"""How turns become text: the tokenizer's own template, or, only where it has none, one by name; and the proof that it holds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from tunesmith.data.chat.formats import ChatKind
from tunesmith.data.chat.rows import INPUT_HEADING, Conversations, Turn
from tunesmith.errors import ModelError, RecipeError
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
class Named:
    """A template that can be chosen by name.

    Attributes:
        tokens: special tokens that it writes, besides the tokenizer's own.
        needs_end: it ends answers with the tokenizer's end-of-text token.
    """

    text: str
    tokens: tuple[str, ...] = ()
    needs_end: bool = True


NAMED: Mapping[str, Named] = MappingProxyType(
    {
        "dialogue": Named(DIALOGUE),  # plain words, so that a base model knows all of it
        "alpaca": Named(ALPACA),  # Taori et al. 2023
        "chatml": Named(CHATML, ("<|im_start|>", "<|im_end|>"), needs_end=False),
    }
)
DEFAULTS: Mapping[ChatKind, str] = MappingProxyType(
    {"messages": "dialogue", "sharegpt": "dialogue", "labelled": "dialogue", "alpaca": "alpaca"}
)
"""Form of the rows -> the template where the tokenizer has none and none is asked for. Prompts and completions stay as they are,
but for those that are lists of messages."""


@dataclass(frozen=True)
class Template:
    """How turns become text.

    Attributes:
        name: ``tokenizer``, a name of ``NAMED``, a file, or ``none``.
        text: Jinja; empty where contents are joined as they are and the end-of-text token follows.
        new_tokens: special tokens that it needs and the tokenizer lacks; with them the embedding grows.
    """

    name: str
    text: str
    source: Literal["tokenizer", "named", "file", "none"]
    new_tokens: tuple[str, ...] = ()

    @property
    def has_markers(self) -> bool:
        """Whether it marks its answers with ``{% generation %}``. Masks do not need it; other tools may."""
        return MARKER.search(self.text) is not None

    def sentence(self) -> str:
        """What was chosen, for the user."""
        if self.source == "none":
            return "No chat template: contents are joined as they are, and the end-of-text token follows."
        own = {"tokenizer": "the tokenizer's own chat template", "file": f"the chat template of the file {self.name}"}
        what = own.get(self.source, f"the chat template {self.name!r}, since the tokenizer has none; it is saved with the model")
        marks = "" if self.has_markers else " It has no {% generation %} markers; answers are found by where they begin and end."
        new = f" New special tokens: {', '.join(self.new_tokens)}." if self.new_tokens else ""
        return f"Turns become text by {what}.{marks}{new}"


NONE = Template("none", "", "none")


def choose_template(
    tokenizer: PreTrainedTokenizerBase, asked: str | None, conversations: Conversations, base: Path | None = None
) -> Template:
    """The template for these rows: the tokenizer's own, which is never altered; else what is asked for; else what the form needs.

    Args:
        asked: a name of ``NAMED`` or a file (``sft.chat_template``).
        base: the folder that a relative file is looked for in.

    Raises:
        ModelError: another template is asked for than the tokenizer has, or it needs an end-of-text token that there is not.
        RecipeError: the name is none, the file is no template, or the rows are plain texts.
    """
    own = tokenizer.get_chat_template() if tokenizer.chat_template else None
    if asked is not None and conversations.kind == "text":
        message = f"{asked!r} is asked for, and plain texts have no turns."
        raise RecipeError.one("sft.chat_template", message, "Leave it out.")
    if conversations.kind == "text":
        return NONE
    wanted = None if asked is None else asked_template(tokenizer, asked, base or Path())
    if own is not None:
        if wanted is not None and wanted.text != own:
            refuse_other(tokenizer, asked)
        return Template("tokenizer", own, "tokenizer")
    if wanted is None:
        name = DEFAULTS.get(conversations.kind) or ("dialogue" if has_messages(conversations) else None)
        wanted = NONE if name is None else named_template(tokenizer, name)
    return wanted


def refuse_other(tokenizer: PreTrainedTokenizerBase, asked: str | None) -> None:
    message = (
        f"{asked!r} is asked for, and the tokenizer of {tokenizer.name_or_path or 'this model'} has a chat template of its own, "
        "which the model was trained with. It is never replaced."
    )
    remedy = "Leave sft.chat_template out, or start from a base model whose tokenizer has no template."
    raise ModelError.one("sft.chat_template", message, remedy)


def has_messages(conversations: Conversations) -> bool:
    """Whether prompts and completions are more than one text each."""
    return any(len(turns) != 2 or (turns[0].role, turns[1].role) != ("user", "assistant") for turns in conversations.turns)


def asked_template(tokenizer: PreTrainedTokenizerBase, asked: str, base: Path) -> Template:
    """The template of that name or file."""
    if asked in NAMED:
        return named_template(tokenizer, asked)
    path = locate(asked, base)
    if not path.is_file():
        message = f"{asked!r} is neither a template nor a file. Templates: {', '.join(NAMED)}."
        raise RecipeError.one("sft.chat_template", message, "Choose one of them, or give a Jinja file.")
    text = path.read_text(encoding="utf-8")
    check_syntax(tokenizer, text, asked)
    return Template(asked, text, "file", lacking(tokenizer, re.findall(r"<\|[a-z_]+\|>", text)))


def check_syntax(tokenizer: PreTrainedTokenizerBase, text: str, name: str) -> None:
    """Raises RecipeError where the text is no Jinja template."""
    import jinja2

    try:
        tokenizer.apply_chat_template([{"role": "user", "content": "?"}], chat_template=text, tokenize=False)
    except jinja2.TemplateSyntaxError as error:
        where = f"sft.chat_template {name}, line {error.lineno}"
        raise RecipeError.one(where, f"The file is no Jinja template: {error.message}", "Correct it.") from None
    except (jinja2.TemplateError, TypeError, ValueError):
        return  # it reads as a template; what it says of a single turn is no matter here


def named_template(tokenizer: PreTrainedTokenizerBase, name: str) -> Template:
    """A template of ``NAMED``, which begins with the tokenizer's beginning-of-text token where plain texts do, too."""
    made = NAMED[name]
    if made.needs_end:
        end_token(tokenizer, f"the chat template {name!r} ends each answer with it")
    begins = bool(tokenizer.bos_token) and tokenizer.bos_token_id in edges(tokenizer)[0]
    text = "{{ bos_token }}" + made.text if begins else made.text
    return Template(name, text, "named", lacking(tokenizer, made.tokens))


def lacking(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[str]) -> tuple[str, ...]:
    """Those of the tokens that the tokenizer does not have."""
    known = tokenizer.get_vocab()
    return tuple(token for token in dict.fromkeys(tokens) if token not in known)


def adopt(tokenizer: PreTrainedTokenizerBase, template: Template) -> int:
    """Gives the tokenizer the template and the tokens that it needs, in place, so that both are saved with it.

    Returns the number of new tokens; where there are some, the model's embedding must be resized to ``len(tokenizer)``. A
    tokenizer with a template of its own stays as it is.
    """
    if template.source in ("tokenizer", "none"):
        return 0
    tokenizer.chat_template = template.text
    if not template.new_tokens:
        return 0
    new: dict[str, Any] = {"extra_special_tokens": list(template.new_tokens)}
    return int(tokenizer.add_special_tokens(new, replace_extra_special_tokens=False))


def edges(tokenizer: PreTrainedTokenizerBase) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The token ids that the tokenizer puts before and after a text."""
    made = tokenizer("a", return_special_tokens_mask=True)
    ids, special = made["input_ids"], made["special_tokens_mask"]
    first = special.index(0) if 0 in special else len(ids)
    last = len(ids) - special[::-1].index(0) if 0 in special else len(ids)
    return tuple(ids[:first]), tuple(ids[last:])


def end_token(tokenizer: PreTrainedTokenizerBase, why: str = "it says where a text ends") -> str:
    """The end-of-text token. Raises ModelError where the tokenizer has none."""
    if not tokenizer.eos_token:
        message = f"it has no end-of-text token, and {why}: a model that never learns it never stops."
        remedy = (
            "Name the token in the model folder's tokenizer_config.json (eos_token); for conversations, "
            "sft.chat_template: chatml brings one."
        )
        raise ModelError.one(f"tokenizer of {tokenizer.name_or_path or 'this model'}", message, remedy)
    return str(tokenizer.eos_token)


def messages_of(turns: Sequence[Turn]) -> list[dict[str, str]]:
    """Turns as templates read them."""
    return [{"role": turn.role, "content": turn.content} for turn in turns]
