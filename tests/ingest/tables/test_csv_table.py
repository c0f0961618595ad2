"""CSV as people write it: a row that would be read wrongly is refused, with its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from walt.core.errors import ConfigurationError
from walt.ingest.sources.folders import LocalFolder
from walt.ingest.tables.cells import BadValue, Columns
from walt.ingest.tables.read import read_rows

TEXTS: Columns = {"path": "text", "caption": "text"}


def rows(folder: Path, content: str | bytes, name: str = "t.csv") -> list[tuple[Any, ...]]:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return [(row.line, *row.values) for row in read_rows(LocalFolder(folder), name, TEXTS)]


def test_a_row_with_more_fields_than_the_header_is_refused_with_both_counts(tmp_path: Path) -> None:
    found = rows(tmp_path, "path,caption\na.mp4,a kite, over a beach\nb.mp4,a dog\n")
    assert found[0][0] == 2
    assert isinstance(found[0][1], BadValue)
    assert found[0][1].cause.startswith("3 fields, but the header has 2")
    assert found[1] == (3, "b.mp4", "a dog")


def test_a_quote_after_a_blank_is_honoured_where_the_header_has_blanks_and_else_refused(tmp_path: Path) -> None:
    row = 'a.mp4, "two dogs, one ball"\n'
    assert rows(tmp_path, f"path, caption\n{row}") == [(2, "a.mp4", "two dogs, one ball")]
    (refused,) = rows(tmp_path, f"path,caption\n{row}")
    assert isinstance(refused[1], BadValue)
    (refused,) = rows(tmp_path, 'path,caption\na.mp4, "a dog"\n')
    assert "a quote after a blank" in refused[1].cause


@pytest.mark.parametrize("first", ["sep=;\r\n", "SEP=;\n", '"sep=;"\n'])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_line_before_the_header_may_say_the_delimiter(tmp_path: Path, first: str, encoding: str) -> None:
    text = first + "path;caption\r\na.mp4;a cat, a dog\r\nb.mp4\r\n"
    assert rows(tmp_path, text.encode(encoding)) == [(3, "a.mp4", "a cat, a dog"), (4, "b.mp4", None)]
    (tmp_path / "t.csv").write_text("sep=,\n", encoding=encoding)
    with pytest.raises(ConfigurationError, match="no column 'path'"):
        list(read_rows(LocalFolder(tmp_path), "t.csv", TEXTS))


@pytest.mark.parametrize("content", ['path,caption\na.mp4,a cat\nb.mp4,"a dog\nc.mp4,a cow\n', 'path,caption\n\n\n"b'])
def test_a_quoted_field_that_never_ends_names_the_line_where_it_begins(tmp_path: Path, content: str) -> None:
    line = content[: content.index('"')].count("\n") + 1
    with pytest.raises(ConfigurationError, match=rf"t\.csv, line {line}: a quoted field begins here and never ends"):
        rows(tmp_path, content)


def test_text_after_a_closing_quote_is_not_valid(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"t\.csv, line 2: not valid CSV"):
        rows(tmp_path, 'path,caption\n"a.mp4"x,a cat\n')


def test_in_a_tsv_quotes_are_text_unless_the_header_has_them(tmp_path: Path) -> None:
    plain = 'path\tcaption\n1.mp4\t"55 inch tv\n2.mp4\tcalled "rex"\n'
    assert rows(tmp_path, plain, "t.tsv") == [(2, "1.mp4", '"55 inch tv'), (3, "2.mp4", 'called "rex"')]
    quoted = '"path"\t"caption"\n"1.mp4"\t"a\ttab"\n'
    assert rows(tmp_path, quoted, "t.tsv") == [(2, "1.mp4", "a\ttab")]


def test_in_a_tsv_quotes_around_doubled_ones_are_quoting_and_those_over_two_lines_are_refused(tmp_path: Path) -> None:
    doubled = 'path\tcaption\n1.mp4\t"a ""red"" cat"\n2.mp4\t"a" dog\n3.mp4\t""\n'
    assert rows(tmp_path, doubled, "t.tsv") == [(2, "1.mp4", 'a "red" cat'), (3, "2.mp4", '"a" dog'), (4, "3.mp4", "")]
    broken = 'path\tcaption\n1.mp4\t"a\nred cat"\n2.mp4\ta dog\n3.mp4\t"55 inch tv\n'
    first, second, *others = rows(tmp_path, broken, "t.tsv")
    assert [first[0], second[0]] == [2, 3]
    assert all(isinstance(row[1], BadValue) for row in (first, second))
    assert others == [(4, "2.mp4", "a dog"), (5, "3.mp4", '"55 inch tv')]


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_other_marks_between_fields_are_found_by_the_header(tmp_path: Path, mark: str) -> None:
    assert rows(tmp_path, f"path{mark}caption\na.mp4{mark}a cat, a dog\n") == [(2, "a.mp4", "a cat, a dog")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_not_part_of_the_first_column(tmp_path: Path, encoding: str) -> None:
    assert rows(tmp_path, "path,caption\nä.mp4,eine Katze\n".encode(encoding)) == [(2, "ä.mp4", "eine Katze")]


@pytest.mark.parametrize(
    ("content", "said"), [("", "none: the table is empty"), ("videos,texts\n", r"columns: videos, texts")]
)
def test_a_table_without_the_columns_says_which_it_has(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"no column 'path'.*{said}"):
        rows(tmp_path, content)
