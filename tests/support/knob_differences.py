"""What another value of each knob of a training's section means for its checkpoints; run as a module, it writes that
down, in ``tests/training/differences.txt``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from tests.support.settings import sections_in
from walt.training.autoencoder_config import AutoencoderTrainingConfig
from walt.training.config import DiffusionTrainingConfig
from walt.training.differences import TABLE, kind_of_knob

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = ROOT / "tests/training/differences.txt"
COMMAND = "python -m tests.support.knob_differences"


def knobs(section: type[BaseModel], path: tuple[str, ...] = ("training",)) -> Iterator[tuple[str, ...]]:
    """Places of all knobs of a section, those of the sections in it included; those of a list under ``*``."""
    for name, field in section.model_fields.items():
        below = sections_in(field.annotation)
        many = "tuple" in str(field.annotation)
        for inner in below:
            yield from knobs(inner, (*path, name, "*") if many else (*path, name))
        if not below:
            yield (*path, name)


def as_text() -> str:
    """A line for each knob of the training sections, and of each heading besides."""
    found = {
        ".".join(path) for config in (AutoencoderTrainingConfig, DiffusionTrainingConfig) for path in knobs(config)
    }
    found |= {row.what for row in TABLE if not row.what.startswith("training")}
    return "".join(f"{name}: {kind_of_knob(name.split('.'))}\n" for name in sorted(found))


def as_markdown() -> str:
    """The table of differences as the page for operators shows it."""
    rows = "".join(f"| `{row.what}` | {row.kind} | {row.why} |\n" for row in TABLE)
    return f"| what differs | it is | because |\n|---|---|---|\n{rows}"


def main() -> None:
    """Write the list; the page's table is shown, to be pasted."""
    WRITTEN.write_text(as_text(), encoding="utf-8")
    print(as_markdown())


if __name__ == "__main__":
    main()
