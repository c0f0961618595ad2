"""``README.md`` of an export: a dataset card as the Hugging Face Hub reads it, with counts, licence and origin."""

from __future__ import annotations

import json
import re

from walt.export.facts import Facts
from walt.export.survey import Counts, Group, Survey

_LICENCES = frozenset({
    "apache-2.0", "mit", "cc0-1.0", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0",
    "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0",
    "cc-by-nd-4.0", "cc-by-nc-nd-4.0", "odc-by", "odbl", "pddl",
})  # fmt: skip
"""The Hub's names of licences that datasets have; others are ``other`` with a name of their own."""
_ORDERS = {"n<1K": 1e3, "1K<n<10K": 1e4, "10K<n<100K": 1e5, "100K<n<1M": 1e6, "1M<n<10M": 1e7}
"""The Hub's orders of magnitude, with the first number that is larger."""


def card(facts: Facts, survey: Survey, layout: str, sizes: str, digest: str, *, playable: bool) -> str:
    """The text.

    Args:
        layout: name of the layout.
        sizes: the sizes of the clips, as text.
        digest: SHA-256 of the manifest that the clips were taken from.
        playable: whether videos are 4:2:0.
    """
    lines = ["---", *_header(facts, survey, layout), "---", "", f"# {facts.name}", "", facts.summary, ""]
    lines += [f"Licence: {facts.licence}." + (f" Homepage: {facts.homepage}" if facts.homepage else ""), ""]
    lines += [
        "| kind | split | clips | with a caption | with a label | frames | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [_row(group, counts) for group, counts in survey.groups.items()]
    pixels = "4:2:0, for players" if playable else "4:4:4, as they were stored for training; browsers may not play them"
    lines += [
        "",
        f"Height and width: {sizes}. Videos are H.264 {pixels}; images are PNG.",
        "",
        *_explained(survey, layout),
        "",
        f"Made by `walt export data --as {layout}` from the manifest with the SHA-256 `{digest}`.",
    ]
    return "\n".join(lines) + "\n"


def _row(group: Group, counts: Counts) -> str:
    seconds = f"{counts.seconds:.1f}" if group.kind == "video" else ""
    figures = (counts.clips, counts.captioned, counts.labelled, counts.frames)
    return f"| {group.kind} | {group.folder} | {' | '.join(map(str, figures))} | {seconds} |"


def _header(facts: Facts, survey: Survey, layout: str) -> list[str]:
    """What the Hub reads; JSON's strings are YAML's."""
    licence = facts.licence.lower()
    known = licence in _LICENCES
    lines = [f"license: {licence if known else 'other'}"]
    if not known:
        name = re.sub(r"[^a-z0-9.]+", "-", licence).strip("-") or "unknown"
        lines.append(f"license_name: {json.dumps(name)}")
    kinds = dict.fromkeys(group.kind for group in survey.groups)
    lines += [f"pretty_name: {json.dumps(facts.name, ensure_ascii=False)}", "task_categories:"]
    lines += [f"- text-to-{kind}" for kind in kinds]
    order = next((name for name, most in _ORDERS.items() if survey.clips < most), "n>10M")
    lines += ["size_categories:", f"- {order}"]
    return lines + _configs(kinds, survey, layout)


def _configs(kinds: dict[str, None], survey: Survey, layout: str) -> list[str]:
    """Which files are which split, a configuration for each kind of clip. One repository is read by one reader, so
    beside video folders there is none for images."""
    if layout == "litdata":
        return []
    lines = []
    for kind in kinds if layout != "videofolder" else list(kinds)[:1]:
        lines += [f"- config_name: {kind}", "  data_files:"]
        for group in survey.of_kind(kind):
            files = f"{kind}/{group.folder}/*" if layout == "videofolder" else f"{kind}/{group.folder}-*.tar"
            lines += [f"  - split: {group.folder}", f"    path: {json.dumps(files)}"]
    return ["configs:", *lines]


_SAMPLES = {
    "webdataset": "Tars of samples, `KIND/SPLIT-NNNNNN.tar`, numbered without gaps",
    "energon": "Tars of samples, `KIND/SPLIT-NNNNNN.tar`, prepared for energon (`KIND/.nv-meta`)",
    "videofolder": "Files by key with a table beside them, `KIND/SPLIT/metadata.jsonl`",
    "litdata": "Chunks, `KIND/SPLIT/*.bin`, for `litdata.StreamingDataset`; a sample is `key`, `caption`, "
    "`json` and the picture file's bytes",
}


def _explained(survey: Survey, layout: str) -> list[str]:
    lines = [f"{_SAMPLES[layout]}."]
    if layout in ("webdataset", "energon"):
        lines.append(
            "A sample is `KEY.mp4` or `KEY.png` and `KEY.json`, which says all that is known of every clip of its kind."
        )
        for kind in dict.fromkeys(group.kind for group in survey.groups):
            extra = ["`KEY.txt`, the first caption, empty where there is none"] if survey.captioned(kind) else []
            extra += ["`KEY.cls`, the number of its class"] if survey.labelled(kind) else []
            if extra:
                lines.append(f"With each {kind}: {'; '.join(extra)}.")
    if layout != "videofolder":
        lines.append("`metadata.jsonl` has a line for each clip, with what is unknown as null.")
    return lines
