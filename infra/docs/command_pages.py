"""A page for each command of ``walt``, by typer's own generator of Markdown."""

from __future__ import annotations

import click
from typer.cli import get_docs_for_click
from typer.main import get_command

from walt.cli import app

FOLDER = "commands"


def pages() -> dict[str, str]:
    """Each page's place and its text."""
    group = get_command(app)
    context = click.Context(group, info_name="walt")
    found = {f"{FOLDER}/index.md": ""}
    panels: dict[str, list[str]] = {}
    for name in sorted(group.commands):
        _, command, _ = group.resolve_command(context, [name])
        text = get_docs_for_click(obj=command, ctx=click.Context(command, info_name=name, parent=context), name=name)
        text = text.replace(f"# `{name}`", f"# walt {name}", 1).replace(f"$ {name}", f"$ walt {name}")
        found[f"{FOLDER}/{name}.md"] = text
        panel = getattr(group.commands[name], "rich_help_panel", None) or "Project"
        panels.setdefault(panel, []).append(f"| [`walt {name}`]({name}.md) | {command.get_short_help_str(limit=200)} |")
    lines = ["# Commands", "", "`walt --help` lists them; `walt COMMAND --help` shows what is on these pages."]
    for panel, rows in panels.items():
        lines += ["", f"## {panel}", "", "| command | |", "|---|---|", *rows]
    found[f"{FOLDER}/index.md"] = "\n".join(lines) + "\n"
    return found
