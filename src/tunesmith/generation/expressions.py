"""Matches regular expressions one character at a time, in time proportional to the text, and finds shortest matches.

Uses partial derivatives (Antimirov 1996): the derivatives of an expression by a character are the expressions that the text after
the character has to match. Python's own ``re`` only matches whole texts, and may take exponentially long for it.
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
"""Alternative expressions; the rest of the text has to match one of them."""
EMPTY: Node = ("empty",)
IN_CATEGORY: dict[Any, Callable[[str], bool]] = {
    codes.CATEGORY_DIGIT: str.isdecimal, codes.CATEGORY_NOT_DIGIT: lambda c: not c.isdecimal(),
    codes.CATEGORY_WORD: lambda c: c.isalnum() or c == "_", codes.CATEGORY_NOT_WORD: lambda c: not (c.isalnum() or c == "_"),
    codes.CATEGORY_SPACE: str.isspace, codes.CATEGORY_NOT_SPACE: lambda c: not c.isspace(),
}  # fmt: skip
SAMPLES = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,!?-'\"()[]{}:;/\\_@#$%^&*+=<>|~`\n\t"
REPEATS = (codes.MAX_REPEAT, codes.MIN_REPEAT)


class NotRegular(Exception):
    """Raised for expressions with look-around, back references, flags or anchors."""


@lru_cache(maxsize=4096)
def parsed(regex: str) -> Nodes | None:
    """Parses an expression; None if it has anchors, look-around, back references or flags."""
    try:
        tree = parser.parse(regex)
        if tree.state.flags & ~re.UNICODE:
            return None
        return frozenset({node_from_tree(tree)})
    except NotRegular:
        return None


def follow(nodes: Nodes, text: str) -> Nodes:
    """Returns the expressions that the rest has to match after a text; empty if none can."""
    for character in text:
        nodes = frozenset(after for node in nodes for after in derivatives(node, character))
    return nodes


def is_match(regex: str, text: str) -> bool:
    """Returns True if the whole text matches, as by ``re.fullmatch``."""
    nodes = parsed(regex)
    if nodes is None:
        return re.fullmatch(regex, text) is not None
    return any(may_be_empty(node) for node in follow(nodes, text))


def shortest(nodes: Nodes) -> str | None:
    """Returns a shortest matching text; None if there is none."""
    texts = [text for text in map(shortest_of_node, nodes) if text is not None]
    return min(texts, key=lambda text: (len(text.encode()), text), default=None)


def node_from_tree(tree: Any) -> Node:
    """Converts a parse tree of the standard library to nested tuples."""
    return joined(tuple(node_from_part(kind, value) for kind, value in tree))


def node_from_part(kind: object, value: Any) -> Node:
    if kind is codes.BRANCH:
        branches = tuple(dict.fromkeys(node_from_tree(branch) for branch in value[1]))
        return branches[0] if len(branches) == 1 else ("either", branches)
    if kind is codes.SUBPATTERN:
        _, with_flags, without_flags, inner = value
        if with_flags or without_flags:
            raise NotRegular
        return node_from_tree(inner)
    if kind in REPEATS:
        low, high, inner = value
        return repeated(node_from_tree(inner), int(low), None if high is codes.MAXREPEAT else int(high))
    return character_set(kind, value)


def character_set(kind: object, value: Any) -> Node:
    """Makes a set of characters: ("set", ranges, categories, whether it is negated)."""
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


def repeated(node: Node, low: int, high: int | None) -> Node:
    return EMPTY if node == EMPTY or high == 0 else ("repeated", node, low, high)


@lru_cache(maxsize=65536)
def derivatives(node: Node, character: str) -> Nodes:
    """Returns the partial derivatives: the expressions that the text after the character has to match."""
    kind = node[0]
    if kind == "set":
        return frozenset({EMPTY}) if is_in(node, character) else frozenset()
    if kind == "either":
        return frozenset(after for part in node[1] for after in derivatives(part, character))
    if kind == "joined":
        first, rest = node[1][0], joined(node[1][1:])
        through_first = {joined((after, rest)) for after in derivatives(first, character)}
        return frozenset(through_first | derivatives(rest, character)) if may_be_empty(first) else frozenset(through_first)
    if kind == "repeated":
        _, inner, low, high = node
        rest = repeated(inner, max(low - 1, 0), None if high is None else high - 1)
        return frozenset(joined((after, rest)) for after in derivatives(inner, character))
    return frozenset()


@lru_cache(maxsize=65536)
def may_be_empty(node: Node) -> bool:
    """Returns True if the expression matches the empty text."""
    kind = node[0]
    if kind == "either":
        return any(may_be_empty(part) for part in node[1])
    if kind == "joined":
        return all(may_be_empty(part) for part in node[1])
    return kind == "empty" or (kind == "repeated" and (node[2] == 0 or may_be_empty(node[1])))


@lru_cache(maxsize=65536)
def shortest_of_node(node: Node) -> str | None:
    """Returns a shortest text that one expression matches; None if there is none."""
    kind = node[0]
    if kind == "set":
        return next((letter for letter in (*SAMPLES, *(chr(low) for low, _ in node[1])) if is_in(node, letter)), None)
    if kind == "either":
        texts = [text for text in map(shortest_of_node, node[1]) if text is not None]
        return min(texts, key=lambda text: len(text.encode()), default=None)
    if kind == "joined":
        parts = [shortest_of_node(part) for part in node[1]]
        return None if None in parts else "".join(part for part in parts if part is not None)
    if kind == "repeated" and node[2]:
        inner = shortest_of_node(node[1])
        return None if inner is None else inner * node[2]
    return ""


def is_in(node: Node, character: str) -> bool:
    _, ranges, categories, is_negated = node
    point = ord(character)
    in_range = any(low <= point <= high for low, high in ranges)
    return bool((in_range or any(IN_CATEGORY[category](character) for category in categories)) != is_negated)
