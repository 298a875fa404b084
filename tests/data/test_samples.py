"""The built-in support data: counts, wrong labels, duplicates, templates, lengths."""

from __future__ import annotations

import re
import statistics
from bisect import bisect_right
from collections import Counter, defaultdict

import pytest

import plant_label_errors as planting

Row = tuple[str, str]

INTENTS = set(planting.NEIGHBOURS)


@pytest.fixture(scope="module")
def train() -> list[Row]:
    return planting.read_rows(planting.SAMPLES / "support_train.csv")


@pytest.fixture(scope="module")
def rows_of_the_test() -> list[Row]:
    return planting.read_rows(planting.SAMPLES / "support_test.csv")


@pytest.fixture(scope="module")
def truth() -> list[str]:
    lines = planting.TRUTH.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "row_id,intent"
    pairs = [line.split(",") for line in lines[1:]]
    assert [int(row_id) for row_id, _ in pairs] == list(range(len(pairs)))
    return [intent for _, intent in pairs]


def words(message: str) -> list[str]:
    return re.findall(r"[\w']+", message.lower())


def test_every_intent_has_75_training_and_90_test_rows(train: list[Row], rows_of_the_test: list[Row], truth: list[str]) -> None:
    assert len(train) == len(truth) == 900
    assert Counter(truth) == dict.fromkeys(INTENTS, 75)
    assert Counter(intent for _, intent in rows_of_the_test) == dict.fromkeys(INTENTS, 90)


def test_about_four_in_a_hundred_labels_are_wrong(train: list[Row], truth: list[str]) -> None:
    wrong = [(right, given) for (_, given), right in zip(train, truth, strict=True) if given != right]
    assert 0.03 <= len(wrong) / len(train) <= 0.05
    assert max(Counter(right for right, _ in wrong).values()) <= planting.MOST_PER_INTENT
    assert {given for _, given in wrong} <= INTENTS
    plausible = sum(given in planting.NEIGHBOURS[right] for right, given in wrong)
    assert plausible > len(wrong) / 2


def test_planting_again_gives_the_committed_files(train: list[Row], rows_of_the_test: list[Row], truth: list[str]) -> None:
    clean = [(message, right) for (message, _), right in zip(train, truth, strict=True)]
    assert planting.build(reversed(clean), reversed(rows_of_the_test)) == (train, rows_of_the_test, truth)


def test_more_test_rows_leave_the_training_rows_as_they_are(train: list[Row], truth: list[str]) -> None:
    clean = [(message, right) for (message, _), right in zip(train, truth, strict=True)]
    for n_rows in (0, 240, 541):
        given, _, intents = planting.build(clean, [(f"message {i}", "return_item") for i in range(n_rows)])
        assert (given, intents) == (train, truth)


def test_no_message_is_there_twice(train: list[Row], rows_of_the_test: list[Row]) -> None:
    seen = Counter(" ".join(words(message)) for message, _ in [*train, *rows_of_the_test])
    assert [text for text, n in seen.items() if n > 1] == []


def test_no_two_messages_share_four_fifths_of_their_words(train: list[Row], rows_of_the_test: list[Row]) -> None:
    bags = [frozenset(words(message)) for message, _ in [*train, *rows_of_the_test]]
    bags.sort(key=len)
    alike_in_size = [bisect_right(bags, 1.25 * len(bag), key=len) for bag in bags]  # such two differ by less than a quarter
    close = [(a, b) for i, a in enumerate(bags) for b in bags[i + 1 : alike_in_size[i]] if len(a & b) > 0.8 * len(a | b)]
    assert close == []


def test_messages_are_not_made_from_templates(train: list[Row], rows_of_the_test: list[Row]) -> None:
    holders: dict[tuple[str, ...], set[int]] = defaultdict(set)
    for i, (message, _) in enumerate([*train, *rows_of_the_test]):
        tokens = words(message)
        for start in range(len(tokens) - 5):
            holders[tuple(tokens[start : start + 6])].add(i)
    assert [" ".join(shingle) for shingle, rows in holders.items() if len(rows) > 3] == []


def test_lengths_are_spread_like_real_messages(train: list[Row], rows_of_the_test: list[Row]) -> None:
    for rows in (train, rows_of_the_test):
        lengths = [len(message) for message, _ in rows]
        assert min(lengths) < 20
        assert max(lengths) > 250
        assert statistics.stdev(lengths) > 0.5 * statistics.mean(lengths)
    for intent in INTENTS:
        counts = [len(words(message)) for message, given in train if given == intent]
        assert min(counts) <= 6
        assert max(counts) >= 30


def test_no_message_is_blank_or_padded(train: list[Row], rows_of_the_test: list[Row]) -> None:
    messages = [message for message, _ in [*train, *rows_of_the_test]]
    assert [m for m in messages if not words(m) or m != m.strip()] == []


def test_the_handbook_is_what_its_script_writes() -> None:
    import write_handbook

    for name, text in write_handbook.files().items():
        assert (write_handbook.SAMPLES / name).read_text(encoding="utf-8") == text, name


def test_the_handbook_never_explains_what_its_parts_are() -> None:
    import write_handbook

    names = [called for part in write_handbook.PARTS.values() for called in part]
    things = {
        word for called in names for word in re.findall(r"[a-z]{5,}", called) if word not in ("thing", "that", "the", "place")
    }
    passages = [text for _, text, _, _ in write_handbook.entries()]
    assert len(passages) == len(set(passages)) == 240
    assert all(sum(part in text for part in write_handbook.PARTS) >= 1 for text in passages)
    told = {word for word in things if any(re.search(rf"\b{word}\b", text.lower()) for text in passages)}
    assert told <= {"alarm", "cloth", "plants", "metal", "water", "house", "power", "blows"}


def test_every_part_is_learnt_from_other_passages_than_the_test_asks_for() -> None:
    import write_handbook

    splits: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for one, _, questions, split in write_handbook.entries():
        assert len(questions) == len(set(questions)) == 2
        splits[one.split("-")[0]][split].add(one)
    assert all(len(of["train"]) >= 6 and len(of["test"]) >= 4 and not of["train"] & of["test"] for of in splits.values())
