"""The page of ``walt inspect``, which loads nothing from elsewhere, and its pictures as PNG files beside it.

The page is ``inspect_page.html.jinja`` filled with the figures. The same figures and pictures give the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from markupsafe import Markup

from walt.commands.inspect.figure_tables import headline, tables
from walt.core.storage import write_bytes
from walt.media.images import png_bytes
from walt.pages.charts import Distribution, distribution_svg, distributions_png
from walt.pages.contact_sheet import Tile, contact_sheet, strip_jpeg
from walt.pages.template import data_uri, render

TEMPLATE = Path(__file__).with_name("inspect_page.html.jinja")
PAGE, SHEET, CHARTS = "inspect.html", "inspect-clips.png", "inspect-charts.png"
_SMALL = 100
"""Frames of less height show their pixels when they are enlarged."""


def write_page(
    out: Path, seed: int, document: dict[str, Any], charts: Sequence[Distribution], tiles: Sequence[Tile]
) -> dict[str, str]:
    """Write page, contact sheet and charts into the folder ``out``; returns where they are. Raises StorageError."""
    name = document["dataset"]["name"]
    what = "clips" if document["ingested"] else "files"
    subtitle = f"{len(tiles)} {what}, drawn with seed {seed}"
    subtitle += ": first, middle and last frame" if document["ingested"] else ": the first picture"
    files = {"page": out / PAGE}
    if tiles:
        files["contact_sheet"] = out / SHEET
        write_bytes(files["contact_sheet"], png_bytes(contact_sheet(name, subtitle, tiles)))
    if charts:
        files["charts"] = out / CHARTS
        write_bytes(files["charts"], distributions_png(name, charts))
    most = max((len(tile.frames) for tile in tiles), default=1)
    page = {
        **document,
        "headline": headline(document),
        "tables": [asdict(table) for table in tables(document)],
        "charts": [(chart.title, Markup(distribution_svg(chart))) for chart in charts],
        "subtitle": subtitle,
        "small": any(tile.frames[0].shape[0] < _SMALL for tile in tiles),
        "tiles": [
            {
                "uri": data_uri("image/jpeg", strip_jpeg(tile.frames)),
                "width": 100 * len(tile.frames) / most,
                "caption": tile.caption,
                "note": tile.note,
            }
            for tile in tiles
        ],
    }
    write_bytes(files["page"], render(TEMPLATE, page).encode())
    return {kind: str(path) for kind, path in files.items()}
