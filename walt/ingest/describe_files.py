"""What a user types for their own files (a folder, a glob, a list, a single file) -> the descriptor of a dataset."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from walt.core import remote
from walt.core.errors import ConfigurationError
from walt.core.log import info
from walt.core.paths import printable
from walt.ingest.config import Descriptor
from walt.ingest.sources.folders import fixed_folder, has_wildcards, open_folder
from walt.ingest.sources.kinds import CaptionedFolder, FileList, PlainFolder
from walt.ingest.tables.read import is_table
from walt.media.kinds import is_media

_DEFAULT_CAPTIONS = "captions.csv"


@dataclass(frozen=True)
class _Described:
    """What the user's argument means."""

    path: str
    """The value of ``dataset.path``."""
    source: CaptionedFolder | PlainFolder | FileList
    summary: str


def describe_files(
    root: Path,
    videos: str,
    captions: str | None = None,
    path_column: str = "path",
    caption_column: str = "caption",
    name: str | None = None,
) -> tuple[Descriptor, str]:
    """The descriptor of a user's videos, and the value of ``dataset.path``; nothing is listed or written.

    Args:
        videos: a folder, a glob, a table that lists files and URLs, or a single video or image; local (a relative path
            is relative to ``root``) or under ``s3://``.
        captions: the table of captions: relative to the folder, else to ``root``, or absolute; None: ``captions.csv``
            in the folder, if it exists.
        name: of the dataset, by default the folder's; characters other than letters, digits, ``_`` and ``-`` become
            ``-``.

    Raises:
        ConfigurationError: the folder is missing, or the arguments do not fit together.
    """
    for words in (videos, captions or "", path_column, caption_column):
        if words != words.encode(errors="replace").decode():  # bytes that are not UTF-8, as the terminal gave them
            raise ConfigurationError(f"{printable(words)}: not UTF-8, which params.yaml is; it needs another name")
    described = _describe(root, videos, captions, path_column, caption_column)
    name = re.sub(r"[^0-9A-Za-z_-]+", "-", name or _default_name(root, videos)).strip("-") or "videos"
    captioned = not isinstance(described.source, PlainFolder)
    descriptor = Descriptor(
        name=name, summary=described.summary, licence="not stated", homepage=None, source=described.source,
        classes=None, caption_required=captioned, images=True, held_out=0.05, adherence=None, generator=None,
    )  # fmt: skip
    return descriptor, described.path


def is_files(root: Path, videos: str) -> bool:
    """Whether ``describe_files`` can take this argument: a URL, a glob, or an existing folder, list, video or image."""
    taken = is_table(videos) or is_media(PurePosixPath(videos).name)
    listed = taken and (root / videos).is_file()
    return remote.is_remote(videos) or _is_glob(root, videos) or (root / videos).is_dir() or listed


def _is_glob(root: Path, videos: str) -> bool:
    """Whether the argument is a glob: a file with exactly that name is not, and only folders can be searched."""
    if not has_wildcards(videos):
        return False
    if not remote.is_remote(videos):
        return not os.path.lexists(root / videos)
    if not videos.startswith("s3://"):
        return False
    return next(remote.list_files(f"{videos.rstrip('/')}/"), None) is None and remote.stat(videos) is None


def _split_glob(root: Path, videos: str) -> tuple[str, str]:
    """The folder that a glob searches, and the rest of the glob, relative to that folder."""
    if remote.is_remote(videos):
        folder = fixed_folder(videos)
    else:
        folder = fixed_folder(videos, lambda name: (root / name).is_dir())
    return folder or ("/" if videos.startswith("/") else "."), videos.removeprefix(folder).lstrip("/")


def _describe(root: Path, videos: str, captions: str | None, path_column: str, caption_column: str) -> _Described:
    """Which kind of source is meant."""
    elsewhere = remote.is_remote(videos)
    if _is_glob(root, videos):
        if captions is not None:
            raise ConfigurationError(f"{videos}: a glob has no table of captions; give their folder, or a list")
        folder, pattern = _split_glob(root, videos)
        source = PlainFolder(kind="folder", patterns=(pattern,))
        return _Described(folder, source, f"Videos without captions: {videos}.")
    if is_table(videos) and (elsewhere or not (root / videos).is_dir()):
        folder, _, table = videos.rpartition("/")
        listed = FileList(
            kind="list", tables=(table,), path_column=path_column, caption_columns=(caption_column,),
            label_column=None, span_columns=None, videos="", absent="refuse",
        )  # fmt: skip
        return _Described(folder or ".", listed, f"Captioned videos of the list {table}.")
    last = PurePosixPath(videos).name
    if is_media(last) and _is_file(root, videos):
        if captions is not None:
            raise ConfigurationError(f"{videos}: a single file has no table of captions; give its folder, or a list")
        folder = videos.removesuffix(last).rstrip("/") or ("/" if videos.startswith("/") else ".")
        single = PlainFolder(kind="folder", patterns=(last,))
        return _Described(folder, single, f"The file {last}, without a caption.")
    if not elsewhere and not (root / videos).is_dir():
        raise ConfigurationError(f"{videos}: no such folder")
    if captions is None and not open_folder(root, videos).has(_DEFAULT_CAPTIONS):
        source = PlainFolder(kind="folder", patterns=("**/*",))
        return _Described(videos, source, f"Videos without captions of the folder {last}.")
    table = _captions_table(root, videos, captions) if captions else _DEFAULT_CAPTIONS
    captioned = CaptionedFolder(
        kind="captioned_folder", captions=table, path_column=path_column, caption_column=caption_column
    )
    return _Described(videos, captioned, f"Captioned videos of the folder {last}.")


def _captions_table(root: Path, videos: str, captions: str) -> str:
    """Path of the table of captions, relative to the folder of the videos, or absolute. Raises ConfigurationError."""
    folder = open_folder(root, videos)
    if not remote.is_remote(videos) and Path(captions).is_absolute():
        inside = Path(captions).is_relative_to((root / videos).absolute())
        return os.path.relpath(captions, (root / videos).absolute()) if inside else captions
    elsewhere = None if remote.is_remote(videos) else root / captions
    if elsewhere is not None and elsewhere.is_file():
        if not folder.has(captions):  # the folder may be a link: '..' leads up from where it really is
            return os.path.relpath(elsewhere.resolve(), (root / videos).resolve())
        if not elsewhere.samefile(root / videos / captions):
            info(f"{printable(folder.location(captions))} is used, not {printable(str(elsewhere))}")
    return captions


def _is_file(root: Path, videos: str) -> bool:
    if not remote.is_remote(videos):
        return (root / videos).is_file()
    return videos.startswith("s3://") and remote.stat(videos) is not None


def _default_name(root: Path, videos: str) -> str:
    """The folder's name, or the file's."""
    last = PurePosixPath(videos)
    if is_table(videos):
        return last.stem
    if _is_glob(root, videos):
        videos = _split_glob(root, videos)[0]
    elif is_media(last.name) and _is_file(root, videos):
        return last.stem
    return PurePosixPath(videos).name if remote.is_remote(videos) else (root / videos).resolve().name
