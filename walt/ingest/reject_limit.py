"""Decides whether too many inputs were refused, and suggests what to do about it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from walt.core.errors import RejectLimitError
from walt.data.manifest import RejectRow
from walt.ingest.clip_tars import Source
from walt.ingest.config import Descriptor
from walt.ingest.sources import kinds
from walt.ingest.sources.tar_members import PICKLE
from walt.ingest.taken_down import CODE as TAKEN_DOWN
from walt.ingest.user_columns import BELOW


def check_reject_limit(
    descriptor: Descriptor, inputs: Counter[str], accepted: list[Source], rejects: list[RejectRow], limit: float,
    table: Path,
) -> None:  # fmt: skip
    """Check the limit for each member of a union separately: otherwise millions of pictures would hide that no video is
    left. Collections may overlap: a duplicate of another member's accepted source does not count as refused, nor does
    what ``ingest.filter`` keeps out or was taken down, or an array beside a sample in a tar.

    Args:
        inputs: the number of inputs of each member; a dataset that is not a union is one member, whose name is empty.
        table: path of the table of rejects, for the message.

    Raises:
        RejectLimitError: more than ``limit`` of a member's inputs were refused, or all.
    """
    repeated = {row.sha256 for row in rejects if row.code == "duplicate"}
    owners = {
        source.sha256: descriptor.member_of(source.item.source) for source in accepted if source.sha256 in repeated
    }
    for name, member in descriptor.members().items():
        rows = [row for row in rejects if descriptor.member_of(row.source) == name]
        counted = [row for row in rows if row.code not in (BELOW, TAKEN_DOWN, PICKLE)]  # no faults of its inputs
        lost = sum(row.code != "duplicate" or owners.get(row.sha256 or "", name) == name for row in counted)
        asked = inputs[name] - (len(rows) - len(counted))
        of = f" of the member '{name}'" if name else ""
        counts = Counter(row.code for row in rows)
        codes = ", ".join(f"{count} {code}" for code, count in counts.most_common())
        where = f"see {table}{_advice(counts, member.source)}"
        if lost == asked:
            said = f"none of {inputs[name]} inputs{of} was accepted ({codes or 'the dataset is empty'})"
            raise RejectLimitError(f"{said}; {where}")
        if lost > limit * asked:
            said = f"{lost} of {asked} inputs{of} were rejected ({codes})"
            raise RejectLimitError(f"{said}, more than ingest.reject_limit {limit:g}; {where}")


def _advice(counts: Counter[str], source: kinds.OneSource) -> str:
    """Advice where most of the refused inputs have no file, and the kind of source has an option for that."""
    if 2 * counts["missing"] <= counts.total() or getattr(source, "absent", "skip") == "skip":
        return ""
    return "; where only a part of the dataset is meant to be here, set source.absent: skip in its descriptor"
