"""A page for each room that is of use as a library: its public classes and functions, by mkdocstrings."""

from __future__ import annotations

FOLDER = "modules"
ROOMS = ("autoencoder", "data", "diffusion", "evaluation", "media", "sampling", "text", "transformer")


def pages() -> dict[str, str]:
    """Each page's place and its text."""
    found = {}
    for room in ROOMS:
        options = "{show_root_heading: false, show_root_toc_entry: false}"
        found[f"{FOLDER}/{room}.md"] = f"# walt.{room}\n\n::: walt.{room}\n    options: {options}\n"
    return found
