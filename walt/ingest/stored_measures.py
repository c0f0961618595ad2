"""Measures of clips as they are stored, computed from the cached clips that lack them. No source is read.

The numbers are kept beside a source's clips in the cache, each with the digest of the code that computed it: only new
and changed measures are computed. They depend only on the stored bytes and that code, so it makes no difference whether
a clip was cut before or after a measure was added.
"""

from __future__ import annotations

import dis
import hashlib
import inspect
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from walt.core import imports
from walt.core.digests import sha256_file, sha256_json
from walt.core.errors import StorageError
from walt.core.log import ProgressBar
from walt.core.storage import TEMPORARY_SUFFIX
from walt.ingest.clip_cache import MEASURED_SUFFIX, ClipCache, ClipMember, SourceEntry, SourceFile
from walt.ingest.clip_filters import TakeOfStored
from walt.ingest.clip_rule import ClipRule
from walt.media import images, mp4, scaling, shots
from walt.media.images import decode_png
from walt.media.mp4 import decode_clip
from walt.media.shots import thumbnails
from walt.workers.execute import map_items

if TYPE_CHECKING:
    from walt.core.compute import ComputeConfig
    from walt.ingest.config import IngestConfig

_MODULES = (images, mp4, scaling, shots)
_FILES = (*(str(module.__file__) for module in _MODULES), __file__)
"""The code that makes thumbnails of stored bytes: editing it makes all of these measures stale."""
_LIBRARIES = mp4.LIBRARY_VERSIONS | shots.LIBRARY_VERSIONS

Values = tuple[float | None, ...]
"""The values of one measure for the clips of a source, in their order."""


@dataclass(frozen=True)
class StoredClip:
    """The bytes of a clip's smallest stored form."""

    extension: str
    """``mp4`` or ``png``."""
    data: bytes


class MeasuredCache(ClipCache):
    """The clip cache together with the measures of stored clips."""

    def __init__(self, folder: Path, rule: ClipRule, takes: Mapping[str, TakeOfStored]) -> None:
        """``takes`` as ``clip_filters.taken_of_stored`` gives them."""
        super().__init__(folder, rule)
        self.unmeasured = ClipCache(folder, rule)
        """The same cache without measures, for workers, which do not need them."""
        self.takes = takes
        self._code = {name: take_identity(take) for name, take in takes.items()}

    def get(self, source: SourceFile) -> SourceEntry | None:
        """The stored entry with the measures of its stored clips; None if there is none, or its file is incomplete."""
        entry = super().get(source)
        if entry is None or not self.takes or not entry.clips:
            return entry
        known = self._known(source, entry)
        clips = (
            replace(clip, stored_measures={name: values[number] for name, values in known.items()})
            for number, clip in enumerate(entry.clips)
        )
        return replace(entry, clips=tuple(clips))

    def lacking(self, source: SourceFile) -> list[str]:
        """Names of the measures that are missing for a source's clips; none if it has no clips."""
        entry = super().get(source) if self.takes else None
        if entry is None or not entry.clips:
            return []
        return [name for name in self.takes if name not in self._known(source, entry)]

    def smallest_clips(self, source: SourceFile) -> list[StoredClip]:
        """The smallest form of each clip of a cached source. Raises CorruptArtifactError, as ``read`` does."""
        entry = super().get(source)
        assert entry is not None
        found = []
        for clip in entry.clips:
            member = min(clip.members, key=_area)
            found.append(StoredClip(member.extension, self.read(source, entry, clip.key, member.size)))
        return found

    def put_measures(self, source: SourceFile, taken: Mapping[str, Values]) -> None:
        """Store measures beside those that are stored already. Not fsynced, like ``put``."""
        entry = super().get(source)
        assert entry is not None
        values = {**self._known(source, entry), **taken}
        data = json.dumps({name: [self._code[name], *values[name]] for name in values}).encode()
        path = self._measures_path(source)
        temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
        temporary.write_bytes(hashlib.sha256(data).hexdigest().encode() + b"\n" + data)
        temporary.replace(path)

    def _known(self, source: SourceFile, entry: SourceEntry) -> dict[str, Values]:
        """The stored measures that the present code computed; none if the file is incomplete."""
        path = self._measures_path(source)
        if not path.is_file():
            return {}
        digest, _, data = path.read_bytes().partition(b"\n")
        if digest.decode("ascii", "replace") != hashlib.sha256(data).hexdigest():
            return {}
        stored: dict[str, list[Any]] = json.loads(data)
        return {
            name: tuple(values)
            for name, (code, *values) in stored.items()
            if code == self._code.get(name) and len(values) == len(entry.clips)
        }

    def _measures_path(self, source: SourceFile) -> Path:
        path = self._path(source)
        return path.with_name(path.name + MEASURED_SUFFIX)


def fill_in(sources: Iterable[SourceFile], cache: MeasuredCache, ingest: IngestConfig, compute: ComputeConfig) -> int:
    """Compute the measures that the cache lacks for the clips of these sources. Returns how many sources lacked some.

    Raises:
        StorageError: the clips of a source could not be measured; a rerun tries again.
        CorruptArtifactError: stored clips are damaged; a rerun cuts them again.
    """
    lacking = {source: names for source in sources if (names := cache.lacking(source))} if cache.takes else {}
    if not lacking:
        return 0
    jobs = (({name: cache.takes[name] for name in names}, cache.smallest_clips(source))
            for source, names in lacking.items())  # fmt: skip
    outcomes = map_items(take_all, jobs, compute, timeout_seconds=ingest.timeout_seconds, memory_mb=ingest.memory_mb)
    with ProgressBar("ingest: measuring", len(lacking), "files") as bar:
        for source, outcome in zip(lacking, outcomes, strict=True):
            if outcome.failure is not None or outcome.value is None:
                cause = outcome.failure.cause if outcome.failure else "nothing came back"
                raise StorageError(f"{cache.folder}: the clips of {source.sha256} could not be measured: {cause}")
            cache.put_measures(source, outcome.value)
            bar.advance()
    return len(lacking)


def take_all(job: tuple[Mapping[str, TakeOfStored], list[StoredClip]]) -> dict[str, Values]:
    """Measure the stored clips of a source. Runs in a worker process."""
    takes, clips = job
    thumbs = [thumbnails(_decoded(clip)) for clip in clips]
    return {name: tuple(_number(take(frames)) for frames in thumbs) for name, take in takes.items()}


def _number(value: float | None) -> float | None:
    return None if value is None else float(value)


def _decoded(clip: StoredClip) -> Any:
    return decode_clip(clip.data) if clip.extension == "mp4" else decode_png(clip.data)[None]


def _area(member: ClipMember) -> tuple[int, tuple[int, int]]:
    return member.size[0] * member.size[1], member.size


# ------------------------------------------------------------------------------------------------ identity of the code


def take_identity(take: TakeOfStored) -> str:
    """Hex digest of a measuring function: of it, the functions and constants of its module that it refers to, the other
    modules that it uses with all that they import, and the code that makes its thumbnails.

    Raises:
        TypeError: it refers to something that has no such digest.
    """
    assert isinstance(take, FunctionType), "a measure is a plain function"
    parts = dict(_parts(take, set()))
    return sha256_json({"parts": parts, "files": [sha256_file(file) for file in _FILES], "libraries": _LIBRARIES})


def _parts(function: FunctionType, seen: set[FunctionType]) -> Iterator[tuple[str, str]]:
    """Everything that a function consists of, by name: source texts, constants, digests and versions of modules."""
    if function in seen:
        return
    seen.add(function)
    yield function.__qualname__, inspect.getsource(function)
    if function.__closure__ or function.__defaults__ or function.__kwdefaults__:
        raise TypeError(f"{function.__qualname__}: a measure has neither defaults nor variables of an outer function")
    if _imports(function.__code__):
        raise TypeError(f"{function.__qualname__}: a measure imports nothing itself: import at the top of its module")
    for name in sorted(_names(function.__code__) & function.__globals__.keys()):
        value = function.__globals__[name]
        if isinstance(value, FunctionType) and value.__module__ == function.__module__:
            yield from _parts(value, seen)
        elif isinstance(value, ModuleType):
            yield name, _module_identity(value.__name__)
        elif isinstance(value, FunctionType | BuiltinFunctionType | type):
            yield name, _module_identity(value.__module__)
        elif isinstance(value, int | float | str | bytes | tuple | None):
            yield name, repr(value)
        else:
            raise TypeError(f"{function.__qualname__} refers to {name}, a {type(value).__name__}: make it a constant")


def _names(code: CodeType) -> set[str]:
    """Every name used in a function and in the functions that it defines."""
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return set(code.co_names).union(*map(_names, inner))


def _imports(code: CodeType) -> bool:
    """Whether a function, or one that it defines, has an import statement: what it brings is in no global name."""
    inner = (constant for constant in code.co_consts if isinstance(constant, CodeType))
    return any(step.opname == "IMPORT_NAME" for step in dis.get_instructions(code)) or any(map(_imports, inner))


def _module_identity(name: str) -> str:
    """The digest of a module of this package with all files that it imports; the version of another package."""
    package = name.partition(".")[0]
    if package == "walt":
        return sha256_json({file: sha256_file(imports.package_root() / file) for file in imports.imported_files(name)})
    return str(getattr(sys.modules[package], "__version__", sys.version_info[:3]))
