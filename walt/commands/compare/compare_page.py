"""The page of ``walt compare``: videos in a grid that plays in step, figures, and the settings that differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from walt.core.scratch import scratch_folder
from walt.core.sizes import size_folder
from walt.evaluation import metric_names
from walt.media.playable import write_playable
from walt.pages.template import data_uri, render
from walt.sampling.output import Video
from walt.tracking.compared import Compared
from walt.transformer.config import TransformerConfig

TEMPLATE = Path(__file__).with_name("compare_page.html.jinja")
_PRESENT, _ABSENT = "there", "\N{EM DASH}"
_BOOKKEEPING = ("models.", "seed", "base.seed")
"""Parameters that say which models these are, or are shown elsewhere."""


@dataclass(frozen=True)
class Column:
    """One model: what it made, and what MLflow says of it."""

    label: str
    videos: Sequence[Video]
    release: str | None = None
    """The id of its run in MLflow."""
    figures: Mapping[str, str] = field(default_factory=dict)
    measured_on: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    decision: str = ""

    @classmethod
    def of(cls, side: Compared, videos: Sequence[Video], configs: Mapping[str, TransformerConfig]) -> Column:
        """With the release's settings, or those of the models' own configurations where there is no release."""
        if (release := side.release) is not None:
            return cls(
                side.label,
                videos,
                release.run_id,
                release.figures,
                release.measured_on,
                release.params,
                release.decision,
            )
        settings = {
            f"{name}.architecture.{key}": str(value)
            for name, config in configs.items()
            for key, value in _flat(config.model_dump(mode="json"))
        }
        return cls(side.label, videos, settings=settings)


def page(columns: Sequence[Column], prompts: Sequence[str], seed: int, fps: float, sampled: Mapping[str, Any]) -> str:
    """The whole page, which loads nothing from elsewhere.

    Args:
        prompts: a row of videos each, in their order in each column.
        sampled: what is said of how the videos were made.
    """
    rows = [
        {"prompt": prompt, "cells": [_cell(column.videos[place], fps) for column in columns]}
        for place, prompt in enumerate(prompts)
    ]
    return render(
        TEMPLATE,
        {
            "columns": columns,
            "rows": rows,
            "seed": seed,
            "sampled": sampled,
            "figures": figure_rows(columns),
            "settings": setting_rows(columns),
            "without_run": [column.label for column in columns if column.release is None],
        },
    )


def figure_rows(columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Metric, which values are better, a value for each column, and whether all were measured on the same: others are
    not to be compared."""
    rows = []
    for name in dict.fromkeys(name for column in columns for name in column.figures):
        on = {column.measured_on.get(name) for column in columns if name in column.figures}
        values = [column.figures.get(name, _ABSENT) for column in columns]
        rows.append({"name": name, "better": metric_names.better(name), "values": values, "same": len(on) == 1})
    return rows


def setting_rows(columns: Sequence[Column]) -> list[dict[str, Any]]:
    """The settings that are not the same in all columns. What a column has nothing of, such as a model that it does
    without, is one row; its settings then differ where they do among the others."""
    names = dict.fromkeys(name for column in columns for name in column.settings)
    parts = [{_part(name) for name in column.settings} for column in columns]
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        if name.startswith(_BOOKKEEPING):
            continue
        part = _part(name)
        alone = part == name  # a setting that belongs to no model or section
        having = [column for column, its in zip(columns, parts, strict=True) if alone or part in its]
        if len(having) < len(columns):
            found[f"{part}: all settings"] = [_PRESENT if part in its else _ABSENT for its in parts]
        if len({column.settings.get(name, _ABSENT) for column in having}) > 1:
            found[name] = [column.settings.get(name, _ABSENT) for column in columns]
    return [{"name": name, "values": values} for name, values in found.items()]


def _part(name: str) -> str:
    """The model, or the section, that a setting belongs to."""
    return name.partition(".")[0]


def _cell(video: Video, fps: float) -> dict[str, Any]:
    """A video as the page holds it; one frame is a video of one frame."""
    frames, height, width, _ = video.shape
    with scratch_folder() as scratch:
        file = scratch / "video.mp4"
        write_playable(file, video, fps, {})
        uri = data_uri("video/mp4", file.read_bytes())
    return {"uri": uri, "frames": frames, "size": size_folder((height, width)), "small": height < 200}


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        found += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(f"{prefix}{key}", value)]
    return found
