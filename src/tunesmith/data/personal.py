"""Personal data in a text: what looks like an address, a telephone or an account number, and the text without it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

EMAIL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}\b")
# Groups of digits as phone numbers have them; what a group count and a length exclude is left to ``is_phone``.
PHONE = re.compile(r"(?<![\w.,/:$€£#-])(?:\+|00)?\(?\d{1,4}\)?(?:(?: / |[ .\-/]?)\(?\d{2,5}\)?){1,5}(?![\w%]|[.,:/-]\d)")
CARD = re.compile(r"(?<![\w.-])(?:\d[ -]?){12,18}\d(?![\w-])")
IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
IP = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)")
SSN = re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])")
STREET_WORDS = "street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|dr|court|ct|square|way|place|terrace|highway|hwy"
STREET = re.compile(
    rf"\b\d{{1,5}}[a-z]?,? (?:[A-Z][\w'.-]+ ){{1,3}}(?i:{STREET_WORDS})\b"
    r"|\b[A-ZÄÖÜ][\wäöüß.-]+(?:straße|strasse|str\.|weg|gasse|platz|allee) ?\d{1,4}[a-z]?\b"
    r"|\b\d{1,4},? (?:rue|avenue|boulevard|place|chemin) (?:de |du |des |la |le |l')*[A-ZÀ-Ý][\w'-]+"
)
AMERICAN = re.compile(r"\d{3}[ .-]\d{3}[ .-]\d{4}")
DATE = re.compile(r"(?:19|20)\d{2}[ ./-]?\d{1,2}[ ./-]?\d{1,2}|\d{1,2}[ ./-]\d{1,2}[ ./-](?:19|20)?\d{2}")


def is_phone(found: str) -> bool:
    """Whether digits are a telephone number: with a country's ``+``, with a leading 0 or an area code in brackets, or 3-3-4.

    Other groups of digits are as often order numbers or amounts.
    """
    digits = re.sub(r"\D", "", found)
    if DATE.fullmatch(found.strip()):
        return False
    if found.startswith(("+", "00")):
        return 8 <= len(digits) <= 15
    return 9 <= len(digits) <= 12 and (found[0] in "0(" or bool(AMERICAN.fullmatch(found)))


def is_card(found: str) -> bool:
    """Luhn's checksum over 13 to 19 digits."""
    digits = [int(c) for c in found if c.isdigit()]
    doubled = [sum(divmod(2 * d, 10)) for d in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_iban(found: str) -> bool:
    """The remainder of ISO 13616: 1 modulo 97."""
    plain = found.replace(" ", "")
    moved = plain[4:] + plain[:4]
    return 15 <= len(plain) <= 34 and int("".join(str(int(c, 36)) for c in moved)) % 97 == 1


def is_address(found: str) -> bool:
    """A public IPv4 address; 127.0.0.1 and 192.168.x.x name nobody."""
    try:
        return ipaddress.ip_address(found).is_global
    except ValueError:
        return False


# The order matters: what one kind has claimed is not looked at by the next.
KINDS: tuple[tuple[str, str, re.Pattern[str], Callable[[str], bool], str], ...] = (
    ("e-mail address", "[email]", EMAIL, lambda found: True, "@"),
    ("bank account number", "[account]", IBAN, is_iban, ""),
    ("card number", "[card]", CARD, is_card, ""),
    ("social security number", "[ssn]", SSN, lambda found: True, "-"),
    ("network address", "[ip]", IP, is_address, "."),
    ("telephone number", "[phone]", PHONE, is_phone, ""),
    ("street address", "[address]", STREET, lambda found: True, ""),
)


@dataclass(frozen=True)
class Found:
    """Where personal data stand in a text, from ``start`` up to ``end``.

    Attributes:
        mark: what is shown in their place.
    """

    start: int
    end: int
    kind: str
    mark: str


def personal_in(text: str) -> list[Found]:
    """What a text holds, in the order of the table of kinds."""
    found: list[Found] = []
    has_digit = any(c.isdigit() for c in text)
    for kind, mark, pattern, holds, sign in KINDS:
        if (sign and sign not in text) or not (has_digit or sign == "@"):
            continue
        for match in [match for match in pattern.finditer(text) if holds(match.group())]:
            found.append(Found(match.start(), match.end(), kind, mark))
            text = text[: match.start()] + " " * (match.end() - match.start()) + text[match.end() :]
    return found


def kinds_in(text: str) -> list[str]:
    """The kinds of personal data a text holds, in the order of the table, each once."""
    return list(dict.fromkeys(found.kind for found in personal_in(text)))


def masked(text: str, mark: str | None = None) -> str:
    """The text with each piece of personal data replaced by the mark of its kind, ``[email]`` or ``[phone]``, or by this one."""
    for found in sorted(personal_in(text), key=lambda found: -found.start):
        text = text[: found.start] + (found.mark if mark is None else mark) + text[found.end :]
    return text
