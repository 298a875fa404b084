"""What is wrong with conversations: turns out of order, empty, repeated, cut off, with a template's tokens in them; and leaks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise

from tunesmith.data.chat.conversations import Conversations, Turn
from tunesmith.data.normalise import normalise
from tunesmith.results import Finding

SHOWN = 20
SEVERAL_PROMPTS = 3
"""An answer to fewer different prompts may be right for each."""
SAID_WORDS = 4
"""A shorter answer is a label, a number or a name, which many prompts may share."""
PROMPT_WORDS = 5
"""A shorter prompt may well be said again in its answer."""
CUT_ROWS = 5
CUT_CHARACTERS = 100
"""Answers that were cut at a limit are longer than this."""
CUT_NEIGHBOURS = 4.0
"""So many times as many answers end at a suspicious length as at each of those around it."""
FINISHED = re.compile(r"""[.!?…。！？:;`)\]}>*"'”’»~|]$|\d$""")
THOUGHTS = (("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<reasoning>", "</reasoning>"), ("<thought>", "</thought>"))
TEMPLATE_TOKENS = (
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|begin_of_text|>",
    "<|end_of_text|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>", "<|return|>", "<|channel|>", "<|message|>",
    "<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>", "<s>", "</s>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>",
    "<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>", "### Instruction:", "### Response:",
)  # fmt: skip

Flagged = Iterator[tuple[int, str]]
"""Positions of conversations, each with what is wrong."""


def findings_of(
    splits: Mapping[str, Conversations], *, joined: bool = False, special_tokens: Sequence[str] = (),
    answer_tokens: Mapping[str, Sequence[int]] | None = None,
) -> tuple[Finding, ...]:  # fmt: skip
    """What was found in the rows of a language model's run; those that judge are also looked for in train.

    Args:
        splits: train, and the judged ones.
        joined: prompts and answers are joined as they are, without a template.
        special_tokens: of the tokenizer, beside the usual ones.
        answer_tokens: split -> tokens of each row's last answer (N), by which a limit on tokens can be seen.
    """
    found: list[Finding | None] = [*left_out(splits)]
    for rows in splits.values():
        checks = TEXT_CHECKS if rows.form == "text" else CONVERSATION_CHECKS
        found += [finding(name, rows, check(rows), summary, remedy) for name, check, summary, remedy in checks]
        found.append(template_tokens(rows, special_tokens))
        if rows.form != "text":
            found.append(cut_off(rows, (answer_tokens or {}).get(rows.split)))
    train = splits.get("train")
    if train is not None:
        if joined and train.form != "text":
            found.append(without_gap(train))
        found += [leaked(train, rows) for rows in splits.values() if rows is not train]
    return tuple(one for one in found if one is not None)


def left_out(splits: Mapping[str, Conversations]) -> Iterator[Finding]:
    """Rows that are not used, by reason."""
    for rows in splits.values():
        for reason, ids in rows.left_out.items():
            summary = f"{len(ids):,} rows of {rows.split} {reason} are not used"
            shown = tuple({"row_id": i, "split": rows.split, "reason": reason} for i in ids[:SHOWN])
            yield Finding("dropped_rows", summary, len(ids), rows=shown, remedy="Correct them, or leave them out of the file.")


def finding(name: str, rows: Conversations, flagged: Flagged, summary: str, remedy: str) -> Finding | None:
    """The finding about the flagged rows; None where there are none. Each row counts once."""
    reasons: dict[int, str] = {}
    for position, reason in flagged:
        reasons.setdefault(position, reason)
    if not reasons:
        return None
    shown = tuple(
        {"row_id": rows.row_ids[position], "split": rows.split, "reason": reason}
        for position, reason in list(reasons.items())[:SHOWN]
    )
    what = summary.format(count=f"{len(reasons):,} of {len(rows):,} rows of {rows.split}")
    return Finding(name, what, len(reasons), rows=shown, remedy=remedy)


def roles_out_of_order(rows: Conversations) -> Flagged:
    """A system turn that is not first, an answer before any question, and two turns of one speaker in a row."""
    for position, turns in enumerate(rows.turns):
        reason = disorder([turn.role for turn in turns])
        if reason:
            yield position, reason


def disorder(roles: Sequence[str]) -> str:
    """What is wrong with the order of roles; empty where nothing is."""
    if "system" in roles[1:]:
        return f"turn {roles.index('system', 1) + 1} is the system's, which speaks first or not at all"
    spoken = [role for role in roles if role != "system"]
    if spoken and spoken[0] != "user":
        return f"the {spoken[0]} speaks before the user"
    for place, (before, role) in enumerate(pairwise(roles), 2):
        if before == role and role != "tool":  # several tools may answer one after the other
            return f"turns {place - 1} and {place} are both the {role}'s"
        if (before, role) == ("user", "tool"):
            return f"turn {place} is a tool's, which no turn of the assistant called"
    return ""


def empty_turns(rows: Conversations) -> Flagged:
    for position, turns in enumerate(rows.turns):
        empty = [place for place, turn in enumerate(turns, 1) if not turn.content.strip()]
        if empty:
            yield position, f"turn {empty[0]} of {len(turns)}, the {turns[empty[0] - 1].role}'s, is empty"


def same_answers(rows: Conversations) -> Flagged:
    """Answers of four words and more that are given to three different prompts or more; the most frequent first."""
    prompts: dict[str, dict[str, int]] = {}
    for position, turns in enumerate(rows.turns):
        prompts.setdefault(normalise(turns[-1].content), {}).setdefault(prompt_key(turns), position)
    many = [(answer, asked) for answer, asked in prompts.items() if len(asked) >= SEVERAL_PROMPTS]
    for answer, asked in sorted(many, key=lambda item: -len(item[1])):
        if len(answer.split()) >= SAID_WORDS:
            for position in asked.values():
                yield position, f"{len(asked):,} different prompts have this answer: {clipped(rows.turns[position][-1].content)}"


def repeated_turns(rows: Conversations) -> Flagged:
    """One speaker says the same twice in one conversation."""
    for position, turns in enumerate(rows.turns):
        seen: dict[tuple[str, str], int] = {}
        for place, turn in enumerate(turns, 1):
            first = seen.setdefault((turn.role, normalise(turn.content)), place)
            if first != place and turn.content.strip():
                yield position, f"turns {first} and {place} of the {turn.role} are the same"
                break


def unclosed_thoughts(rows: Conversations) -> Flagged:
    """Blocks of thought that are opened and not closed, or the other way round."""
    for position, turns in enumerate(rows.turns):
        for turn in turns:
            for opened, closed in THOUGHTS:
                n_opened, n_closed = turn.content.count(opened), turn.content.count(closed)
                if turn.role == "assistant" and n_opened != n_closed:
                    yield position, f"an answer has {opened} {n_opened} times and {closed} {n_closed} times"


def echoed_prompts(rows: Conversations) -> Flagged:
    """Answers that hold all of what was asked."""
    for position, turns in enumerate(rows.turns):
        asked = normalise(next((turn.content for turn in reversed(turns[:-1]) if turn.role == "user"), ""))
        if len(asked.split()) >= PROMPT_WORDS and f" {asked} " in f" {normalise(turns[-1].content)} ":
            yield position, f"the answer holds its prompt: {clipped(asked)}"


def repeated_rows(rows: Conversations) -> Flagged:
    """Rows that stand in the split before, with all their turns."""
    first: dict[str, int] = {}
    for position, turns in enumerate(rows.turns):
        found = first.setdefault(row_key(turns), position)
        if found != position:
            yield position, f"the same as row {rows.row_ids[found]}"


Check = tuple[str, Callable[[Conversations], Flagged], str, str]
REPEATED: Check = (
    "repeated_rows", repeated_rows, "{count} repeat another row word for word",
    "Remove them: what stands twice is learnt twice as much.",
)  # fmt: skip
TEXT_CHECKS: tuple[Check, ...] = (REPEATED,)
CONVERSATION_CHECKS: tuple[Check, ...] = (
    (
        "roles_out_of_order", roles_out_of_order, "{count} have roles out of order",
        "Join turns of one speaker, put the system's first, and let the user begin; some templates refuse such rows.",
    ),
    ("empty_turns", empty_turns, "{count} have an empty turn", "Fill or remove it."),
    (
        "same_answers", same_answers, "{count} have an answer that several different prompts have, word for word",
        "Keep a few of them at most: the model learns to say this whatever it is asked.",
    ),
    ("repeated_turns", repeated_turns, "{count} have a turn that repeats one before it", "Remove the repeated turns."),
    (
        "unclosed_thoughts", unclosed_thoughts, "{count} have a block of thought without its beginning or end",
        "Close or remove it: a model that learns it never comes to the answer.",
    ),
    (
        "echoed_prompts", echoed_prompts, "{count} have an answer that holds its whole prompt",
        "Cut the prompt out of the answer, unless the answer quotes it on purpose.",
    ),
    REPEATED,
)  # fmt: skip


def template_tokens(rows: Conversations, special_tokens: Sequence[str]) -> Finding | None:
    """Words of chat templates inside contents, which the tokenizer may read as the end or the beginning of a turn."""
    wanted = re.compile("|".join(map(re.escape, sorted({*TEMPLATE_TOKENS, *special_tokens}, key=len, reverse=True))))

    def flagged() -> Flagged:
        for position, turns in enumerate(rows.turns):
            for turn in turns:
                if found := wanted.search(turn.content):
                    who = "the text" if turn.role == "text" else f"a turn of the {turn.role}"
                    yield position, f"{who} holds {found.group()!r}"

    remedy = "Take them out: the rows were rendered with a template before, or quote one, and are read as turns of their own."
    return finding("template_tokens", rows, flagged(), "{count} hold special tokens of a chat template", remedy)


def cut_off(rows: Conversations, tokens: Sequence[int] | None) -> Finding | None:
    """Answers that stop in the middle of a sentence at a length at which suspiciously many do.

    Args:
        tokens: of each row's last answer; also looked at where they are known.
    """
    answers = [turns[-1].content.rstrip() for turns in rows.turns]
    open_ended = [i for i, text in enumerate(answers) if len(text) >= CUT_CHARACTERS and not FINISHED.search(text)]
    lengths: dict[str, Sequence[int]] = {
        "characters": list(map(len, answers)), "words": [len(text.split()) for text in answers],
    }  # fmt: skip
    if tokens is not None:
        lengths["tokens"] = tokens

    def flagged() -> Flagged:
        for unit, sizes in lengths.items():
            limits = common_lengths([sizes[i] for i in open_ended])
            yield from ((i, f"it stops without an end after {sizes[i]:,} {unit}") for i in open_ended if sizes[i] in limits)

    remedy = "Make these answers again with a higher limit, or leave them out: the model learns to stop in the middle."
    return finding("cut_off_answers", rows, flagged(), "{count} have an answer that seems cut off at a limit", remedy)


def common_lengths(sizes: Sequence[int]) -> set[int]:
    """The lengths at which several times as many end as at those within 5 % around."""
    counts = Counter(sizes)
    found = set()
    for size, count in counts.items():
        reach = max(2, round(0.05 * size))
        around = [counts.get(size + step, 0) for step in range(-reach, reach + 1) if step]
        if count >= CUT_ROWS and count >= CUT_NEIGHBOURS * max(1.0, sum(around) / len(around)):
            found.add(size)
    return found


def without_gap(rows: Conversations) -> Finding | None:
    """Prompts and answers that meet inside a word, where they are joined as they are."""

    def flagged() -> Flagged:
        for position, turns in enumerate(rows.turns):
            before, answer = turns[-2].content if len(turns) > 1 else "", turns[-1].content
            if before and answer and not before[-1].isspace() and not answer[0].isspace():
                yield position, f"{before[-20:]!r} is followed by {answer[:20]!r}"

    remedy = "Choose a template (sft.chat_template: dialogue), or let answers begin with a space or a new line."
    summary = "{count} have nothing between prompt and answer, which are joined as they are"
    return finding("no_gap_before_answer", rows, flagged(), summary, remedy)


def leaked(train: Conversations, judged: Conversations) -> Finding | None:
    """Rows that judge and whose prompt (of a text, all of it) stands in train."""
    known = {prompt_key(turns): row_id for row_id, turns in zip(train.row_ids, train.turns, strict=True)}
    flagged = (
        (position, f"asked in row {known[key]} of train as well")
        for position, turns in enumerate(judged.turns)
        if (key := prompt_key(turns)) in known
    )
    remedy = "Remove them from train: what is judged on them was learnt by heart."
    return finding(f"leakage_{judged.split}", judged, flagged, "{count} ask what stands in train as well", remedy)


def prompt_key(turns: Sequence[Turn]) -> str:
    """What stands before the last answer, normalised; of a text all of it."""
    return row_key(turns[:-1] if turns[-1].role == "assistant" else turns)


def row_key(turns: Sequence[Turn]) -> str:
    return "\n".join(f"{turn.role} {normalise(turn.content)}" for turn in turns)


def clipped(text: str, length: int = 60) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"
