"""Tables of any size: columns by name and type, cells that are not text, lists that are literals and nothing else."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.traced_memory import call_within
from walt.core.errors import ConfigurationError
from walt.ingest.sources.folders import LocalFolder, glob_expression
from walt.ingest.tables.cells import BadValue, Columns, literal_list
from walt.ingest.tables.read import read_rows
from walt.ingest.tables.spans import make_span, seconds

TEXTS: Columns = {"path": "text", "caption": "text"}
MIXED: Columns = {"id": "text", "start": "number", "spans": "list"}


def rows(folder: Path, table: str, columns: Columns, optional: Columns | None = None) -> list[tuple[Any, ...]]:
    return [row.values for row in read_rows(LocalFolder(folder), table, columns, optional)]


def write(folder: Path, name: str, columns: dict[str, Any]) -> None:
    """The same table as CSV, TSV or Parquet."""
    if name.endswith(".parquet"):
        pq.write_table(pa.table(columns), folder / name)
        return
    mark = "\t" if name.endswith(".tsv") else ","
    quoted = [[name, *map(str, values)] for name, values in columns.items()]
    lines = [mark.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in zip(*quoted, strict=True)]
    (folder / name).write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.parquet", "T.PARQUET"])
def test_every_table_format_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    write(tmp_path, name.replace("T.PARQUET", "t.parquet"), {
        "more": ["x", "y"], "spans": [[[0.0, 1.5]], []], "start": [1.5, 2.0], "id": [7, 12],
    })  # fmt: skip
    if name == "T.PARQUET":
        (tmp_path / "t.parquet").rename(tmp_path / name)
    found = rows(tmp_path, name, MIXED, {"label": "text"})
    assert [(id_, start, [list(span) for span in spans], label) for id_, start, spans, label in found] == [
        ("7", 1.5, [[0.0, 1.5]], None),
        ("12", 2.0, [], None),
    ]


def test_numbers_of_32_bits_are_the_decimals_that_they_stand_for(tmp_path: Path) -> None:
    values = [0.9, None, 1e-8, 123456.7, float("nan"), 5.0]
    write(tmp_path, "t.parquet", {"score": pa.array(values, pa.float32())})
    assert rows(tmp_path, "t.parquet", {"score": "number"}) == [(0.9,), (None,), (1e-8,), (123456.7,), (None,), (5.0,)]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
@pytest.mark.parametrize("wanted", ["captoin", "Caption"])
def test_a_missing_column_is_named_with_the_nearest(tmp_path: Path, name: str, wanted: str) -> None:
    write(tmp_path, name, {"path": ["a.mp4"], "caption": ["a cat"]})
    with pytest.raises(ConfigurationError, match=rf"no column '{wanted}'; did you mean 'caption'\?") as caught:
        rows(tmp_path, name, {"path": "text", wanted: "text"})
    assert caught.value.exit_status == 2
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("values", "kind", "said"),
    [
        ([1.5], "text", "double, expected text"),
        ([True], "text", "bool, expected text"),
        ([["a"]], "text", "list<.*>, expected text"),
        ([{"a": 1}], "text", "struct<.*>, expected text"),
        (["a"], "number", "string, expected number"),
        ([1], "list", "int64, expected list"),
        ([b"a"], "text", "binary, expected text"),
    ],
)
def test_a_parquet_column_of_the_wrong_type_is_named(tmp_path: Path, values: list[Any], kind: Any, said: str) -> None:
    write(tmp_path, "t.parquet", {"caption": values})
    with pytest.raises(ConfigurationError, match=rf"t\.parquet: column 'caption' is of type {said}"):
        rows(tmp_path, "t.parquet", {"caption": kind})


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_in_parquet_are_seconds(tmp_path: Path, unit: str) -> None:
    ticks = [2 * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit], None]
    kinds = {"length": pa.duration(unit), "of_day": pa.time32(unit) if unit in ("s", "ms") else pa.time64(unit)}
    pq.write_table(pa.table({name: pa.array(ticks, kind) for name, kind in kinds.items()}), tmp_path / "t.parquet")
    found = rows(tmp_path, "t.parquet", dict.fromkeys(kinds, "moment"))
    assert found == [(2.0, 2.0), (None, None)]


@pytest.mark.parametrize("data", [b"", b"PAR1", b"no parquet", b"PAR1" + bytes(100) + b"PAR1"])
def test_a_file_that_is_not_parquet_gives_a_message_of_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "t.parquet").write_bytes(data)
    with pytest.raises(ConfigurationError, match=r"t\.parquet: not valid Parquet") as caught:
        rows(tmp_path, "t.parquet", TEXTS)
    assert "\n" not in str(caught.value)


def test_a_cut_parquet_file_is_not_read_as_a_shorter_table(tmp_path: Path) -> None:
    write(tmp_path, "t.parquet", {"path": [f"{number}.mp4" for number in range(5000)], "caption": ["a"] * 5000})
    data = (tmp_path / "t.parquet").read_bytes()
    for share in (0.3, 0.7, 0.999):
        (tmp_path / "t.parquet").write_bytes(data[: int(len(data) * share)])
        with pytest.raises(ConfigurationError, match="not valid Parquet"):
            rows(tmp_path, "t.parquet", TEXTS)


def test_bytes_that_are_not_utf8_affect_only_their_cell(tmp_path: Path) -> None:
    raw = pa.array([b"caf\xe9", b"tea"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 2, raw.buffers())  # what a careless writer leaves behind
    pq.write_table(pa.table({"path": ["a", "b"], "caption": text}), tmp_path / "t.parquet")
    (tmp_path / "t.csv").write_bytes(b"path,caption\na,caf\xe9\nb,tea\n")
    expected = [("a", "caf\udce9"), ("b", "tea")]
    assert rows(tmp_path, "t.parquet", TEXTS) == rows(tmp_path, "t.csv", TEXTS) == expected


def test_numbers_in_a_csv_are_checked_cell_by_cell(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,start\na,1.5\nb,x\nc,nan\nd,\ne\nf,1e400\n")
    found = [values[1] for values in rows(tmp_path, "t.csv", {"id": "text", "start": "number"})]
    assert found[0] == 1.5
    assert [isinstance(value, BadValue) for value in found] == [False, True, True, False, False, True]
    assert found[3] is found[4] is None


HOSTILE = (
    "__import__('os').system('touch HACKED')", "[x for x in (1,)]", "[1] * 10**9", "open('HACKED', 'w')", "[lambda: 1]",
    "['a' 'b', f'{1}']", "{'a': 1}", "'text'", "7", "[1, 2", "[" * 100_000, "[" + "9" * 5000 + "]", "[1]; import os",
    "[" + "'a'," * 11_000 + "]", "['" + "a" * (1 << 20) + "']", "[-" * 9000 + "1" + "]" * 9000, "\0", "[\0]",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_literal_is_a_list_or_it_is_refused(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = call_within(50e6, lambda: literal_list(text))
    assert isinstance(found, BadValue)
    assert len(found.cause) < 100
    assert not list(tmp_path.iterdir())


def test_lists_as_panda70m_writes_them() -> None:
    text = "[['0:00:16.300', '0:00:32.566'], ['0:00:40.000', '0:01:02.500']]"
    assert literal_list(text) == (["0:00:16.300", "0:00:32.566"], ["0:00:40.000", "0:01:02.500"])
    assert literal_list("""["It's a \\"cat\\".", 'a\\ndog', '猫']""") == ('It\'s a "cat".', "a\ndog", "猫")
    assert literal_list("[0.5, 1, -2]") == (0.5, 1, -2)
    assert literal_list("  ") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0:00:16.300", 16.3), ("1:02:03.5", 3723.5), ("02:03", 123.0), ("7.25", 7.25), (3, 3.0), (0.1, 0.1),
        ("7,25", 7.25), ("00:00:16,300", 16.3), ("1,234.5", None),
        ("1:2:3:4", None), ("-1", None), ("nan", None), (math.inf, None), ("", None), ("a", None), (None, None),
        (True, None), ([1], None), (10**400, None),
    ],
)  # fmt: skip
def test_moments(text: object, expected: float | None) -> None:
    assert seconds(text) == expected


def test_a_span_has_a_length() -> None:
    assert make_span("0:00:01", 2.5) == (1.0, 2.5)
    assert make_span(2, 2) is make_span(3, 2) is make_span(None, 2) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_a_long_table_is_never_completely_in_memory(tmp_path: Path, name: str) -> None:
    caption = "c" * 1000
    count = 40_000  # 40 MB of text
    if name == "t.csv":
        with open(tmp_path / name, "w") as stream:
            stream.write("path,caption\n")
            stream.writelines(f"{number}.mp4,{caption}\n" for number in range(count))
    else:
        schema = pa.schema([("path", pa.string()), ("caption", pa.string())])
        with pq.ParquetWriter(tmp_path / name, schema) as writer:
            for start in range(0, count, 5000):
                names = [f"{number}.mp4" for number in range(start, start + 5000)]
                writer.write_table(pa.table({"path": names, "caption": [caption] * 5000}, schema=schema))

    def most_in_arrow() -> int:
        before = pa.total_allocated_bytes()
        return max(pa.total_allocated_bytes() for _ in read_rows(LocalFolder(tmp_path), name, TEXTS)) - before

    assert call_within(15e6, most_in_arrow) < 10e6


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("**/*", ["a.mp4", "b/a.mp4", "b/c/a.mp4"], []),
        ("*", ["a.mp4"], ["b/a.mp4"]),
        ("videos/**/*.mp4", ["videos/a.mp4", "videos/b/c/a.mp4"], ["a.mp4", "videos/a.avi", "myvideos/a.mp4"]),
        ("videos/**", ["videos/a", "videos/b/c"], ["videos"]),
        ("./[ab]?.mp4", ["a1.mp4", "b2.mp4"], ["c1.mp4", "a.mp4", "a/.mp4"]),
        ("[!a].mp4", ["b.mp4"], ["a.mp4", "/.mp4"]),
        ("a[.mp4", ["a[.mp4"], ["a.mp4"]),
        ("a+(b)$.mp4", ["a+(b)$.mp4"], ["aab.mp4"]),
        ("*.mp4", ["new\nline.mp4"], ["a.mp4\n"]),
    ],
)
def test_globs(pattern: str, matching: list[str], other: list[str]) -> None:
    expression = glob_expression(pattern)
    assert [name for name in (*matching, *other) if expression.fullmatch(name)] == matching
