"""Parses YAML to plain values and records the line of every value.

PyYAML follows YAML 1.1, where ``010`` is eight, ``1:30`` is ninety, ``1e-4`` is text and ``no`` is a boolean.
This parser reads numbers as they look and booleans as YAML 1.1 does (other programs read the same files). It keeps
the scalars as written, so that an error message can quote a ``no`` in place of text instead of ``False``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml

KeyPath = tuple[str | int, ...]

MAX_DEPTH = 30
_CORE = "tag:yaml.org,2002:"
_BOOL = re.compile(r"^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$")
_INT = re.compile(r"^[-+]?(?:0|[1-9][0-9_]{0,300})$")
_FLOAT = re.compile(
    r"^(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")


@dataclass(frozen=True)
class Location:
    """Source of a value: a line of the recipe or an override.

    Attributes:
        where: ``recipe.yaml:12`` or ``override train.seed=x``.
        order: sort key of problems: the file by line, then the overrides in their order.
        written: a plain scalar as written (``no``, ``1e-4``, empty for a blank value); None for quoted text,
            lists and maps.
    """

    where: str
    order: tuple[int, int]
    written: str | None = None


Locations = dict[KeyPath, Location]


@dataclass(frozen=True)
class Fault:
    """A problem of one key.

    Attributes:
        line: line of the parsed text, if it is more exact than the line of the key.
        location: replaces the location of the key, for an override that could not be merged.
    """

    path: KeyPath
    message: str
    remedy: str = ""
    line: int | None = None
    location: Location | None = None


@dataclass(frozen=True)
class Parsed:
    """A parsed YAML document as plain values (dict, list, str, int, float, bool, None).

    Attributes:
        lines: the 1-based line of every key and list item.
        written: plain scalars as written.
        length: number of characters up to the end of the value, without a trailing comment.
        faults: problems of the document; ``value`` is incomplete if there are any.
    """

    value: Any
    lines: dict[KeyPath, int]
    written: dict[KeyPath, str]
    length: int
    faults: tuple[Fault, ...]


class _Refused(yaml.MarkedYAMLError):
    """Raised for valid YAML that recipes do not support."""


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses aliases and limits the nesting depth."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own class attribute
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        if self.check_event(yaml.AliasEvent):
            raise _Refused(problem="an alias", problem_mark=mark)
        if self.depth >= MAX_DEPTH:
            raise _Refused(problem="too deep", problem_mark=mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class RecipeDumper(yaml.SafeDumper):
    """SafeDumper that also quotes text that only this module reads as a number (``1e-4``)."""


for _name, _pattern in (("bool", _BOOL), ("int", _INT), ("float", _FLOAT), ("null", _NULL)):
    RecipeDumper.add_implicit_resolver(f"{_CORE}{_name}", _pattern, None)  # type: ignore[no-untyped-call]
    _Loader.add_implicit_resolver(f"{_CORE}{_name}", _pattern, None)  # type: ignore[no-untyped-call]

# (Start of PyYAML's message, our message, remedy).
_SENTENCES: tuple[tuple[str, str, str], ...] = (
    ("an alias", "an alias (*name) is used, which recipes do not support", "Write the value out."),
    ("too deep", f"lists and maps are nested more than {MAX_DEPTH} deep", ""),
    ("found character '\\t'", "a tab is used where YAML allows only spaces", "Replace the tab by spaces."),
    (
        "found character",
        "a value begins with a character that has a special meaning in YAML",
        'Put the value in quotes: "...".',
    ),
    (
        "mapping values are not allowed here",
        'a ":" follows where no key can be',
        "If a value contains a colon, put it in quotes; otherwise check the indentation of this line and the one above.",
    ),
    ("could not find expected ':'", "a key without a colon", "Write: key: value"),
    ("expected <block end>", "the indentation does not match the lines above", "Give keys of one section the same indentation."),
    ("found unexpected end of stream", "a quote is opened here and never closed", ""),
    ("expected ',' or ']'", "a list opened with [ is not closed", "Close it with ]."),
    ("expected ',' or '}'", "a map opened with { is not closed", "Close it with }."),
    (
        "but found another document",
        "a second document begins here (a line of ---)",
        "A recipe is one document: use one file per recipe.",
    ),
    ("found unknown escape character", "a backslash in double quotes begins no known escape", "Use single quotes: '...'."),
)


def parse(text: str) -> Parsed:
    """Parses one YAML document; reports its problems as faults, not as exceptions."""
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.YAMLError as error:
        return Parsed(None, {}, {}, 0, (_yaml_fault(error),))
    except (ValueError, OverflowError) as error:  # raised by PyYAML's scanner, e.g. for \U escapes beyond Unicode
        return Parsed(None, {}, {}, 0, (Fault((), f"this is not valid YAML: {error}"),))
    finally:
        if loader is not None:
            loader.dispose()  # type: ignore[no-untyped-call]
    if node is None:
        return Parsed(None, {}, {(): ""}, 0, ())
    lines: dict[KeyPath, int] = {(): node.start_mark.line + 1}
    written: dict[KeyPath, str] = {}
    faults: list[Fault] = []
    value = _value(node, (), lines, written, faults)
    return Parsed(value, lines, written, node.end_mark.index, tuple(faults))


def _yaml_fault(error: yaml.YAMLError) -> Fault:
    if isinstance(error, yaml.reader.ReaderError):
        code = error.character if isinstance(error.character, int) else ord(str(error.character)[:1] or "\0")
        return Fault((), f"the file contains the control character U+{code:04X}", "Save the recipe as plain text.")
    if not isinstance(error, yaml.MarkedYAMLError):
        return Fault((), f"this is not valid YAML: {error}")
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else None
    for start, message, remedy in _SENTENCES:
        if (error.problem or "").startswith(start):
            return Fault((), message, remedy, line)
    details = ", ".join(part for part in (error.context, error.problem) if part)
    return Fault((), f"this is not valid YAML: {details}", "", line)


def _value(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], written: dict[KeyPath, str], faults: list[Fault]) -> Any:
    if isinstance(node, yaml.MappingNode) and node.tag == f"{_CORE}map":
        return _mapping(node, path, lines, written, faults)
    if isinstance(node, yaml.SequenceNode) and node.tag == f"{_CORE}seq":
        items = []
        for index, item in enumerate(node.value):
            lines[(*path, index)] = item.start_mark.line + 1
            items.append(_value(item, (*path, index), lines, written, faults))
        return items
    if isinstance(node, yaml.ScalarNode):
        if node.style is None:
            written[path] = node.value
        return _scalar(node, path, faults)
    faults.append(_bad_tag(node, path))
    return None


def _mapping(
    node: yaml.MappingNode, path: KeyPath, lines: dict[KeyPath, int], written: dict[KeyPath, str], faults: list[Fault]
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            faults.append(Fault(path, "a key is a list or a map; keys are plain text", "", line))
            continue
        # A key is the text as written, not the value that YAML reads: a class may be called no, or 0.
        key = key_node.value
        broken = broken_key(path, key, line)
        if broken:
            faults.append(broken)
            continue
        if key in values:
            message = f"is given twice, first on line {lines[(*path, key)]}"
            faults.append(Fault((*path, key), message, "Remove one of the two.", line))
            continue
        lines[(*path, key)] = line
        values[key] = _value(value_node, (*path, key), lines, written, faults)
    return values


def broken_key(path: KeyPath, key: str, line: int | None = None) -> Fault | None:
    """Finds half of a surrogate pair in a key of the section at ``path``."""
    message = "a key contains half of a surrogate pair and cannot be saved as UTF-8"
    return Fault(path, message, "", line) if _SURROGATE.search(key) else None


def _scalar(node: yaml.ScalarNode, path: KeyPath, faults: list[Fault]) -> Any:
    text, kind = node.value, node.tag.removeprefix(_CORE)
    if kind == "str":
        return text
    if kind == "null" and _NULL.match(text):
        return None
    if kind == "bool" and _BOOL.match(text):
        return text.lower() in ("yes", "true", "on")
    if kind == "int" and _INT.match(text):
        return int(text.replace("_", ""))
    if kind == "float" and (_FLOAT.match(text) or _INT.match(text)):
        return float(text.lower().replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
    faults.append(_bad_tag(node, path))
    return None


def _bad_tag(node: yaml.Node, path: KeyPath) -> Fault:
    message = f"the YAML tag {node.tag.replace(_CORE, '!!')} cannot be used here"
    return Fault(path, message, "Write the plain value without a tag.", node.start_mark.line + 1)
