"""``croissant.json``: the export in the Croissant 1.0 format of MLCommons, JSON-LD that dataset searches read.

Tables of clips are files with their SHA-256, tars or picture files a set of files by pattern. The records are those of
the tables; pictures are named, not part of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from walt.export.facts import Facts
from walt.export.target import FileRecord

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""Terms of the format."""

_COLUMNS: dict[str, tuple[str, str]] = {
    "key": ("sc:Text", "identifies the clip"),
    "kind": ("sc:Text", "video or image"),
    "split": ("sc:Text", "train or validation"),
    "caption": ("sc:Text", "the main caption"),
    "label": ("sc:Integer", "number of the class"),
    "height": ("sc:Integer", "rows of the picture"),
    "width": ("sc:Integer", "columns of the picture"),
    "num_frames": ("sc:Integer", "frames; 1 for an image"),
    "source": ("sc:Text", "name of the file that it was cut from"),
    "source_sha256": ("sc:Text", "SHA-256 of that file"),
    "start_seconds": ("sc:Float", "where the clip begins in that file"),
    "end_seconds": ("sc:Float", "where it ends"),
}
_PLACES = {"tar": "the tar that holds it", "file_name": "its file, beside the table", "folder": "its chunks' folder"}
_TYPES = {"tar": "application/x-tar", "mp4": "video/mp4", "png": "image/png", "bin": "application/octet-stream"}


def croissant(
    facts: Facts, tables: Iterable[FileRecord], patterns: Iterable[str], place: str, digest: str
) -> dict[str, Any]:
    """The document.

    Args:
        tables: the JSON lines files.
        patterns: globs of the files with the clips.
        place: the tables' column that says where a clip is.
        digest: SHA-256 of the manifest, the dataset's version.
    """
    tables = list(tables)
    document = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": facts.name,
        "description": facts.summary,
        "license": facts.licence,
        "version": f"1.0.0+{digest[:12]}",
        "isLiveDataset": False,
        "distribution": [_file(table) for table in tables] + [_set(pattern) for pattern in patterns],
        "recordSet": [_records(table, place) for table in tables],
    }
    return document | ({"url": facts.homepage} if facts.homepage else {})


def _file(record: FileRecord) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": record.name,
        "name": record.name,
        "contentUrl": record.name,
        "contentSize": f"{record.bytes} B",
        "encodingFormat": "application/jsonlines",
        "sha256": record.sha256,
    }


def _set(pattern: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": pattern,
        "name": pattern,
        "encodingFormat": _TYPES[pattern.rpartition(".")[2]],
        "includes": pattern,
    }


def _records(table: FileRecord, place: str) -> dict[str, Any]:
    name = table.name.removesuffix("metadata.jsonl").strip("/") or "clips"
    columns = _COLUMNS | {place: ("sc:Text", _PLACES[place])}
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"{name}/{column}",
            "name": column,
            "description": description,
            "dataType": kind,
            "source": {"fileObject": {"@id": table.name}, "extract": {"column": column}},
        }
        for column, (kind, description) in columns.items()
    ]
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "key": {"@id": f"{name}/key"}, "field": fields}
