"""Finds and masks personal data in texts: addresses, telephone, card and account numbers."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

EMAIL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}\b")
# Groups of digits as phone numbers have them; ``is_phone`` checks their number and length.
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


def is_phone(text: str) -> bool:
    """Returns whether digits are a telephone number: with ``+``, a leading 0, an area code in brackets, or grouped 3-3-4.

    Other groups of digits are as often order numbers or amounts.
    """
    digits = re.sub(r"\D", "", text)
    if DATE.fullmatch(text.strip()):
        return False
    if text.startswith(("+", "00")):
        return 8 <= len(digits) <= 15
    return 9 <= len(digits) <= 12 and (text[0] in "0(" or bool(AMERICAN.fullmatch(text)))


def is_card(text: str) -> bool:
    """Checks Luhn's checksum over 13 to 19 digits."""
    digits = [int(c) for c in text if c.isdigit()]
    doubled = [sum(divmod(2 * d, 10)) for d in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_iban(text: str) -> bool:
    """Checks the remainder of ISO 13616: 1 modulo 97."""
    plain = text.replace(" ", "")
    moved = plain[4:] + plain[:4]
    return 15 <= len(plain) <= 34 and int("".join(str(int(c, 36)) for c in moved)) % 97 == 1


def is_address(text: str) -> bool:
    """Returns whether an IPv4 address is public; 127.0.0.1 and 192.168.x.x identify nobody."""
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


# (kind, mask, pattern, test, required character). The order matters: each kind searches only what earlier kinds left.
KINDS: tuple[tuple[str, str, re.Pattern[str], Callable[[str], bool], str], ...] = (
    ("e-mail address", "[email]", EMAIL, lambda text: True, "@"),
    ("bank account number", "[account]", IBAN, is_iban, ""),
    ("card number", "[card]", CARD, is_card, ""),
    ("social security number", "[ssn]", SSN, lambda text: True, "-"),
    ("network address", "[ip]", IP, is_address, "."),
    ("telephone number", "[phone]", PHONE, is_phone, ""),
    ("street address", "[address]", STREET, lambda text: True, ""),
)


@dataclass(frozen=True)
class PersonalSpan:
    """A span of personal data, from ``start`` up to ``end``, and its replacement ``mask``, such as ``[email]``."""

    start: int
    end: int
    kind: str
    mask: str


def find_personal_data(text: str) -> list[PersonalSpan]:
    """Finds the personal data in a text, in the order of ``KINDS``."""
    spans: list[PersonalSpan] = []
    has_digit = any(c.isdigit() for c in text)
    for kind, mask, pattern, is_kind, sign in KINDS:
        if (sign and sign not in text) or not (has_digit or sign == "@"):
            continue
        for match in [match for match in pattern.finditer(text) if is_kind(match.group())]:
            spans.append(PersonalSpan(match.start(), match.end(), kind, mask))
            text = text[: match.start()] + " " * (match.end() - match.start()) + text[match.end() :]
    return spans


def personal_data_kinds(text: str) -> list[str]:
    """Lists the kinds of personal data in a text, in the order of ``KINDS``, each once."""
    return list(dict.fromkeys(span.kind for span in find_personal_data(text)))


def masked(text: str, mask: str | None = None) -> str:
    """Replaces personal data by the mask of their kind, such as ``[email]`` or ``[phone]``, or by the given one."""
    for span in sorted(find_personal_data(text), key=lambda span: -span.start):
        text = text[: span.start] + (span.mask if mask is None else mask) + text[span.end :]
    return text
