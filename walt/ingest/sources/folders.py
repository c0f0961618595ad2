"""A dataset's folder, local or in a bucket: listing its files, and opening those that describe the others."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import IO, Protocol

from walt.core import remote
from walt.core.errors import ConfigurationError, StorageError
from walt.core.log import warning
from walt.core.printable import printable

MOST_LINKS = 2
"""The most links to folders on the path from the dataset's folder to a file. Without a limit, n folders that link to
each other would have more than n factorial names."""


OF_SYSTEMS = frozenset((
    "@eaDir", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot", "$RECYCLE.BIN", "System Volume Information",
    "lost+found", "__MACOSX",
))  # fmt: skip
"""Folders in which file servers, Windows, Linux and macOS keep thumbnails, what was deleted and the like."""
_DVCIGNORE = ".dvcignore"
_FEW_BYTES = 4096
"""As most files that are read whole have fewer, which are captions."""


class Folder(Protocol):
    """The methods of a dataset's folder that adapters use. Names are relative paths with ``/``."""

    def location(self, name: str) -> str:
        """Where the bytes of a name are, for ``Item.path`` and for messages."""

    def relative(self, path: str) -> str | None:
        """The name of a file, given its absolute path; None if it is not in the folder."""

    def has(self, name: str) -> bool:
        """Whether there is such a file."""

    def names(self) -> Iterator[str]:
        """All files at any depth and behind links (at most two), except hidden ones and those in folders of systems
        (``OF_SYSTEMS``). Raises StorageError for a folder that cannot be listed."""

    def matching(self, pattern: str) -> list[str]:
        """The files that a glob matches, sorted; a file with exactly that name is the only match, wildcards or not."""

    def open(self, name: str) -> IO[bytes]:
        """Open a file for reading; it can be seeked."""

    def read(self, name: str, most: int) -> bytes | None:
        """The first ``most`` bytes of a file; None: there is no such file."""


class LocalFolder:
    """A folder on this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._root = os.fspath(self.root)
        self._prefix = f"{self._root.rstrip('/')}/"
        self._warned = False

    def location(self, name: str) -> str:
        return f"{self._prefix}{name}" if name and name[0] != "/" else name or self._root

    def relative(self, path: str) -> str | None:
        path = os.path.normpath(path)
        for root in (os.path.normpath(self.root), os.path.realpath(self.root)):
            if path.startswith(f"{root}/"):
                return path.removeprefix(f"{root}/")
        return None

    def has(self, name: str) -> bool:
        return os.path.isfile(self.location(name))  # noqa: PTH113 a Path raises for impossible names

    def names(self) -> Iterator[str]:
        return self._under("")

    def matching(self, pattern: str) -> list[str]:
        if self.has(pattern) or not has_wildcards(pattern):
            return [pattern] if self.has(pattern) else []
        pattern = pattern.removeprefix("./")
        fixed = fixed_folder(pattern, lambda name: os.path.isdir(self.root / name))  # noqa: PTH112 as in ``has``
        wanted = glob_expression(pattern.removeprefix(fixed).lstrip("/"))
        return sorted(name for name in self._under(fixed) if wanted.fullmatch(name.removeprefix(fixed).lstrip("/")))

    def open(self, name: str) -> IO[bytes]:
        return open(self.root / name, "rb")

    def read(self, name: str, most: int) -> bytes | None:
        try:
            file = os.open(f"{self._prefix}{name}", os.O_RDONLY)  # half the time of a stream, where there are millions
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            data = os.read(file, min(most, _FEW_BYTES))
            return data if len(data) < _FEW_BYTES else data + os.read(file, most - len(data))
        except IsADirectoryError:
            return None
        finally:
            os.close(file)

    def refused_by_dvc(self) -> str | None:
        """The first thing at any depth, hidden or not, that DVC (3.67) cannot take, and why; None: there is none.

        Raises StorageError for a folder that cannot be listed.
        """
        folders = [str(self.root)]
        while folders:
            try:
                found = list(os.scandir(folders.pop()))
            except OSError as error:
                _check_listed(error)
                continue
            for entry in found:
                if entry.name == _DVCIGNORE:
                    return f"{printable(entry.path)}: DVC refuses this inside of data: remove it, or move it up"
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif not entry.is_file(follow_symlinks=False) and (what := _no_file(entry.path)) is not None:
                    return f"{printable(entry.path)} is {what}, which DVC cannot read: remove it"
        return None

    def _under(self, start: str) -> Iterator[str]:
        """All files below one folder, sorted by the components of their paths."""
        top = self.root / start
        prefix = "" if top == self.root else f"{top.relative_to(self.root).as_posix()}/"
        links = sum(os.path.islink(folder) for folder in (top, *top.parents) if self.root in folder.parents)  # noqa: PTH114
        try:
            above = {_identity(folder) for folder in (*top.parents, *top.resolve().parents)}
        except OSError as error:
            _check_listed(error)
            return
        if links <= MOST_LINKS:
            yield from self._files(str(top), prefix, above, links)
        else:
            self._warn(start)

    def _files(self, folder: str, prefix: str, above: set[tuple[int, int]], links: int) -> Iterator[str]:
        """The names in a folder and below it. A link to a folder is followed, unless it leads back to a parent folder,
        which would never end, or is behind two other links.

        Args:
            above: the folders that contain this one, both along the path taken and at its real place.
            links: how many links the path taken has.
        """
        names: list[str] = []  # all that is kept of each file: there may be millions
        folders: dict[str, bool] = {}  # whether it is a link
        try:
            own = _identity(folder)
            if own in above:
                return
            with os.scandir(folder) as found:
                for entry in found:
                    if not _is_hidden(entry.name):
                        names.append(entry.name)
                        if _is_folder(entry):
                            folders[entry.name] = entry.is_symlink()
        except OSError as error:
            _check_listed(error)
            return
        names.sort()
        for name in names:
            if name not in folders:
                yield f"{prefix}{name}"
            elif links + folders[name] <= MOST_LINKS:
                yield from self._files(f"{folder}/{name}", f"{prefix}{name}/", above | {own}, links + folders[name])
            elif not _leads_up(f"{folder}/{name}", above | {own}):
                self._warn(f"{prefix}{name}")

    def _warn(self, name: str) -> None:
        """Warn about the first link that is not followed."""
        if not self._warned:
            warning(f"{self.location(name)}: not followed, like other links behind {MOST_LINKS} links to folders")
        self._warned = True


def _no_file(path: str) -> str | None:
    """What something is that is neither a file nor a folder, nor a link to one; None: it is one of them."""
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return "a link that leads nowhere"
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "a pipe, a socket or a device"


def _leads_up(folder: str, above: set[tuple[int, int]]) -> bool:
    try:
        return _identity(folder) in above
    except OSError:
        return True


def _identity(folder: str | Path) -> tuple[int, int]:
    """A folder's device and inode, which are the same under all of its names."""
    status = Path(folder).stat()
    return status.st_dev, status.st_ino


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in OF_SYSTEMS


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: opening it will report that
        return False


def _check_listed(error: OSError) -> None:
    """Raise StorageError unless the folder does not exist: that one is empty, but an unreadable one may hold files."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise StorageError(f"{error.filename}: {error.strerror}")


class RemoteFolder:
    """A prefix in a bucket. It is listed once."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    @cached_property
    def _listed(self) -> frozenset[str]:
        prefix = f"{self.url}/"
        names = (found.url.removeprefix(prefix) for found in remote.list_files(prefix))
        return frozenset(name for name in names if not any(map(_is_hidden, name.split("/"))))

    def location(self, name: str) -> str:
        return f"{self.url}/{name}"

    def relative(self, path: str) -> str | None:
        return None

    def has(self, name: str) -> bool:
        return name in self._listed

    def names(self) -> Iterator[str]:
        return iter(self._listed)

    def matching(self, pattern: str) -> list[str]:
        if self.has(pattern) or not has_wildcards(pattern):
            return [pattern] if self.has(pattern) else []
        wanted = glob_expression(pattern)
        return sorted(name for name in self._listed if wanted.fullmatch(name))

    def open(self, name: str) -> IO[bytes]:
        return remote.open_file(self.location(name))

    def read(self, name: str, most: int) -> bytes | None:
        if not self.has(name):
            return None
        with self.open(name) as stream:
            return stream.read(most)


def open_folder(root: Path, path: str, key: str = "dataset.path") -> Folder:
    """The dataset's folder, relative to the project's root.

    Args:
        key: what names the folder, for messages.

    Raises:
        ConfigurationError: there is no such folder, or the protocol has no listing. StorageError: no such bucket.
    """
    if remote.is_remote(path):
        if not path.startswith("s3://"):
            raise ConfigurationError(f"{key}: {path}: only s3:// has a listing; put its URLs into a table")
        return RemoteFolder(path)
    folder = root / path
    if not folder.is_dir():
        raise ConfigurationError(
            f"{key}: {folder}: no such folder; put the files there (`walt prepare` makes those of a generated dataset)"
        )
    return LocalFolder(folder)


def has_wildcards(pattern: str) -> bool:
    """Whether a path has wildcards; it is a glob unless a file has exactly that name."""
    return bool(re.search(r"[*?\[]", pattern))


def fixed_folder(pattern: str, is_folder: Callable[[str], bool] = lambda _: False) -> str:
    """The folder before a glob's first wildcard: ``a/b`` for ``a/b/*.mp4``, and nothing for ``*.mp4``.

    Args:
        is_folder: whether there is a folder with exactly that name: its characters are not wildcards.
    """
    parts = pattern.split("/")
    above = ["/".join(parts[:number]) for number in range(1, len(parts))]
    wild = (number for number, part in enumerate(parts[:-1]) if has_wildcards(part) and not is_folder(above[number]))
    return "/".join(parts[: next(wild, len(parts) - 1)])


def glob_expression(pattern: str) -> re.Pattern[str]:
    """A glob as a regular expression over relative names; ``**`` matches any number of folders, including none."""
    parts = pattern.removeprefix("./").split("/")
    expression = ""
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**":
            expression += ".*" if last else "(?:[^/]+/)*"
        else:
            expression += _part_expression(part) + ("" if last else "/")
    return re.compile(expression, re.DOTALL)


def _part_expression(part: str) -> str:
    """The regular expression for one path component with ``*``, ``?`` and ``[...]``."""
    expression, rest = "", part
    while rest:
        character, rest = rest[0], rest[1:]
        end = rest.find("]", 1)
        if character == "[" and end > 0:
            inside = rest[:end].replace("\\", "\\\\")
            expression += f"[^/{inside[1:]}]" if inside[0] in "!^" else f"[{inside}]"
            rest = rest[end + 1 :]
        else:
            expression += {"*": "[^/]*", "?": "[^/]"}.get(character, re.escape(character))
    return expression
