"""Personal data: found by kind, never repeated."""

from __future__ import annotations

import pytest

from tunesmith.diagnose.privacy import kinds_in, personal_data

from .rows import evidence

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
    assert kinds_in(text) == [kind]


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
    assert kinds_in(text) == []


def test_what_was_found_is_nowhere_in_the_diagnosis() -> None:
    found = personal_data(evidence([0, 1, 0], ["mail bob@example.org", "nothing", "call +44 20 7946 0958"]))
    assert found.flagged is not None
    assert found.flagged.tolist() == [True, False, True]
    assert found.reasons[0] == "holds what looks like e-mail address"
    assert "bob" not in str(found)
    assert "7946" not in str(found)
    assert found.figures["rows_of_kind"] == {"e-mail address": 1, "telephone number": 1}


def test_both_texts_of_a_pair_are_looked_at() -> None:
    assert personal_data(evidence([0], ["nothing"], n_classes=2, pairs=["bob@example.org"])).reasons == {
        0: "holds what looks like e-mail address"
    }
