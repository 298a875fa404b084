"""Personal data in texts: found by kind, masked in place."""

from __future__ import annotations

import pytest

from tunesmith.data.personal import masked, personal_data_kinds

HOLDS = {
    "e-mail address": ["write to jane.doe+spam@mail.example.co.uk please"],
    "telephone number": ["call +49 30 901820", "call (212) 555-0173 now",
                         "tel 030 / 90 18 20 44", "0049 171 1234567", "ring 020 7946 0958"],
    "bank account number": ["send it to DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432"],
    "card number": ["my card 4111 1111 1111 1111 was charged", "5500-0000-0000-0004"],
    "social security number": ["ssn 078-05-1120"],
    "network address": ["blocked 8.8.8.8 yesterday"],
    "street address": ["I live at 221 Baker Street", "Lindenstraße 14 in Berlin", "12 rue de la Paix", "1600 Pennsylvania Ave"],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in HOLDS.items() for text in texts])
def test_each_kind_is_found_and_only_it(kind: str, text: str) -> None:
    assert personal_data_kinds(text) == [kind]


@pytest.mark.parametrize(
    "text",
    [
        "order 12345678 came late", "it cost 1,299.00 $", "on 12.05.2023 at 14:30", "2023-11-04 10:00:00", "version 10.2.33.1.7",
        "ratio 16:9, size 1920x1080", "localhost is 127.0.0.1", "router at 192.168.1.1", "@someone said so", "3 street lamps",
        "item no. 4111 1111 1111 1112", "I waited 20 minutes and 35 seconds", "flight LH1234567", "the 1980s and 1990s", "a@b",
        "ISBN 978-3-16-148410-0", "100 200 300", "score 3-2, 4-1, 5-0",
    ],
)  # fmt: skip
def test_other_numbers_are_no_personal_data(text: str) -> None:
    assert personal_data_kinds(text) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mail bob@example.org, or call +49 30 901820!", "mail [email], or call [phone]!"),
        ("bob@example.org ann@example.org", "[email] [email]"),
        ("I live at 221 Baker Street; card 4111 1111 1111 1111", "I live at [address]; card [card]"),
        ("DE89 3704 0044 0532 0130 00, 078-05-1120, 8.8.8.8", "[account], [ssn], [ip]"),
        ("order 12345678 came late", "order 12345678 came late"),
    ],
)
def test_each_piece_is_masked_in_its_place(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert personal_data_kinds(shown) == []


def test_another_mark_may_stand_there() -> None:
    assert masked("mail bob@example.org now", " ") == "mail   now"
