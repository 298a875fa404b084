"""Probabilities of labels are those of their token sequences, whatever the batch; texts are held to the choices."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.generation.made import KINDS, letters, tiny_llama, tokenizer_of
from tunesmith.errors import GenerationError
from tunesmith.generation.arguments import Decoding
from tunesmith.generation.constraints import Constraints
from tunesmith.generation.decode import generate
from tunesmith.generation.labels import label_probabilities, label_tokens, make_trie, shortest

LABELS = ["yes", "no", "not sure", "maybe"]


def one_by_one(model: object, prompt: list[int], sequences: list[list[int]], end: int) -> np.ndarray:
    """Each label's probability by a pass of its own over prompt, label and end."""
    scores = []
    for sequence in sequences:
        ids = torch.tensor([[*prompt, *sequence, end]])
        with torch.inference_mode():
            steps = torch.log_softmax(model(input_ids=ids).logits[0].double(), dim=-1)  # type: ignore[operator]
        scores.append(sum(float(steps[i - 1, ids[0, i]]) for i in range(len(prompt), ids.shape[1])))
    shares = np.exp(np.array(scores) - max(scores))
    return shares / shares.sum()


@pytest.mark.parametrize("kind", ["byte_level", "sentencepiece", "word_pieces"])
def test_probabilities_are_those_of_the_sequences(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    model = tiny_llama(len(tokenizer), 4)
    prompts = [tokenizer.encode(text, add_special_tokens=False) for text in ("the cat", "she said: where is the dog", "a", "he")]
    sequences = label_tokens(tokenizer, LABELS)
    expected = np.stack([one_by_one(model, prompt, sequences, tokenizer.eos_token_id) for prompt in prompts])
    for max_rows in (1, 8, 256):
        found = label_probabilities(model, tokenizer, prompts, LABELS, max_rows=max_rows)
        assert np.abs(found - expected).max() < 1e-5
    assert np.abs(label_probabilities(model, tokenizer, prompts, sequences) - expected).max() < 1e-5
    assert np.allclose(found.sum(axis=1), 1)


def test_a_blank_belongs_to_the_label_where_it_is_requested() -> None:
    tokenizer = tokenizer_of("byte_level")
    prompt = tokenizer.encode("the", add_special_tokens=False)
    for blank in (False, True):
        (tokens,) = label_tokens(tokenizer, ["cat"], blank)
        assert tokenizer.decode([*prompt, *tokens]) == ("the cat" if blank else "thecat")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", [{}, {"do_sample": True}, {"num_beams": 4}], ids=str)
def test_texts_are_held_to_the_choices(kind: str, way: dict[str, int]) -> None:
    tokenizer = tokenizer_of(kind)
    labels = ["cat", "dog", "the fox"]
    prompts = [tokenizer.encode(text, add_special_tokens=False) for text in ("she", "the happy", "a")]
    for texts in generate(tiny_llama(len(tokenizer), 6), tokenizer, prompts, Decoding(**way), Constraints(choices=tuple(labels))):
        assert texts[0].text in labels
        assert (texts[0].satisfied, texts[0].finished) == (True, True)


def test_a_label_may_begin_another_where_an_end_tells_them_apart() -> None:
    tokenizer, labels = tokenizer_of("byte_level"), ["no", "no one"]
    model = tiny_llama(len(tokenizer), 6)
    written = set()
    for seed in range(12):
        settings = Decoding(do_sample=True, top_k=0, temperature=3.0, seed=seed)
        written.add(generate(model, tokenizer, [[5, 6]], settings, Constraints(choices=tuple(labels)))[0][0].text)
    assert written == set(labels)
    tokenizer_without = type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer)
    with pytest.raises(GenerationError, match="'no' begins 'no one', and no token ends the text"):
        label_probabilities(model, tokenizer_without, [[5]], labels)


def test_choices_that_need_more_tokens_than_are_left_are_not_begun() -> None:
    model = tiny_llama(6, 0)
    for seed in range(8):
        settings = Decoding(max_new_tokens=1, do_sample=True, seed=seed)
        ((found,),) = generate(model, letters(), [[1]], settings, Constraints(choices=("a", "ab b a")))
        assert found.text == "a"


def test_labels_that_cannot_be_spelled_are_refused() -> None:
    with pytest.raises(GenerationError, match="label 'xyz': no tokens of this tokenizer spell it"):
        label_probabilities(tiny_llama(50), tokenizer_of("whole_words"), [[5]], ["cat", "xyz"])


def test_the_trie() -> None:
    trie = make_trie([[1, 2], [1], [3, 4, 5]], [0])
    assert trie == {1: {2: {0: {}}, 0: {}}, 3: {4: {5: {0: {}}}}}
    assert (shortest(trie), shortest(trie[3]), shortest(trie[1])) == (1, 2, 0)
