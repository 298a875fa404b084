"""LaTeX tables: columns, alignment, bold values, wide tables, and special characters; compiled where latexmk is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.fake_runs import KINDS
from tunesmith.errors import InputError
from tunesmith.recipe.metric_names import higher_is_better
from tunesmith.report.latex import Emphasis, LatexOptions, LatexTable, System, divided, latex, latex_table, read_latex_table
from tunesmith.results import Metric
from tunesmith.workflows.report import emphasis_of, latex_report, report, word_against_baseline

SPECIAL_NAME = '[50%_off] & "more" ~^#$ {x}|<y>\\ --- ü'


def table_of(*values: Sequence[float | None], metric: str = "accuracy") -> LatexTable:
    """A table of one metric with a run for each value."""
    systems = [
        System(f"run {i}", (Metric(metric, "test", *(row if len(row) == 3 else (row[0], None, None)), 10),), Path(f"runs/{i}"))
        for i, row in enumerate(values)
    ]
    return LatexTable(tuple(systems), (metric,), "test")


def body(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("%")]


@pytest.mark.parametrize("intervals", ["cell", "column", "none"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_line_has_the_columns_of_its_tabular(kind: str, intervals: str, write_run: Callable[..., Path]) -> None:
    text = latex_report([write_run(kind, name=SPECIAL_NAME), write_run(kind)], LatexOptions(intervals=intervals))  # type: ignore[arg-type]
    for part in text.split("\\begin{tabular}")[1:]:
        columns = part.split("\n")[0]
        n_columns = len(columns.replace("@{}", "").strip("{}"))
        lines = [line for line in part.split("\\end{tabular}")[0].splitlines() if line.endswith("\\\\")]
        assert len(lines) >= 3
        for line in lines:
            wide = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d)\}", line))
            assert line.replace("\\&", "").count("&") + wide + 1 == n_columns


def test_all_values_of_a_column_have_the_same_decimals() -> None:
    text = latex_table(table_of((0.5,), (12.345,), (-3.0,)), LatexOptions(), Emphasis())
    cells = [line.partition(" & ")[2] for line in body(text) if line.startswith("run")]
    assert cells == ["0 & .50 \\\\", "12 & .35 \\\\", "$-$3 & .00 \\\\"]
    assert "1,234 &  " in latex_table(table_of((1234.4,)), LatexOptions(), Emphasis())
    assert "4 & .00e$-$06" in latex_table(table_of((4e-6,)), LatexOptions(), Emphasis())


def test_the_place_of_the_intervals() -> None:
    table = table_of((0.5, 0.25, 0.75))
    assert "0 & .500 {\\scriptsize [0.250, 0.750]} \\\\" in latex_table(table, LatexOptions(), Emphasis())
    assert "0 & .500 & {\\scriptsize [0.250, 0.750]} \\\\" in latex_table(table, LatexOptions(intervals="column"), Emphasis())
    assert "0 & .500 \\\\" in latex_table(table, LatexOptions(intervals="none"), Emphasis())


def test_metrics_are_chosen_ordered_and_checked(write_run: Callable[..., Path]) -> None:
    run = write_run("binary")
    text = latex_report([run], LatexOptions(metrics=("mcc", "accuracy")))
    assert "system & \\multicolumn{2}{c}{MCC} & \\multicolumn{2}{c}{accuracy} \\\\" in text
    with pytest.raises(InputError, match=r"no run has acc on test\. There are: .*accuracy"):
        latex_report([run], LatexOptions(metrics=("acc",)))


def test_caption_and_label_make_a_float(write_run: Callable[..., Path]) -> None:
    options = LatexOptions(caption="50 % of a_b", label="tab:x")
    run = write_run("binary")
    lines = body(latex_report([run], options))
    assert lines[:4] == ["\\begin{table}[tbp]", "\\centering", "\\caption{50 \\% of a\\_b}", "\\label{tab:x}"]
    assert lines[-1] == "\\end{table}"
    assert "{table}" not in latex_report([run], LatexOptions())


@given(st.lists(st.sampled_from(["accuracy", "macro_f1", "mcc", "auroc", "log_loss"]), unique=True), st.integers(1, 4))
def test_a_wide_table_is_divided_and_keeps_its_metrics(metrics: list[str], width: int) -> None:
    table = LatexTable(table_of((0.5,)).systems, tuple(metrics), "test")
    groups = divided(table, LatexOptions(max_columns=width))
    assert [metric for group in groups for metric in group] == metrics
    assert all(len(group) <= width for group in groups)
    assert len(groups) == max(1, -(-len(metrics) // width))


def test_bold_needs_a_verdict(write_run: Callable[..., Path], tmp_path: Path) -> None:
    good, bad = write_run("binary", name="good"), write_run("binary", name="bad")
    table = read_latex_table([good, bad], ["accuracy"])
    assert not emphasis_of(table).best  # the same run twice
    text = latex_table(table_of((0.5,), (0.9,)), LatexOptions(), Emphasis())
    assert "textbf" not in text
    table = table_of((0.5,), (0.9,))
    text = latex_table(table, LatexOptions(), Emphasis({"accuracy": table.systems[1]}))
    assert body(text)[5] == "run 1 & \\textbf{0} & \\textbf{.900} \\\\"
    assert text.count("textbf") == 2


def test_the_verdict_against_a_baseline_counts_from_both_sides(write_run: Callable[..., Path]) -> None:
    table = read_latex_table([write_run("binary")])
    run, *baselines = table.systems
    assert run.result is not None
    verdicts = [v for v in run.result.verdicts if v.split == "test"]
    words = {(v.metric, v.against): v.word for v in verdicts}
    opposite = {"better": "worse", "worse": "better", "cannot tell": "cannot tell"}
    for baseline in baselines:
        for metric in table.metrics:
            word = words.get((metric, baseline.key))
            assert word_against_baseline(run, baseline, metric, "test") == word
            assert word_against_baseline(baseline, run, metric, "test") == (None if word is None else opposite[word])
    found = emphasis_of(table)
    for metric, system in found.best.items():
        ranked = sorted(table.values(metric), key=lambda item: item[0], reverse=higher_is_better(metric))
        assert ranked[0][1] is system
    assert set(found.best) or found.notes


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a_b\\c", r"a\_b\textbackslash{}c"),
        ("a---b -- c", "a-{}-{}-b -{}- c"),
        ("[a]*", "{[}a{]}{*}"),
        ("R²\n50 %", r"R\textsuperscript{2} 50 \%"),
        ("a\x07b", "a\ufffdb"),
    ],
)
def test_special_characters_are_escaped(text: str, escaped: str) -> None:
    assert latex(text) == escaped


@given(st.text())
def test_no_text_opens_a_command_a_group_or_a_comment(text: str) -> None:
    escaped = latex(text)
    plain = re.sub(r"\\[&%$#_{}]|\\text\w+(\{2?\})|\{\\char34\}|\{[]\[*]\}|\{\}", "", escaped)
    assert not set(plain) & set("\\{}&%$#_~^\n")


def test_python_checks_the_options_of_a_table(write_run: Callable[..., Path]) -> None:
    run = write_run("binary")
    text = report(run, format="latex", table={"metrics": ["accuracy"], "caption": "A"})
    assert "\\caption{A}" in str(text)
    for options, format, message in (
        ({"captoin": "A"}, "latex", "no option 'captoin'. There are: metrics, caption"),
        ({"caption": "A"}, "md", "caption: it is an option of LaTeX tables"),
        ({"intervals": "all"}, "latex", "There are: cell, column, none"),
        ({"label": "a}b"}, "latex", "is no label of LaTeX"),
        ({"max_columns": 0}, "latex", "at least one metric"),
    ):
        with pytest.raises(InputError, match=message):
            report(run, format=format, table=options)  # type: ignore[arg-type]
    assert latex_report([], LatexOptions()) == ""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("latexmk") is None, reason="latexmk is not installed")
@pytest.mark.parametrize("intervals", ["cell", "column", "none"])
def test_tables_compile_and_fit_the_text(intervals: str, write_run: Callable[..., Path], tmp_path: Path) -> None:
    runs = [write_run(kind, name=name) for kind, name in (("binary", SPECIAL_NAME), ("twelve", "a-run-of-a-usual-name"))]
    options = LatexOptions(caption=SPECIAL_NAME, label="tab:a", intervals=intervals)  # type: ignore[arg-type]
    table = read_latex_table(runs)
    bold = Emphasis({metric: table.systems[0] for metric in table.metrics})
    (tmp_path / "table.tex").write_text(latex_table(table, options, bold), encoding="utf-8")
    document = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\\ref{tab:a}\\input{table}\\end{document}"
    (tmp_path / "document.tex").write_text(document, encoding="utf-8")
    command = ["latexmk", "-pdf", "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False)
    log = (tmp_path / "document.log").read_text(encoding="utf-8", errors="replace")
    assert done.returncode == 0, log[-3000:]
    assert "Overfull \\hbox" not in log
    assert "undefined" not in log
