"""Regular expressions followed one character at a time, in time proportional to the text: what still matches, and by which text.

By partial derivatives (Antimirov 1996): the derivatives of an expression by a character are the expressions that what follows the
character has to match. Python's own ``re`` says only whether a whole text matches, and may take exponentially long for it.
"""

from __future__ import annotations

import re
import re._constants as codes  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Callable
from functools import lru_cache
from typing import Any

Node = tuple[Any, ...]
Nodes = frozenset[Node]
"""Expressions of which what follows has to match one."""
EMPTY: Node = ("empty",)
IS_OF: dict[Any, Callable[[str], bool]] = {
    codes.CATEGORY_DIGIT: str.isdecimal, codes.CATEGORY_NOT_DIGIT: lambda c: not c.isdecimal(),
    codes.CATEGORY_WORD: lambda c: c.isalnum() or c == "_", codes.CATEGORY_NOT_WORD: lambda c: not (c.isalnum() or c == "_"),
    codes.CATEGORY_SPACE: str.isspace, codes.CATEGORY_NOT_SPACE: lambda c: not c.isspace(),
}  # fmt: skip
SAMPLES = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,!?-'\"()[]{}:;/\\_@#$%^&*+=<>|~`\n\t"
REPEATS = (codes.MAX_REPEAT, codes.MIN_REPEAT)


class NotRegular(Exception):
    """An expression with parts that look around, back or at case."""


@lru_cache(maxsize=4096)
def parsed(regex: str) -> Nodes | None:
    """The expression, or None where it has parts that are not followed here: anchors, look-around, back references, flags."""
    try:
        tree = parser.parse(regex)
        if tree.state.flags & ~re.UNICODE:
            return None
        return frozenset({node_of(tree)})
    except NotRegular:
        return None


def follow(nodes: Nodes, text: str) -> Nodes:
    """What has to match after that text; empty where nothing can."""
    for character in text:
        nodes = frozenset(after for node in nodes for after in derivatives(node, character))
    return nodes


def is_match(regex: str, text: str) -> bool:
    """Whether the whole text matches, as by ``re.fullmatch``."""
    nodes = parsed(regex)
    if nodes is None:
        return re.fullmatch(regex, text) is not None
    return any(may_be_empty(node) for node in follow(nodes, text))


def shortest(nodes: Nodes) -> str | None:
    """A shortest text that matches; None where none does."""
    texts = [text for text in map(shortest_of, nodes) if text is not None]
    return min(texts, key=lambda text: (len(text.encode()), text), default=None)


def node_of(tree: Any) -> Node:
    """A parsed expression of the standard library as nested tuples."""
    return joined(tuple(part_of(kind, value) for kind, value in tree))


def part_of(kind: Any, value: Any) -> Node:
    if kind is codes.BRANCH:
        return either(tuple(node_of(branch) for branch in value[1]))
    if kind is codes.SUBPATTERN:
        _, with_flags, without_flags, inner = value
        if with_flags or without_flags:
            raise NotRegular
        return node_of(inner)
    if kind in REPEATS:
        low, high, inner = value
        return repeated(node_of(inner), int(low), None if high is codes.MAXREPEAT else int(high))
    return set_of(kind, value)


def set_of(kind: Any, value: Any) -> Node:
    """A set of characters: ("set", ranges, categories, whether it is the others)."""
    if kind is codes.LITERAL:
        return ("set", ((value, value),), (), False)
    if kind is codes.NOT_LITERAL:
        return ("set", ((value, value),), (), True)
    if kind is codes.ANY:
        return ("set", ((10, 10),), (), True)
    if kind is not codes.IN:
        raise NotRegular
    ranges = tuple(v if k is codes.RANGE else (v, v) for k, v in value if k in (codes.RANGE, codes.LITERAL))
    categories = tuple(v for k, v in value if k is codes.CATEGORY)
    return ("set", ranges, categories, any(k is codes.NEGATE for k, _ in value))


def joined(parts: tuple[Node, ...]) -> Node:
    flat = [inner for part in parts for inner in (part[1] if part[0] == "joined" else (part,)) if inner != EMPTY]
    return EMPTY if not flat else flat[0] if len(flat) == 1 else ("joined", tuple(flat))


def either(parts: tuple[Node, ...]) -> Node:
    distinct = tuple(dict.fromkeys(parts))
    return distinct[0] if len(distinct) == 1 else ("either", distinct)


def repeated(node: Node, low: int, high: int | None) -> Node:
    return EMPTY if node == EMPTY or high == 0 else ("repeated", node, low, high)


@lru_cache(maxsize=65536)
def derivatives(node: Node, character: str) -> Nodes:
    """The expressions that have to match behind the character."""
    kind = node[0]
    if kind == "set":
        return frozenset({EMPTY}) if is_in(node, character) else frozenset()
    if kind == "either":
        return frozenset(after for part in node[1] for after in derivatives(part, character))
    if kind == "joined":
        first, rest = node[1][0], joined(node[1][1:])
        found = {joined((after, rest)) for after in derivatives(first, character)}
        return frozenset(found | derivatives(rest, character)) if may_be_empty(first) else frozenset(found)
    if kind == "repeated":
        _, inner, low, high = node
        rest = repeated(inner, max(low - 1, 0), None if high is None else high - 1)
        return frozenset(joined((after, rest)) for after in derivatives(inner, character))
    return frozenset()


@lru_cache(maxsize=65536)
def may_be_empty(node: Node) -> bool:
    """Whether it matches the empty text."""
    kind = node[0]
    if kind == "either":
        return any(may_be_empty(part) for part in node[1])
    if kind == "joined":
        return all(may_be_empty(part) for part in node[1])
    return kind == "empty" or (kind == "repeated" and (node[2] == 0 or may_be_empty(node[1])))


@lru_cache(maxsize=65536)
def shortest_of(node: Node) -> str | None:
    """A shortest text that one expression matches."""
    kind = node[0]
    if kind == "set":
        return next((letter for letter in (*SAMPLES, *(chr(low) for low, _ in node[1])) if is_in(node, letter)), None)
    if kind == "either":
        texts = [text for text in map(shortest_of, node[1]) if text is not None]
        return min(texts, key=lambda text: len(text.encode()), default=None)
    if kind == "joined":
        parts = [shortest_of(part) for part in node[1]]
        return None if None in parts else "".join(part for part in parts if part is not None)
    if kind == "repeated" and node[2]:
        inner = shortest_of(node[1])
        return None if inner is None else inner * node[2]
    return ""


def is_in(node: Node, character: str) -> bool:
    """Whether a set holds a character."""
    _, ranges, categories, others = node
    point = ord(character)
    found = any(low <= point <= high for low, high in ranges) or any(IS_OF[category](character) for category in categories)
    return bool(found != others)
