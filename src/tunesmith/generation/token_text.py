"""The text that each token of a vocabulary adds, for any kind of tokenizer, and the tokens that keep characters complete.

A token's text depends on its place: SentencePiece drops the blank before the very first word, WordPiece has none before it, and
a token with only some bytes of a character needs the others after it.
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
_CACHES: WeakKeyDictionary[Any, dict[Any, Any]] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class TokenTable:
    """The texts of all tokens at one place.

    Attributes:
        following: (V,) the place after each token; -1 for tokens that are not allowed here.
        order: the tokens with text, those with the most characters first.
        columns: for each position in a token's text the code points there, of the tokens of ``order`` that are long enough.
    """

    following: Array
    order: Array
    columns: tuple[Array, ...]


@dataclass(eq=False)
class VocabularyText:
    """The texts of a whole vocabulary.

    Attributes:
        inner, first: (V) the text that a token adds inside a text and at its beginning; bytes if they are incomplete characters;
            None for tokens without text or bytes.
        silent: ids of tokens without text, such as special tokens.
    """

    inner: list[str | bytes | None]
    first: list[str | bytes | None]
    silent: frozenset[int]
    _buffers: list[bytes] = field(default_factory=lambda: [b"", b""])
    _tables: dict[int, TokenTable] = field(default_factory=dict)

    @property
    def n_tokens(self) -> int:
        return len(self.inner)

    def place_after(self, unfinished: bytes) -> int:
        """Returns the place inside a character after these bytes of it."""
        if not unfinished:
            return INNER
        if unfinished not in self._buffers:
            self._buffers.append(unfinished)
        return self._buffers.index(unfinished)

    def at(self, place: int) -> TokenTable:
        """Returns the texts of all tokens at a place."""
        if place in self._tables:
            return self._tables[place]
        before = self._buffers[place]
        texts, following = [""] * self.n_tokens, np.full(self.n_tokens, -1, dtype=np.int32)
        for token, piece in enumerate(self.first if place == START else self.inner):
            if token in self.silent:
                following[token] = place if not before else -1
            elif isinstance(piece, str):
                if not before:
                    texts[token], following[token] = piece, INNER
            elif piece is not None:
                characters = complete_characters(before, piece)
                if characters is not None:
                    texts[token], following[token] = characters[0], self.place_after(characters[1])
        self._tables[place] = TokenTable(following, *code_point_columns(texts))
        return self._tables[place]


def complete_characters(before: bytes, piece: bytes) -> tuple[str, bytes] | None:
    """Returns the characters that bytes complete, and the bytes left over; None if they are no UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        text = decoder.decode(before + piece)
    except UnicodeDecodeError:
        return None
    left = decoder.getstate()[0]
    is_surrogate = left[:1] == b"\xed" and left[1:2] >= b"\xa0"  # which the decoder only refuses with the last byte
    return None if is_surrogate else (text, left)


def code_point_columns(texts: list[str]) -> tuple[Array, tuple[Array, ...]]:
    """Returns ``order`` and ``columns`` of a ``TokenTable``."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    flat = np.frombuffer("".join(texts).encode("utf-32-le"), dtype=np.uint32)
    starts = np.cumsum(lengths) - lengths
    order = np.argsort(-lengths, kind="stable")
    order = order[lengths[order] > 0]
    longest = int(lengths.max(initial=0))
    counts = [int((lengths > i).sum()) for i in range(longest)]
    return order, tuple(flat[starts[order[:count]] + i] for i, count in enumerate(counts))


def vocabulary_text(tokenizer: PreTrainedTokenizerBase, n_vocabulary: int) -> VocabularyText:
    """Returns the texts of a tokenizer's tokens, alone and after an anchor, cached.

    Ids beyond them, up to ``n_vocabulary``, are not allowed.
    """
    cache, key = tokenizer_cache(tokenizer), ("vocabulary", n_vocabulary, len(tokenizer))
    if key not in cache:
        n_known = min(len(tokenizer), n_vocabulary)
        anchor = tokenizer.encode(ANCHOR, add_special_tokens=False)
        after_anchor = decoded(tokenizer, [[*anchor, token] for token in range(n_known)])
        alone = decoded(tokenizer, [[token] for token in range(n_known)])
        before = decoded(tokenizer, [anchor])[0]
        names = tokenizer.convert_ids_to_tokens(list(range(n_known)))
        missing: list[str | bytes | None] = [None] * (n_vocabulary - n_known)
        inner = [token_piece(text.removeprefix(before), name) for text, name in zip(after_anchor, names, strict=True)]
        first = [token_piece(text, name) for text, name in zip(alone, names, strict=True)]
        special = set(tokenizer.all_special_ids)
        silent = frozenset(token for token, text in enumerate(inner) if text == "" or token in special)
        cache[key] = VocabularyText([*inner, *missing], [*first, *missing], silent)
    vocabulary: VocabularyText = cache[key]
    return vocabulary


def tokenizer_cache(tokenizer: PreTrainedTokenizerBase) -> dict[Any, Any]:
    """Returns the cache of values computed from a tokenizer; it lives as long as the tokenizer."""
    return _CACHES.setdefault(tokenizer, {})


def decoded(tokenizer: PreTrainedTokenizerBase, rows: list[list[int]]) -> list[str]:
    """Decodes many rows of token ids, without special tokens."""
    if tokenizer.is_fast:
        return list(tokenizer.backend_tokenizer.decode_batch(rows, skip_special_tokens=True))
    return [tokenizer.decode(row, skip_special_tokens=True, clean_up_tokenization_spaces=False) for row in rows]


def token_piece(text: str, name: str | None) -> str | bytes | None:
    """Returns a token's text, or its bytes if they are incomplete characters."""
    if name is None:
        return None
    if REPLACEMENT not in text:
        return text
    byte = re.fullmatch(r"<0x([0-9A-Fa-f]{2})>", name)
    if byte:
        return bytes([int(byte[1], 16)])
    # Byte-level vocabularies (GPT-2) have a character for each byte.
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    table = {**{chr(byte): byte for byte in plain}, **{chr(256 + i): byte for i, byte in enumerate(others)}}
    return bytes(table[character] for character in name) if all(character in table for character in name) else text


def continuation(tokenizer: PreTrainedTokenizerBase, prompt: list[int], tokens: list[int]) -> str:
    """Decodes the text that tokens add to a prompt, without special tokens, with a blank before the first word."""
    before, whole = decoded(tokenizer, [prompt, [*prompt, *tokens]])
    same = next((i for i, (a, b) in enumerate(zip(before, whole, strict=False)) if a != b), min(len(before), len(whole)))
    return whole[same:]
