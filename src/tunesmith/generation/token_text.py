"""What each token of a vocabulary adds to the text, whatever the kind of tokenizer, and which tokens keep its characters whole.

A token's text depends on its place: SentencePiece drops the blank before the very first word, word pieces write none before it,
and a token that holds only some bytes of a character needs the others after it.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from tunesmith.data.arrays import Array

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

INNER, START = 0, 1
"""Places: inside a text, and before its first word. Higher numbers are places inside a character."""
ANCHOR = "a"
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_KEPT: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Place:
    """What every token writes at one place of the text.

    Attributes:
        following: (V,) the place after each token; -1 where the token cannot be written here.
        order: the tokens that write something, those with the most characters first.
        columns: for each position in a token's text the code points there, of the tokens of ``order`` that are so long.
    """

    following: Array
    order: Array
    columns: tuple[Array, ...]


@dataclass(eq=False)
class Surfaces:
    """The texts of a whole vocabulary.

    Attributes:
        inner, first: (V) what a token adds inside a text and as its beginning: text, or the bytes where they are no whole
            characters; None where a token is no text at all.
        silent: ids that write nothing, such as special tokens.
    """

    inner: list[str | bytes | None]
    first: list[str | bytes | None]
    silent: frozenset[int]
    _buffers: list[bytes] = field(default_factory=lambda: [b"", b""])
    _places: dict[int, Place] = field(default_factory=dict)

    @property
    def n_tokens(self) -> int:
        return len(self.inner)

    def place_of(self, unfinished: bytes) -> int:
        """The place inside a character of which these bytes are written."""
        if not unfinished:
            return INNER
        if unfinished not in self._buffers:
            self._buffers.append(unfinished)
        return self._buffers.index(unfinished)

    def at(self, place: int) -> Place:
        """What every token writes at that place."""
        if place not in self._places:
            self._places[place] = self._made(place)
        return self._places[place]

    def _made(self, place: int) -> Place:
        before = self._buffers[place]
        texts, following = [""] * self.n_tokens, np.full(self.n_tokens, -1, dtype=np.int32)
        for token, piece in enumerate(self.first if place == START else self.inner):
            if token in self.silent:
                following[token] = place if not before else -1
            elif isinstance(piece, str):
                if not before:
                    texts[token], following[token] = piece, INNER
            elif piece is not None:
                read = continued(before, piece)
                if read is not None:
                    texts[token], following[token] = read[0], self.place_of(read[1])
        return Place(following, *columns_of(texts))


def continued(before: bytes, piece: bytes) -> tuple[str, bytes] | None:
    """The characters that bytes complete, and those left over; None where they are no UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        text = decoder.decode(before + piece)
    except UnicodeDecodeError:
        return None
    left = decoder.getstate()[0]
    is_surrogate = left[:1] == b"\xed" and left[1:2] >= b"\xa0"  # which the decoder only refuses with the last byte
    return None if is_surrogate else (text, left)


def columns_of(texts: list[str]) -> tuple[Array, tuple[Array, ...]]:
    """``order`` and ``columns`` of a ``Place``."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    flat = np.frombuffer("".join(texts).encode("utf-32-le"), dtype=np.uint32)
    starts = np.cumsum(lengths) - lengths
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 0]
    longest = int(lengths.max(initial=0))
    counts = [int((lengths > i).sum()) for i in range(longest)]
    return order, tuple(flat[starts[order[:count]] + i] for i, count in enumerate(counts))


def surfaces_of(tokenizer: PreTrainedTokenizerBase, n_vocabulary: int) -> Surfaces:
    """The texts of a tokenizer's tokens, found by decoding each behind a known one; made once for a tokenizer.

    Args:
        n_vocabulary: the width of the model's logits; ids that the tokenizer does not have are no text.
    """
    kept, key = kept_with(tokenizer), ("surfaces", n_vocabulary, len(tokenizer))
    if key not in kept:
        kept[key] = read_surfaces(tokenizer, n_vocabulary)
    made: Surfaces = kept[key]
    return made


def kept_with(tokenizer: Any) -> dict[Any, Any]:
    """What was found out about a tokenizer, kept as long as the tokenizer is."""
    return _KEPT.setdefault(tokenizer, {})


def read_surfaces(tokenizer: Any, n_vocabulary: int) -> Surfaces:
    """The texts of a tokenizer's tokens."""
    n_known = min(len(tokenizer), n_vocabulary)
    anchor = tokenizer.encode(ANCHOR, add_special_tokens=False)
    behind = decoded(tokenizer, [[*anchor, token] for token in range(n_known)])
    lone = decoded(tokenizer, [[token] for token in range(n_known)])
    before = decoded(tokenizer, [anchor])[0]
    names = tokenizer.convert_ids_to_tokens(list(range(n_known)))
    missing: list[str | bytes | None] = [None] * (n_vocabulary - n_known)
    inner = [piece(text.removeprefix(before), name) for text, name in zip(behind, names, strict=True)]
    first = [piece(text, name) for text, name in zip(lone, names, strict=True)]
    special = set(tokenizer.all_special_ids)
    silent = frozenset(token for token, text in enumerate(inner) if text == "" or token in special)
    return Surfaces([*inner, *missing], [*first, *missing], silent)


def decoded(tokenizer: Any, rows: list[list[int]]) -> list[str]:
    """The texts of many rows of token ids, special tokens left out."""
    if tokenizer.is_fast:
        texts: list[str] = tokenizer.backend_tokenizer.decode_batch(rows, skip_special_tokens=True)
        return texts
    return [tokenizer.decode(row, skip_special_tokens=True, clean_up_tokenization_spaces=False) for row in rows]


def piece(text: str, name: str | None) -> str | bytes | None:
    """A token's text, or its bytes where the text is damaged because they are no whole characters."""
    if name is None:
        return None
    if REPLACEMENT not in text:
        return text
    byte = re.fullmatch(r"<0x([0-9A-Fa-f]{2})>", name)
    if byte:
        return bytes([int(byte[1], 16)])
    table = byte_alphabet()
    return bytes(table[character] for character in name) if all(character in table for character in name) else text


def byte_alphabet() -> dict[str, int]:
    """The character by which byte-level vocabularies write each byte (GPT-2)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return {**{chr(byte): byte for byte in plain}, **{chr(256 + i): byte for i, byte in enumerate(others)}}


def continuation(tokenizer: PreTrainedTokenizerBase, prompt: list[int], written: list[int]) -> str:
    """What the written tokens add to the text of the prompt, special tokens left out; a blank before the first word is kept."""
    before, whole = decoded(tokenizer, [prompt, [*prompt, *written]])
    same = next((i for i, (a, b) in enumerate(zip(before, whole, strict=False)) if a != b), min(len(before), len(whole)))
    return whole[same:]
