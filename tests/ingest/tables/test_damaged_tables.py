"""Tables with bytes flipped, cut off and doubled: each row is accounted for, or the table is refused in one line."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from walt.core.errors import ConfigurationError
from walt.ingest.sources.dataset import Dataset
from walt.ingest.sources.file_list import entries
from walt.ingest.sources.folders import LocalFolder
from walt.ingest.sources.items import Item, Listing, Rules
from walt.ingest.sources.kinds import FileList

ROWS = 12
RECORDS = [{"path": f"{number}.mp4", "caption": f"caption, {number}", "score": number / 2} for number in range(ROWS)]


def table(suffix: str) -> bytes:
    """The same rows in one of the formats."""
    if suffix == "parquet":
        stream = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(RECORDS), stream)
        return stream.getvalue()
    if suffix in ("json", "jsonl"):
        return (
            json.dumps(RECORDS).encode()
            if suffix == "json"
            else b"".join(json.dumps(r).encode() + b"\n" for r in RECORDS)
        )
    mark = "\t" if suffix == "tsv" else ","
    quote = "" if suffix == "tsv" else '"'
    lines = [mark.join(("path", "caption", "score"))]
    lines += [mark.join((r["path"], f"{quote}{r['caption']}{quote}", str(r["score"]))) for r in RECORDS]  # type: ignore[arg-type]
    return "\n".join(lines).encode() + b"\n"


def damaged(data: bytes, draw: random.Random) -> bytes:
    """One to three damages."""
    found = bytearray(data)
    for _ in range(draw.randint(1, 3)):
        start = draw.randrange(len(found))
        end = min(len(found), start + draw.choice((1, 2, 8, 64)))
        kind = draw.choice(("flip", "cut", "end", "double", "insert"))
        if kind == "flip":
            found[start] ^= 1 << draw.randrange(8)
        elif kind == "cut":
            del found[start:end]
        elif kind == "end":
            del found[max(1, start) :]
        elif kind == "double":
            found[start:start] = found[start:end]
        else:
            found[start:start] = bytes(draw.choice(b'\0\xff"{}[],:\n\r\t\\') for _ in range(end - start))
        if not found:
            found += b"x"
    return bytes(found)


def check(tmp_path: Path, suffix: str, times: int) -> None:
    for number in range(ROWS):
        (tmp_path / f"{number}.mp4").write_bytes(b"x")
    source = FileList(
        kind="list", tables=(f"t.{suffix}",), path_column="path", caption_columns=("caption",),
        number_columns=("score",), absent="refuse",
    )  # fmt: skip
    dataset = Dataset(LocalFolder(tmp_path), Rules(True, True, 512, 0.1), None)
    whole, draw = table(suffix), random.Random(f"{suffix} {times}")
    refused: list[str] = []
    for _ in range(times):
        (tmp_path / f"t.{suffix}").write_bytes(damaged(whole, draw))
        try:
            listing = Listing.collect(entries(source, dataset))
        except ConfigurationError as error:
            refused.append(str(error))
            continue
        assert all(isinstance(item, Item) and item.captions for item in listing.items)
        assert all(refusal.code and refusal.cause for refusal in listing.refusals)
        assert len({item.path for item in listing.items}) == len(listing.items), "no input twice"
    assert all("\n" not in said and f"t.{suffix}" in said for said in refused)
    assert len(refused) < times, "not every damage spoils the whole table"


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl", "parquet"])
def test_a_thousand_damaged_tables_end_in_rows_or_in_one_line(tmp_path: Path, suffix: str) -> None:
    check(tmp_path, suffix, 1000)
