"""Texts of train are found in another split, exactly or nearly, each with its training row."""

from __future__ import annotations

from tunesmith.data.checks.leakage import counted, find_leaks

TRAIN = ["The parcel has not arrived yet, where is it now?", "I would like to have my money back", "Thanks a lot!"]


def test_exact_and_near_copies_are_found_with_their_training_row() -> None:
    texts = ["the parcel has NOT arrived yet - where is it now", "Where is my boat?", "I would like to have all my money back"]
    leaks = find_leaks(TRAIN, texts)
    assert [(leak.position, leak.train_position, leak.is_exact) for leak in leaks] == [(0, 0, True), (2, 1, False)]
    assert counted(leaks) == "(1 exactly, 1 nearly)"
    assert leaks[0].reason(12) == "same text as train row 12"
    assert leaks[1].reason(7, "prompt") == "nearly the prompt of train row 7"


def test_a_pair_is_a_copy_only_with_both_texts() -> None:
    assert find_leaks(TRAIN[:1], TRAIN[:1], ["yes it is here"], ["a quite different second text"]) == []
    assert len(find_leaks(TRAIN[:1], TRAIN[:1], ["yes it is here"], ["Yes, it is here!"])) == 1


def test_repeats_inside_a_split_are_no_leaks() -> None:
    assert find_leaks(TRAIN, ["Where is my boat?", "Where is my boat?"]) == []
