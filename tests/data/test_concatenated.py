from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tunesmith.data.concatenated import SourceFile, find_row, first_rows


@given(st.lists(st.lists(st.integers(0, 30), unique=True), min_size=1, max_size=5), st.data())
def test_every_row_is_found_in_its_file_again(parts: list[list[int]], data: st.DataObject) -> None:
    ids = [sorted(part) for part in parts]
    read = [data.draw(st.integers(0, 40)) for _ in ids]
    starts = first_rows(zip(read, ids, strict=True))
    files = [
        SourceFile(f"{i}.csv", "", start, n, own, [10 * row for row in own])
        for i, (start, n, own) in enumerate(zip(starts, read, ids, strict=True))
    ]
    joined = [(start + row, i, row) for i, (start, own) in enumerate(zip(starts, ids, strict=True)) for row in own]
    assert len({row_id for row_id, _, _ in joined}) == len(joined)
    for row_id, i, row in joined:
        place = find_row(files, row_id)
        assert place is not None
        assert (place.file.source, place.row_id, place.file.line(place.row_id)) == (f"{i}.csv", row, 10 * row)


def test_rows_of_one_file_have_no_other_place_and_unknown_lines_are_not_guessed() -> None:
    assert find_row((), 3) is None
    file = SourceFile("a.csv", "", 0, 5, [0, 3], [2, 7])
    assert (file.line(3), file.line(2), file.line(9)) == (7, None, None)
    place = find_row([file], 3)
    assert place is not None
    assert (place.words, place.columns) == ("row 3 of a.csv (line 7)", {"source": "a.csv", "source_row_id": 3, "line": 7})
