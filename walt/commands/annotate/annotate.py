"""Calls a user's function for each stored clip, and keeps what it says in a table of annotations.

What is finished is appended to a file under ``work/``, so that a run that was killed goes on where it was. The table is
written at the end, sorted by key: the same clips and the same function give the same bytes. Rows of clips that are not
in the manifest now, since a filter refuses them, stay.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from walt.core.errors import ConfigurationError, StorageError
from walt.core.log import ProgressBar, warning
from walt.core.paths import Paths
from walt.core.printable import printable
from walt.core.storage import atomic_write, lock
from walt.data.manifest import ManifestRow, Value, has_manifest, iterate_manifest
from walt.ingest.user_columns import ANNOTATIONS, KEY, Kind, check_names, read_table
from walt.pages.stored_clips import StoredClips

Step = Callable[[Any, ManifestRow], Mapping[str, Any]]
"""Called with a clip's frames, (T, H, W, 3) uint8 RGB in the largest size that it is stored in (T = 1 for a still), and
its row of the manifest; returns numbers and texts by the names of columns."""

_CODE = b"walt_code"
_MOST_SHOWN = 3


def by_table(root: Path, file: Path, name: str | None) -> str:
    """Take over a table that something else made. Returns where it is now, relative to ``root``.

    Raises:
        ConfigurationError: it cannot be used, see ``walt.ingest.user_columns.read_table``.
    """
    path = root / file
    if not path.is_file():
        raise ConfigurationError(f"{path}: no such file")
    read_table(path)
    target = _target(root, name or file.stem)
    with atomic_write(target, keep_equal=True) as stream:
        stream.write(path.read_bytes())
    return str(target.relative_to(root))


def by_function(root: Path, what: str, name: str | None) -> str:
    """Call ``MODULE:FUNCTION`` for every clip of the manifest that has no values of it yet. Returns the table.

    A clip at which the function fails has no values; how many there are, and why, is said.

    Raises:
        ConfigurationError: there is no such function, it fails at every clip, names a column as the manifest does, or
            gives both numbers and texts in one; or the table was made by something else.
        LockedError: another run makes the same table.
    """
    with _importable(root):
        return _by_step(root, what, _load(what), name)


def _by_step(root: Path, what: str, step: Step, name: str | None) -> str:
    paths = Paths(root)
    if not has_manifest(paths.manifest):
        raise StorageError(f"{paths.manifest}: no such manifest; `walt ingest` makes it")
    target = _target(root, name or what.rpartition(":")[2])
    work = paths.work("annotate")
    with lock(work / f"{target.stem}.lock"):
        if target.is_file() and _CODE not in (pq.read_schema(target).metadata or {}):
            said = "was not made by walt annotate MODULE:FUNCTION, and stays: choose another --name, or remove it"
            raise ConfigurationError(f"{target} {said}")
        known = _Finished(work / f"{target.stem}.jsonl", _code(what, step), target)
        rows = [row for row in iterate_manifest(paths.manifest) if row.key not in known.values]
        failed: dict[str, str] = {}
        stored = StoredClips(paths.clips)
        by_key = {row.key: row for row in rows}
        with ProgressBar(f"annotate: {target.stem}", len(rows), "clips", counters=("failed",)) as bar:
            for key, frames in stored.read(rows):
                try:
                    values = _checked(step(frames, by_key[key]))
                except ConfigurationError:
                    raise
                except Exception as error:  # noqa: BLE001 whatever a user's code raises is said, and concerns one clip
                    failed[key] = _one_line(error)
                    bar.advance(failed=1)
                    continue
                known.add(key, values)
                bar.advance()
        _report(failed, len(rows), anything=bool(known.values))
        known.write()
    return str(target.relative_to(root))


def _target(root: Path, name: str) -> Path:
    if not name or not name.replace("-", "").replace("_", "").isalnum():
        raise ConfigurationError(f"--name: '{printable(name)}' must consist of letters, digits, '_' and '-'")
    return root / ANNOTATIONS / f"{name}.parquet"


def _load(what: str) -> Step:
    module, colon, name = what.partition(":")
    if not colon or not module or not name:
        said = "is neither MODULE:FUNCTION, such as my_scores:aesthetic, nor a .parquet"
        raise ConfigurationError(f"'{printable(what)}' {said}")
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise ConfigurationError(f"{printable(what)}: {error}") from None
    except Exception as error:  # noqa: BLE001 whatever a user's module raises is said in one line
        raise ConfigurationError(f"{printable(what)}: {_one_line(error)}") from None
    if not callable(found):
        raise ConfigurationError(f"{printable(what)}: the module has no such function")
    step: Step = found
    return step


@contextmanager
def _importable(root: Path) -> Iterator[None]:
    """With modules of the project's folder, as for ``python -m``."""
    sys.path.insert(0, str(root))
    try:
        yield
    finally:
        sys.path.remove(str(root))


def _code(what: str, step: Step) -> str:
    """Digest of the module that holds the function: when it was edited, all clips are annotated again."""
    try:
        source = Path(inspect.getfile(step)).read_bytes()
    except (TypeError, OSError):
        source = b""
    return hashlib.sha256(what.encode() + b"\0" + source).hexdigest()


def _checked(found: Any) -> dict[str, Value]:
    """What the function returned, as values of a table.

    Raises TypeError or ValueError: it cannot be; ConfigurationError: a column has a name of the manifest's own.
    """
    if not isinstance(found, Mapping) or not found:
        raise TypeError(f"it returned {type(found).__name__}, expected numbers and texts by name")
    values: dict[str, Value] = {}
    for name, value in found.items():
        if not isinstance(name, str) or name == KEY or not name:
            raise ValueError(f"{name!r} cannot be the name of a column")
        values[name] = _value(name, value)
    check_names(values)
    return values


def _value(name: str, value: Any) -> Value:
    if value is None or isinstance(value, str):
        (value or "").encode()  # UnicodeEncodeError, a ValueError: a surrogate, which is in no table
        return value
    if isinstance(value, bytes | bytearray):
        raise TypeError(f"'{name}' is of type {type(value).__name__}, expected a number or text")
    number = float(value)
    if math.isinf(number):
        raise ValueError(f"'{name}' is {number}")
    return None if math.isnan(number) else number


def _one_line(error: Exception) -> str:
    said = str(error).splitlines()
    return f"{type(error).__name__}: {said[0] if said else ''}"


def _report(failed: dict[str, str], asked: int, *, anything: bool) -> None:
    """Say which clips have no values. Raises ConfigurationError where none has, of this run or of an earlier one."""
    if failed and not anything:
        raise ConfigurationError(f"the function failed at all {asked} clips: {next(iter(failed.values()))}")
    if failed:
        shown = "; ".join(f"{key}: {printable(cause)}" for key, cause in list(failed.items())[:_MOST_SHOWN])
        warning(f"{len(failed)} of {asked} clips have no values, since the function failed: {shown}")


class _Finished:
    """The values of the clips that are finished: those of the table, and those that a killed run appended."""

    def __init__(self, journal: Path, code: str, table: Path) -> None:
        self._journal, self._code, self._table = journal, code, table
        self.values: dict[str, dict[str, Value]] = {}
        if table.is_file() and (pq.read_schema(table).metadata or {}).get(_CODE) == code.encode():
            for name, (_, found) in read_table(table).items():
                for key, value in found.items():
                    self.values.setdefault(key, {})[name] = value
        if journal.is_file():
            for line in journal.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    key, of_code, values = json.loads(line)
                except ValueError:
                    continue  # a line that a killed process left incomplete
                if of_code == code:
                    self.values[key] = values

    def add(self, key: str, values: dict[str, Value]) -> None:
        """Keep the values of a clip, here and in the file."""
        self.values[key] = values
        self._journal.parent.mkdir(parents=True, exist_ok=True)
        with open(self._journal, "a", encoding="utf-8") as stream:
            stream.write("\n" + json.dumps([key, self._code, values]))  # also after an incomplete line

    def write(self) -> None:
        """Write the table, and remove the file. Raises ConfigurationError: a column holds both numbers and texts."""
        kinds: dict[str, Kind] = {}
        for values in self.values.values():
            for name, value in values.items():
                kind: Kind = str if isinstance(value, str) else float
                if value is not None and kinds.setdefault(name, kind) is not kind:
                    raise ConfigurationError(f"the column '{name}' holds both numbers and texts")
        keys, names = sorted(self.values), sorted(kinds)
        types = {name: pa.float64() if kinds[name] is float else pa.string() for name in names}
        columns = [pa.array(keys, pa.string())]
        columns += [pa.array([self.values[key].get(name) for key in keys], types[name]) for name in names]
        fields = [pa.field(KEY, pa.string()), *(pa.field(name, types[name]) for name in names)]
        schema = pa.schema(fields, metadata={_CODE: self._code.encode()})
        if not kinds:
            raise ConfigurationError("the function gave no value for any clip")
        with atomic_write(self._table, keep_equal=True) as stream:
            pq.write_table(pa.Table.from_arrays(columns, schema=schema), stream, compression="zstd")
        self._journal.unlink(missing_ok=True)
