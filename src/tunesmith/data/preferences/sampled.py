"""Makes pairs of a better and a worse answer of the answers that a model sampled to its prompts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tunesmith.data.chat.messages import Turn, Turns
from tunesmith.data.chat.rows import Conversations
from tunesmith.data.preferences.comparisons import Better
from tunesmith.data.preferences.rows import PreferencePairs
from tunesmith.disk import write_text

CUT = "of which fewer than two answers ended within response_length"
EMPTY = "of which fewer than two answers have a text"
SAME = "whose answers are all the same"
TIED = "whose answers are equally good"


@dataclass(frozen=True)
class SampledAnswer:
    """One answer.

    Attributes:
        tokens: new tokens, with that of the end.
        finished: whether it ended by itself.
        reward, gold: None without such a reward.
        kl, kl_start: exact divergence in nats of the policy from the one before the round, and from that before the first round;
            None where they were not measured.
    """

    text: str
    tokens: int
    finished: bool
    reward: float | None = None
    gold: float | None = None
    kl: float | None = None
    kl_start: float | None = None


@dataclass(frozen=True)
class SampledPrompt:
    """The answers to one prompt.

    Attributes:
        index: of the prompt among those of its split.
        row_id: of the prompt in its source.
    """

    split: str
    index: int
    row_id: int
    prompt: str
    answers: tuple[SampledAnswer, ...]


@dataclass(frozen=True)
class SampledPair:
    """Two different answers to one prompt."""

    split: str
    index: int
    first: str
    second: str


@dataclass(frozen=True)
class MadePairs:
    """Pairs whose first answer is the better one, and the prompts of which none was made.

    Attributes:
        left_out: reason -> number of prompts.
    """

    pairs: tuple[SampledPair, ...]
    left_out: Mapping[str, int]


def write_sampled(prompts: Sequence[SampledPrompt], path: Path) -> None:
    """Writes prompts with their answers as JSON lines, whole or not at all."""
    write_text(path, "".join(json.dumps(asdict(prompt), ensure_ascii=False) + "\n" for prompt in prompts))


def read_sampled(path: Path) -> list[SampledPrompt]:
    """Reads what ``write_sampled`` wrote."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return [SampledPrompt(**{**row, "answers": tuple(SampledAnswer(**answer) for answer in row["answers"])}) for row in rows]


def candidates(prompt: SampledPrompt, *, keep_cut: bool) -> list[SampledAnswer] | str:
    """Returns the different answers that a pair can be made of, or the reason why there are fewer than two."""
    with_text = [answer for answer in prompt.answers if answer.text.strip()]
    if len(with_text) < 2:
        return EMPTY
    usable = [answer for answer in with_text if answer.finished or keep_cut]
    if len(usable) < 2:
        return CUT
    different = list({answer.text.strip(): answer for answer in reversed(usable)}.values())[::-1]
    return different if len(different) > 1 else SAME


def pairs_by_reward(prompts: Iterable[SampledPrompt], *, keep_cut: bool) -> MadePairs:
    """Makes a pair of the answers with the highest and the lowest reward to each prompt; of equal ones the earliest."""

    def best_and_worst(found: Sequence[SampledAnswer]) -> tuple[SampledAnswer, SampledAnswer] | str:
        best, worst = (choose(found, key=lambda answer: answer.reward or 0.0) for choose in (max, min))
        return TIED if best.reward == worst.reward else (best, worst)

    return made_pairs(prompts, best_and_worst, keep_cut=keep_cut)


def pairs_to_compare(prompts: Iterable[SampledPrompt], *, keep_cut: bool) -> MadePairs:
    """Makes a pair of the first two different answers to each prompt, which are still to be compared."""
    return made_pairs(prompts, lambda found: (found[0], found[1]), keep_cut=keep_cut)


def made_pairs(
    prompts: Iterable[SampledPrompt],
    choose: Callable[[Sequence[SampledAnswer]], tuple[SampledAnswer, SampledAnswer] | str],
    *,
    keep_cut: bool,
) -> MadePairs:
    """Makes a pair of two candidates of each prompt, and counts the prompts without one by their reason.

    Args:
        choose: two or more different answers -> two of them in their order, or the reason why they are no pair.
    """
    pairs: list[SampledPair] = []
    left_out: Counter[str] = Counter()
    for prompt in prompts:
        found = candidates(prompt, keep_cut=keep_cut)
        chosen = found if isinstance(found, str) else choose(found)
        if isinstance(chosen, str):
            left_out[chosen] += 1
        else:
            pairs.append(SampledPair(prompt.split, prompt.index, chosen[0].text, chosen[1].text))
    return MadePairs(tuple(pairs), dict(left_out))


def compared(made: MadePairs, better: Sequence[Better]) -> MadePairs:
    """Puts the better answer of each pair first, and leaves out ties."""
    pairs = [
        pair if word == "first" else SampledPair(pair.split, pair.index, pair.second, pair.first)
        for pair, word in zip(made.pairs, better, strict=True)
        if word != "tie"
    ]
    n_tied = sum(word == "tie" for word in better)
    return MadePairs(tuple(pairs), {**made.left_out, **({TIED: n_tied} if n_tied else {})})


def preference_pairs(pairs: Sequence[SampledPair], rows: Conversations) -> PreferencePairs:
    """Returns the pairs of one split as rows of a preference run.

    Args:
        rows: the prompts of the split; the last turn of each is an empty answer.
    """
    own = [pair for pair in pairs if pair.split == rows.split]
    return PreferencePairs(
        split=rows.split,
        source=rows.source,
        row_ids=tuple(rows.row_ids[pair.index] for pair in own),
        kind="sampled answers",
        columns=rows.columns,
        prompts=tuple(rows.turns[pair.index][:-1] for pair in own),
        chosen=tuple(answer(pair.first) for pair in own),
        rejected=tuple(answer(pair.second) for pair in own),
        groups=None if rows.groups is None else tuple(rows.groups[pair.index] for pair in own),
    )


def answer(text: str) -> Turns:
    return (Turn("assistant", text),)


def shown_prompt(turns: Turns) -> str:
    """Returns a prompt as a person reads it: its text, or several turns with their roles."""
    asked = turns[:-1]
    if len(asked) == 1:
        return asked[0].content
    return "\n\n".join(f"{turn.role}: {turn.content}" for turn in asked)
