"""The documentation as a site: it is built as ``make docs`` builds it, where a link that leads nowhere is an error."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.browser import browser, needs_chromium
from tests.support.project import ROOT
from walt.commands.listing import list_commands
from walt.project.recipes import recipe_data
from walt.project.registry import STAGES

pytestmark = pytest.mark.slow
CONFIG = ROOT / "infra/docs/mkdocs.yml"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-f", str(CONFIG), "-d", str(folder)]
    built = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def text(page: Path) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


def knobs(section: dict[str, object], above: str = "") -> list[str]:
    found = []
    for name, value in section.items():
        found += knobs(value, f"{above}{name}.") if isinstance(value, dict) else [above + name]
    return found


def test_every_page_can_be_reached_from_the_navigation(site: Path) -> None:
    linked = set(re.findall(r'href="([^"#]+)"', (site / "index.html").read_text(encoding="utf-8")))
    pages = {page.relative_to(site).as_posix() for page in site.rglob("*.html")} - {"404.html", "index.html"}
    assert pages - linked == set()
    assert {
        path.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for path in (ROOT / "docs").rglob("*.md")
    } <= pages


def test_a_link_to_a_folder_is_called_as_in_the_navigation(site: Path) -> None:
    assert "Why things are as they are: Decisions." in text(site / "index.html")


def test_words_in_angle_brackets_are_shown_and_not_taken_for_tags(site: Path) -> None:
    assert "are set aside in work/<stage>/set-aside." in text(site / "commands/train-base.html")
    assert "Reads <dataset.descriptor>, <dataset.path>, " in text(site / "commands/ingest.html")
    assert "checkpoints stay in work/<stage>/set-aside, the newest; null: all" in text(site / "settings/resume.html")
    assert "what <data|model>" in text(site / "commands/export.html")


def test_every_knob_has_its_docstring_default_and_recipes(site: Path) -> None:
    data = recipe_data("demo")
    for name, section in data.items():
        if isinstance(section, dict):
            page = (site / f"settings/{name}.html").read_text(encoding="utf-8")
            for knob in knobs(section):
                assert f"<code>{knob}</code>" in page, f"{name}.{knob}"
    page = text(site / "settings/train_base.html")
    assert "Default: 2300" in page
    assert re.search(r"Changed by: .*\bimagenet \(438000\)", page)
    assert "How often the text, or the class, is dropped, for classifier-free guidance." in page


def test_every_command_has_a_page(site: Path) -> None:
    names = {stage.name for stage in STAGES} | {str(command.name) for command in list_commands()}
    assert {page.stem for page in (site / "commands").glob("*.html")} == names | {"index"}
    assert "--guidance-schedule" in text(site / "commands/sample.html")
    assert "$ walt sample [OPTIONS]" in text(site / "commands/sample.html")


def test_modules_show_what_docstrings_say(site: Path) -> None:
    page = text(site / "modules/diffusion.html")
    assert "power_cosine" in page
    assert "arXiv 2303.14389" in page


def test_links_to_files_that_are_no_pages_are_names(site: Path) -> None:
    page = (site / "index.html").read_text(encoding="utf-8")
    assert 'href="contributing.html"' in page
    assert 'href="docs/' not in page
    assert not re.search(r'href="[^":]+\.(md|py|yaml)"', page)


def test_a_link_whose_text_is_a_files_name_has_the_pages_title(site: Path) -> None:
    """Also where the file is in another folder."""
    page = text(site / "results/ablations.html")
    assert "how differences are classed: The paper's tables." in " ".join(page.split())


@needs_chromium
def test_names_in_tables_stay_whole_on_a_phone(site: Path) -> None:
    with browser() as running:
        shown = running.tab()
        shown.open((site / "evaluation.html").as_uri(), (390, 800))
        name = "[...document.querySelectorAll('td code')].find(code => code.textContent === 'kinetics600_frames')"
        assert shown.value(f"{name}.getClientRects().length") == 1
        assert shown.value("document.documentElement.scrollWidth") <= 390


def test_nothing_is_loaded_from_other_places(site: Path) -> None:
    for page in (site / "index.html", site / "settings/base.html"):
        assert not re.findall(r'(?:src|href)="(https?://[^"]+\.(?:js|css|woff2?))"', page.read_text(encoding="utf-8"))


def test_a_link_that_leads_nowhere_ends_the_build(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("# Here\n\n[there](there.md)\n")
    config = tmp_path / "mkdocs.yml"
    validation = re.search(r"^validation:.*?(?=^\w)", CONFIG.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert validation is not None
    config.write_text(f"site_name: x\nstrict: true\ntheme: null\n{validation[0]}")
    command = [sys.executable, "-m", "mkdocs", "build", "-f", str(config), "-d", str(tmp_path / "site")]
    assert subprocess.run(command, capture_output=True, cwd=tmp_path).returncode != 0
