"""Checks the template, the supervised tokens and joined rows, as only language models need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tunesmith.data.cells import plural
from tunesmith.errors import Problem
from tunesmith.models.adapters.unquantised import to_fp32
from tunesmith.models.chat.prompts import certify_rendering, rendered_runs
from tunesmith.models.chat.spans import unwritten_keys
from tunesmith.models.chat.targets import certify_pairs, unwritable
from tunesmith.models.fast.packing import certify_packing
from tunesmith.models.language.seq2seq import certify_decoder
from tunesmith.preflight.report import CheckLine
from tunesmith.preflight.static import from_finding
from tunesmith.preflight.trial_step import proven
from tunesmith.recipe.tree import shorten
from tunesmith.results import Finding
from tunesmith.tasks.language.model import LanguageSession, as_saved
from tunesmith.tasks.language.training import sample_positions

SHOWN_CHARACTERS = 160
UNWRITTEN_REMEDY = (
    "The model is trained without them. Use a model whose template writes them, write them into the contents, or remove them."
)

UNWRITABLE_REMEDY = "Write line breaks and signs that its vocabulary lacks as other words, or add them: model.new_tokens."
UNENDED_REMEDY = "The model does not learn to stop there. Raise data.max_length, or shorten these answers."


def unwritten_parts(session: LanguageSession) -> Iterator[Finding]:
    """Finds the thoughts, calls and tools of each split that the chat template does not write."""
    for rows in session.data.rows.named().values():
        row_ids: dict[str, list[int]] = {}
        for row_id, keys in zip(rows.row_ids, unwritten_keys(session.tokenizer, session.template, rows.turns), strict=True):
            for key in keys:
                row_ids.setdefault(key, []).append(row_id)
        for key, ids in row_ids.items():
            carry = f"{len(ids):,} of {plural(len(rows), 'row')} of {rows.split} carry {key}"
            summary = f"{carry}, which the chat template ({session.template.name}) drops"
            yield about_rows("not_written", summary, rows.split, ids, UNWRITTEN_REMEDY)


def about_rows(name: str, summary: str, split: str, row_ids: Sequence[int], remedy: str) -> Finding:
    """Builds a finding about rows of one split."""
    rows = tuple({"row_id": row_id, "split": split} for row_id in row_ids)
    return Finding(name, summary, len(rows), rows=rows, remedy=remedy)


def decoder_checks(session: LanguageSession) -> Iterator[CheckLine]:
    """Checks what the decoder of an encoder-decoder gets, and that the tokenizer can write the answers."""
    rows, model = session.train, as_saved(session).model
    proof = certify_decoder(model, rows.input_ids, rows.labels, session.pad_id)
    yield proven(
        proof, "The decoder would be asked for tokens that it was given, or begin with another token than it generates from."
    )
    for split in session.data.rows.named().values() if session.data.rows.train.kind != "text" else ():
        if texts := unwritable(session.tokenizer, session.template, split):
            row_id, text = next(iter(texts.items()))
            count = f"{len(texts):,} of {plural(len(split), 'answer')} of {split.split}"
            summary = f"the tokenizer cannot write {count} as given: row {row_id} becomes {shorten(text)!r}"
            yield from_finding(about_rows("unwritable", summary, split.split, list(texts), UNWRITABLE_REMEDY))


def model_checks(session: LanguageSession) -> Iterator[CheckLine]:
    """Checks the template, the share of supervised tokens, the ends of answers, and the isolation of joined rows."""
    rows, conversations = session.train, session.data.rows.train
    if conversations.kind != "text":
        if rows.has_targets:
            proof = certify_pairs(session.tokenizer, session.template, conversations)
        else:
            proof = certify_rendering(session.tokenizer, session.template, conversations, loss_on=rows.loss_on)
        yield CheckLine("template", session.template.sentence(has_encoder=rows.has_targets))
        yield from map(from_finding, unwritten_parts(session))
        yield proven(proof, "In training an answer would follow other tokens than at inference.")
    n_supervised, n_tokens = rows.target_tokens, rows.tokens
    problem = None
    if n_supervised == 0:
        remedy = "Write sft.loss_on: all, or look at the rows with tunesmith trace."
        problem = Problem("supervised tokens", "", "no token is supervised.", remedy)
    figure = f"{n_supervised:,} of {plural(n_tokens, 'token')} ({n_supervised / max(1, n_tokens):.0%})"
    yield CheckLine("supervised tokens", figure, problem)
    if len(rows.input_ids):
        runs = rendered_runs(session.tokenizer, rows, 0)
        text = "".join(f"⟦{part}⟧" if supervised else part for part, supervised in runs).replace("\n", "⏎")
        if len(text) > SHOWN_CHARACTERS:
            text = f"{text[: SHOWN_CHARACTERS // 2]} … {text[-SHOWN_CHARACTERS // 2 :]}"
        yield CheckLine("sample", text)
    ends = rows.without_end
    summary = f"{plural(len(ends), 'row', 'has', 'have')} an answer without a supervised end"
    if ends:
        yield from_finding(about_rows("ends", summary, rows.split, ends, UNENDED_REMEDY))
    else:
        yield CheckLine("ends", "the end of every answer is supervised")
    if rows.has_targets:
        yield from decoder_checks(session)
    if session.tokens.is_joined:
        sample = [session.tokens.input_ids[i] for i in sample_positions(session.tokens)]
        saved = as_saved(session)  # in 8 bits a row depends on the others of its batch
        if saved is not session:
            to_fp32(saved.model)
        isolation = certify_packing(saved.model, sample, session.pad_id, session.max_length)
        yield proven(isolation, "Rows in one sequence would attend to each other. Write packing: false and padding_free: false.")
