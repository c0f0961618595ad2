"""Hooks of MkDocs (https://www.mkdocs.org/user-guide/configuration/#hooks): pages that are not files of ``docs/``.

The README, the page for contributors and the cards of the datasets stand where people look for them in the repository;
the pages about settings, commands and modules are made from the code. Links between all of these become links between
pages, and links to other files of the repository become their names.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import Any

import command_pages
import module_pages
import settings_pages
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
TAKEN = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "infra/README.md": "infra.md"}
"""Files of the repository and what their pages are called."""
STYLE = Path(__file__).with_name("site.css")
FOLDERS = ("decisions", "results")
"""Folders of ``docs/`` of which every page is listed."""
_LINK = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|mailto:|#)([^)#\s]*)(#[^)\s]*)?\)")
_CODE = re.compile(r"(```.*?```|``[^`\n]+``|`[^`\n]+`)", re.DOTALL)


def taken_files() -> dict[str, str]:
    """Pages from outside of ``docs/``: the file's place in the repository and the page's in the site."""
    cards = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "datasets").glob("*.md"))
    return {**TAKEN, **{card: card for card in cards}}


def made_pages() -> dict[str, dict[str, str]]:
    """Pages from the code: the part of the navigation, each page's place and its text."""
    return {
        "settings": _without_tags(settings_pages.pages()),
        "commands": _without_tags(command_pages.pages()),
        "modules": module_pages.pages(),
    }


def _without_tags(pages: dict[str, str]) -> dict[str, str]:
    """With ``<`` of words such as ``work/<stage>`` escaped outside of code: a browser would take them for tags."""
    escaped = {}
    for page, text in pages.items():
        parts = _CODE.split(text)
        escaped[page] = "".join(part if at % 2 else part.replace("<", "&lt;") for at, part in enumerate(parts))
    return escaped


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the lists of pages into the navigation."""
    lists: dict[str, list[str]] = {name: list(pages) for name, pages in made_pages().items()}
    lists["datasets"] = [page for page in taken_files().values() if page.startswith("datasets/")]
    for folder in FOLDERS:
        lists[folder] = sorted(f"{folder}/{path.name}" for path in (ROOT / "docs" / folder).glob("*.md"))
    config.nav = _filled(config.nav, lists)
    return config


def _filled(nav: Any, lists: dict[str, list[str]]) -> Any:
    if isinstance(nav, list):
        return [_filled(entry, lists) for entry in nav]
    if isinstance(nav, dict):
        return {title: _filled(entry, lists) for title, entry in nav.items()}
    return lists[nav.strip("<>")] if nav.startswith("<") else nav


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in ``docs/``, and the style sheet."""
    texts = {page: (ROOT / file).read_text(encoding="utf-8") for file, page in taken_files().items()}
    for pages in made_pages().values():
        texts |= pages
    for page, text in texts.items():
        files.append(File.generated(config, page, content=text))
    files.append(File.generated(config, STYLE.name, abs_src_path=str(STYLE)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links to where their target is in the site; a file that has no page is named, without a link."""
    source = next((file for file, name in taken_files().items() if name == page.file.src_uri), None)
    folder = posixpath.dirname(source if source is not None else f"docs/{page.file.src_uri}")
    places = taken_files()

    def replaced(link: re.Match[str]) -> str:
        text, target, anchor = link[1], link[2], link[3] or ""
        place = posixpath.normpath(posixpath.join(folder, target))
        wanted = places.get(place, place.removeprefix("docs/"))
        title = None
        if files.get_file_from_path(wanted) is None and place.startswith("docs/"):
            title, wanted = wanted.capitalize(), _first_page(wanted)  # a folder: called as in the navigation
        if files.get_file_from_path(wanted) is None:
            if place.startswith("docs/") and not (ROOT / place).exists():
                return link[0]  # leads nowhere: MkDocs says so
            return text
        if text.rstrip("/") in (target.rstrip("/"), place, posixpath.basename(place)):
            # in the repository a file's name says where it is; here its title does
            text = title or _title(files, wanted) or text
        return f"[{text}]({os.path.relpath(wanted, posixpath.dirname(page.file.src_uri) or '.')}{anchor})"

    return _outside_code(markdown, replaced)


def _title(files: Files, page: str) -> str | None:
    """A page's first heading."""
    found = files.get_file_from_path(page)
    heading = re.search(r"^# (.+)$", found.content_string, flags=re.MULTILINE) if found else None
    return heading[1] if heading else None


def _first_page(folder: str) -> str:
    pages = sorted(path.name for path in (ROOT / "docs" / folder).glob("*.md"))
    return f"{folder}/{pages[0]}" if pages else folder


def _outside_code(markdown: str, replaced: Any) -> str:
    """``_LINK`` replaced in what is not a block of code."""
    parts = re.split(r"(^```.*?^```[^\n]*$)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if part.startswith("```") else _LINK.sub(replaced, part) for part in parts)
