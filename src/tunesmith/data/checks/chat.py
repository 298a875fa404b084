"""Checks conversations: turns out of order, empty, repeated, cut off, with a template's tokens in them; and leakage."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from tunesmith.data.cells import is_missing, plain_class_name, plural
from tunesmith.data.chat.messages import Turn, json_of, tools_of
from tunesmith.data.chat.rows import Conversations, last_answer
from tunesmith.data.checks.rows import Flagged, dropped_rows, leakage, row_finding
from tunesmith.data.column_names import plain_name
from tunesmith.data.normalise import normalise
from tunesmith.data.preferences.formats import JUDGEMENT
from tunesmith.data.preferences.judgements import BAD_WORDS, GOOD_WORDS
from tunesmith.recipe.tree import shorten
from tunesmith.results import Finding

MIN_PROMPTS = 3
"""An answer to fewer different prompts may be right for each."""
MIN_ANSWER_WORDS = 4
"""A shorter answer is a label, a number or a name, which many prompts may share."""
MIN_PROMPT_WORDS = 5
"""A shorter prompt may occur in its answer by chance."""
MIN_CUT_ROWS = 5
MIN_CUT_CHARACTERS = 100
"""Shorter answers are not taken as cut off at a limit."""
CUT_RATIO = 4.0
"""Ratio of the answers that end at a suspicious length to those at the lengths around it."""
FINISHED = re.compile(r"""[.!?…。！？:;`)\]}>*"'”’»~|]$|\d$""")
THOUGHTS = (("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<reasoning>", "</reasoning>"), ("<thought>", "</thought>"))
TEMPLATE_TOKENS = (
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|begin_of_text|>",
    "<|end_of_text|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>", "<|return|>", "<|channel|>", "<|message|>",
    "<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>", "<s>", "</s>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>",
    "<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>", "### Instruction:", "### Response:",
)  # fmt: skip


def check_rows(
    splits: Mapping[str, Conversations],
    *,
    joined: bool = False,
    special_tokens: Sequence[str] = (),
    answer_tokens: Mapping[str, Sequence[int]] | None = None,
) -> tuple[Finding, ...]:
    """Runs all checks on the rows of a language model's run; rows of evaluation splits are also looked up in train.

    Args:
        splits: train and the evaluation splits.
        joined: prompts and answers are concatenated without a template.
        special_tokens: the tokenizer's, beside the usual ones.
        answer_tokens: split -> tokens of each row's last answer (N), which reveal a limit on tokens.
    """
    findings: list[Finding | None] = [*dropped_rows(splits.values())]
    for rows in splits.values():
        checks = TEXT_CHECKS if rows.kind == "text" else CONVERSATION_CHECKS
        findings += [row_finding(name, rows, check(rows), summary, remedy) for name, check, summary, remedy in checks]
        findings.append(template_tokens(rows, special_tokens))
        if rows.kind != "text":
            findings.append(cut_off(rows, (answer_tokens or {}).get(rows.split)))
    train = splits.get("train")
    if train is not None:
        if joined and train.kind != "text":
            findings.append(without_gap(train))
        others = [rows for rows in splits.values() if rows is not train]
        findings += leakage(train, others, prompt_keys, "prompt", "{count} have a prompt of train")
    return tuple(finding for finding in findings if finding is not None)


def roles_out_of_order(rows: Conversations) -> Flagged:
    """Finds a system turn that is not first, an answer before any question, and two turns of one role in a row."""
    for position, turns in enumerate(rows.turns):
        if reason := role_error([turn.role for turn in turns]):
            yield position, reason


def judged_bad(rows: Conversations) -> Flagged:
    """Finds answers that an unread column such as ``label`` judges bad, where it judges others good."""
    names = [name for name in (rows.rows[0] if rows.rows else ()) if plain_name(name) in JUDGEMENT and name not in rows.columns]
    for name in names:
        words = {i: plain_class_name(row[name]).casefold() for i, row in enumerate(rows.rows) if not is_missing(row[name])}
        given = {*words.values()}
        if given & GOOD_WORDS and given <= GOOD_WORDS | BAD_WORDS:
            yield from ((position, f"{name} is {word}") for position, word in words.items() if word in BAD_WORDS)


def role_error(roles: Sequence[str]) -> str:
    """Describes the error in the order of roles; empty if there is none."""
    if "system" in roles[1:]:
        return f"turn {roles.index('system', 1) + 1} is the system's, which has to be the first"
    others = [role for role in roles if role != "system"]
    if others and others[0] != "user":
        return f"a turn of the {others[0]} comes before the user's first"
    for number, (before, role) in enumerate(pairwise(roles), 2):
        if before == role and role != "tool":  # several tools may answer one after the other
            return f"turns {number - 1} and {number} are both the {role}'s"
        if (before, role) == ("user", "tool"):
            return f"turn {number} is a tool's, which no turn of the assistant called"
    return ""


def empty_turns(rows: Conversations) -> Flagged:
    for position, turns in enumerate(rows.turns):
        empty = [number for number, turn in enumerate(turns, 1) if turn.is_empty]
        if empty:
            yield position, f"turn {empty[0]} of {len(turns)}, the {turns[empty[0] - 1].role}'s, is empty"


def same_answers(rows: Conversations) -> Flagged:
    """Finds answers of four words and more to three different prompts and more; the most frequent first."""
    prompts: dict[str, dict[str, int]] = {}
    for position, turns in enumerate(rows.turns):
        prompts.setdefault(normalise(last_answer(turns)), {}).setdefault(prompt_key(turns), position)
    frequent = [(answer, positions) for answer, positions in prompts.items() if len(positions) >= MIN_PROMPTS]
    for answer, positions in sorted(frequent, key=lambda item: -len(item[1])):
        if len(answer.split()) >= MIN_ANSWER_WORDS:
            for position in positions.values():
                shown = shorten(" ".join(last_answer(rows.turns[position]).split()))
                yield position, f"{plural(len(positions), 'different prompt', 'has', 'have')} this answer: {shown}"


def repeated_turns(rows: Conversations) -> Flagged:
    """Finds turns that repeat an earlier turn of their role in one conversation."""
    for position, turns in enumerate(rows.turns):
        seen: dict[tuple[str, str], int] = {}
        for number, turn in enumerate(turns, 1):
            first = seen.setdefault((turn.role, normalise(turn.text)), number)
            if first != number and not turn.is_empty:
                yield position, f"turns {first} and {number} of the {turn.role} are the same"
                break


def unclosed_thoughts(rows: Conversations) -> Flagged:
    """Finds reasoning blocks that are opened and not closed, or closed and not opened."""
    for position, turns in enumerate(rows.turns):
        for turn in turns:
            for opened, closed in THOUGHTS:
                n_opened, n_closed = turn.content.count(opened), turn.content.count(closed)
                if turn.role == "assistant" and n_opened != n_closed:
                    yield position, f"an answer has {opened} {plural(n_opened, 'time')} and {closed} {plural(n_closed, 'time')}"


def echoed_prompts(rows: Conversations) -> Flagged:
    """Finds answers that hold their whole prompt."""
    for position, turns in enumerate(rows.turns):
        prompt = normalise(next((turn.content for turn in reversed(turns[:-1]) if turn.role == "user"), ""))
        if len(prompt.split()) >= MIN_PROMPT_WORDS and f" {prompt} " in f" {normalise(turns[-1].content)} ":
            yield position, f"the answer holds its prompt: {shorten(prompt)}"


def repeated_rows(rows: Conversations) -> Flagged:
    """Finds rows that repeat an earlier row of the split with all its turns."""
    first: dict[str, int] = {}
    for position, turns in enumerate(rows.turns):
        earlier = first.setdefault(f"{row_key(turns)}\n{json_of(tools_of(turns))}", position)
        if earlier != position:
            yield position, f"the same as row {rows.row_ids[earlier]}"


Check = tuple[str, Callable[[Conversations], Flagged], str, str]
REPEATED: Check = (
    "repeated_rows",
    repeated_rows,
    "{count} repeat another row word for word",
    "Remove them: repeated rows have twice the weight in the loss.",
)
TEXT_CHECKS: tuple[Check, ...] = (REPEATED,)
CONVERSATION_CHECKS: tuple[Check, ...] = (
    (
        "roles_out_of_order",
        roles_out_of_order,
        "{count} have roles out of order",
        "Join consecutive turns of one role, put the system's first, and begin with the user; some templates reject such rows.",
    ),
    ("empty_turns", empty_turns, "{count} have an empty turn", "Fill or remove it."),
    (
        "judged_bad",
        judged_bad,
        "{count} have an answer that is judged bad, and is learnt like the good ones",
        "Remove these rows, or train on them with task: preference and loss_type: kto.",
    ),
    (
        "same_answers",
        same_answers,
        "{count} have an answer that several different prompts have, word for word",
        "Keep a few of them at most: the model learns to give this answer to any prompt.",
    ),
    ("repeated_turns", repeated_turns, "{count} have a turn that repeats one before it", "Remove the repeated turns."),
    (
        "unclosed_thoughts",
        unclosed_thoughts,
        "{count} have a reasoning block without its beginning or end",
        "Close or remove it: a model that learns it does not reach the answer.",
    ),
    (
        "echoed_prompts",
        echoed_prompts,
        "{count} have an answer that holds its whole prompt",
        "Cut the prompt out of the answer, unless the answer quotes it on purpose.",
    ),
    REPEATED,
)


def template_tokens(rows: Conversations, special_tokens: Sequence[str]) -> Finding | None:
    """Finds special tokens in contents. In prompts and answers they are text; in plain texts control tokens."""
    pattern = re.compile("|".join(map(re.escape, sorted({*TEMPLATE_TOKENS, *special_tokens}, key=len, reverse=True))))
    flagged = []
    for position, turns in enumerate(rows.turns):
        for turn in turns:
            if match := pattern.search(turn.text):
                where = "the text" if turn.role == "text" else f"a turn of the {turn.role}"
                flagged.append((position, f"{where} holds {match.group()!r}"))
    if rows.kind == "text":
        remedy = "The tokenizer reads them as control tokens, such as the end of a text. Remove those that are not meant so."
    else:
        remedy = "They are read as text, never as the end of a turn. Give the rows as turns if a template wrote them."
    return row_finding("template_tokens", rows, flagged, "{count} hold special tokens of a chat template", remedy)


def cut_off(rows: Conversations, tokens: Sequence[int] | None) -> Finding | None:
    """Finds answers that stop in mid-sentence at a suspiciously frequent length, also in ``tokens`` where those are known."""
    answers = [turns[-1].content.rstrip() for turns in rows.turns]
    open_ended = [i for i, text in enumerate(answers) if len(text) >= MIN_CUT_CHARACTERS and not FINISHED.search(text)]
    lengths: dict[str, Sequence[int]] = {"characters": list(map(len, answers)), "words": [len(text.split()) for text in answers]}
    if tokens is not None:
        lengths["tokens"] = tokens
    flagged: list[tuple[int, str]] = []
    for unit, sizes in lengths.items():
        limits = common_lengths([sizes[i] for i in open_ended])
        flagged += [(i, f"it stops without an end after {sizes[i]:,} {unit}") for i in open_ended if sizes[i] in limits]
    remedy = "Generate these answers again with a higher limit, or remove them: the model learns to stop in the middle."
    return row_finding("cut_off_answers", rows, flagged, "{count} have an answer that seems cut off at a limit", remedy)


def common_lengths(sizes: Sequence[int]) -> set[int]:
    """Returns the lengths that are several times as frequent as the lengths within 5 % around them."""
    counts = Counter(sizes)
    common = set()
    for size, count in counts.items():
        reach = max(2, round(0.05 * size))
        around = [counts.get(size + step, 0) for step in range(-reach, reach + 1) if step]
        if count >= MIN_CUT_ROWS and count >= CUT_RATIO * max(1.0, sum(around) / len(around)):
            common.add(size)
    return common


def without_gap(rows: Conversations) -> Finding | None:
    """Finds prompts and answers without white space between them, where they are concatenated as they are."""
    flagged = []
    for position, turns in enumerate(rows.turns):
        before, answer = turns[-2].content if len(turns) > 1 else "", turns[-1].content
        if before and answer and not before[-1].isspace() and not answer[0].isspace():
            flagged.append((position, f"{before[-20:]!r} is followed by {answer[:20]!r}"))
    remedy = "Choose a template (sft.chat_template: dialogue), or let answers begin with a space or a new line."
    summary = "{count} have nothing between prompt and answer, which are joined as they are"
    return row_finding("no_gap_before_answer", rows, flagged, summary, remedy)


def prompt_keys(rows: Conversations) -> list[str]:
    """Returns the key of each row's prompt (N), see ``prompt_key``."""
    return [prompt_key(turns) for turns in rows.turns]


def prompt_key(turns: Sequence[Turn]) -> str:
    """Returns the normalised turns before the last answer; for a text the whole text."""
    return row_key(turns[:-1] if turns[-1].role == "assistant" else turns)


def row_key(turns: Sequence[Turn]) -> str:
    return "\n".join(f"{turn.role} {normalise(turn.text)}" for turn in turns)
