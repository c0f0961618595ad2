"""The page of ``walt ui``, read as text: labels for all controls, nothing from elsewhere, no text as HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from walt.commands.ui import guard

FOLDER = Path(guard.__file__).parent
PAGE, STYLE = FOLDER / "page.html", FOLDER / "page.css"
SCRIPTS = (FOLDER / "page.js", FOLDER / "results.js")
CONTROLS = {"input", "select", "textarea", "button"}
VOID = {"meta", "link", "input", "br", "img"}


class Page(HTMLParser):
    """Elements with their attributes and texts; raises where one is not closed in its place."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self._open: list[int] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}, []))
        if tag not in VOID:
            self._open.append(len(self.elements) - 1)

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self._open.pop()][0] == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        for place in self._open:
            self.elements[place][2].append(data)


def faults(text: str) -> list[str]:
    """What keeps people who do not see the page, or use no mouse, from using it."""
    elements = Page(text).elements
    ids = [attributes["id"] for _, attributes, _ in elements if "id" in attributes]
    labels = {attributes.get("for"): "".join(said).strip() for tag, attributes, said in elements if tag == "label"}
    found = [f"id {name} twice" for name in ids if ids.count(name) > 1]
    for tag, attributes, said in elements:
        name = attributes.get("id", tag)
        own_text = "".join(said).strip() if tag == "button" else ""
        if tag in CONTROLS and not (labels.get(name) or own_text or attributes.get("aria-label")):
            found.append(f"{tag} {name} has no label")
        if tag == "label" and attributes.get("for") not in ids:
            found.append(f"label for {attributes.get('for')}, which is not there")
        for reference in ("aria-labelledby", "aria-describedby"):
            found += [f"{name}: no {one}" for one in attributes.get(reference, "").split() if one not in ids]
        if int(attributes.get("tabindex", "0")) > 0:
            found.append(f"{name}: its tabindex takes it out of the order")
        if tag == "img" and "alt" not in attributes:
            found.append("img without alt")
        if any(attribute.startswith("on") for attribute in attributes):
            found.append(f"{name}: a handler in the page")
    tags = [tag for tag, _, _ in elements]
    roles = [attributes.get("role") for _, attributes, _ in elements]
    found += [f"no {tag}" for tag in ("title", "main", "h1", "header") if tag not in tags]
    found += [f"no role {role}" for role in ("status", "alert") if role not in roles]
    if not next(attributes for tag, attributes, _ in elements if tag == "html").get("lang"):
        found.append("no language")
    return found


def test_the_page_can_be_used_without_sight_and_without_a_mouse() -> None:
    assert faults(PAGE.read_text()) == []


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ('<label for="steps">Steps</label>', "", "input steps has no label"),
        ("Make video</button>", "</button>", "button make has no label"),
        ('role="status"', "", "no role status"),
        ('id="guidance"', 'id="steps"', "id steps twice"),
        ('lang="en"', "", "no language"),
        ('id="seconds-note"', "", "seconds: no seconds-note"),
        ('<select id="model"', '<select tabindex="3" id="model"', "model: its tabindex takes it out of the order"),
    ],
)
def test_a_fault_is_seen(before: str, after: str, fault: str) -> None:
    text = PAGE.read_text()
    assert before in text
    assert fault in faults(text.replace(before, after))


def test_what_the_script_makes_has_names_too() -> None:
    """Buttons, bars, pictures and videos that it adds."""
    script = "".join(file.read_text() for file in SCRIPTS)
    for made in ("stop", "bar", "again", "file", "button"):
        assert f'{made}.setAttribute("aria-label"' in script
    assert "picture.alt = " in script
    assert 'video.setAttribute("aria-label"' in script
    assert "prefers-reduced-motion" in script


def test_the_script_asks_for_elements_that_are_there() -> None:
    ids = {attributes["id"] for _, attributes, _ in Page(PAGE.read_text()).elements if "id" in attributes}
    script = "".join(file.read_text() for file in SCRIPTS)
    assert set(re.findall(r'byId\("([^"]+)"\)', script)) <= ids


@pytest.mark.parametrize("file", [PAGE, STYLE, *SCRIPTS], ids=lambda file: file.name)
def test_nothing_comes_from_elsewhere(file: Path) -> None:
    assert not re.search(r"https?://|//\w+\.\w+|@import|url\(", file.read_text())


def test_text_never_becomes_html() -> None:
    script = "".join(file.read_text() for file in SCRIPTS)
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "DOMParser", "srcdoc"):
        assert way not in script
    assert "<script>" not in PAGE.read_text()
    assert "style=" not in PAGE.read_text()
