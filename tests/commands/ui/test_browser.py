"""The page of ``walt ui`` in a headless Chromium, with the server as a process of its own."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.support.axe import faults, needs_axe
from tests.support.browser import Browser, Tab, browser, needs_chromium
from tests.support.sample_project import frames_project, sample_project
from tests.support.ui import server
from tests.support.waiting import SECONDS
from walt.media.images import png_bytes

pytestmark = [
    pytest.mark.slow,
    needs_chromium,
]
STATUS = "document.getElementById('status').textContent"
PLAYS = "(video => video && video.readyState >= 2 && !video.paused && video.loop && video.currentTime > 0)"


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One with models that do everything, and another."""
    folder = tmp_path_factory.mktemp("projects")
    return frames_project(folder / "frames"), sample_project(folder / "plain")


@pytest.fixture(scope="module")
def url(projects: tuple[Path, Path]) -> Iterator[str]:
    with server(projects[0], "--model", str(projects[1])) as (process, address):
        yield address
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture(autouse=True)
def closed_tabs(chromium: Browser) -> Iterator[None]:
    """Of all tests before: the videos that play in a page take a processor from the server."""
    yield
    chromium.close_tabs()


def open_form(page: Tab, address: str, size: tuple[int, int] = (1280, 900)) -> None:
    """Open the page, and wait until its script has filled the form."""
    page.open(address, size)
    page.wait("document.getElementById('steps').value !== ''")


@pytest.fixture
def tab(chromium: Browser, url: str) -> Iterator[Tab]:
    """The page; what was asked for and is not made when the test ends is cancelled, so that no other test waits."""
    page = chromium.tab()
    open_form(page, f"{url}/")
    yield page
    with httpx.Client(base_url=url, trust_env=False, timeout=SECONDS) as client:
        for job in client.get("/api/jobs").json():
            if job["state"] in ("waiting", "running"):
                client.delete(f"/api/jobs/{job['id']}")


def test_the_form_does_not_wait_for_the_registry(chromium: Browser, url: str, projects: tuple[Path, Path]) -> None:
    page = chromium.tab()
    held = (
        "const ask = window.fetch, held = new Promise(done => { window.answer = done; });"
        "window.fetch = async (...all) => {"
        " if (String(all[0]).endsWith('api/models')) await held; return ask(...all); };"
    )
    page.command("Page.addScriptToEvaluateOnNewDocument", source=held)
    open_form(page, f"{url}/")
    note = "document.getElementById('model-note').textContent"
    options = "[...document.querySelectorAll('#model option, #beside option')].map(option => option.value)"
    assert page.value(note).startswith("Looking for other models")
    assert page.value(options) == ["", "none", ""]
    page.value("window.answer()")
    page.wait(f"{note} === ''")
    other = str(projects[1])
    assert page.value(options) == ["", other, "none", "", other]


def fill(tab: Tab, **values: str) -> None:
    """Change controls as a person does."""
    for name, value in values.items():
        control = f"document.getElementById('{name}')"
        tab.value(f"{control}.value = {value!r}; {control}.dispatchEvent(new Event('change', {{bubbles: true}})); 1")


def first_card(text: str) -> str:
    """The video of the newest card with this title."""
    title = f"[...document.querySelectorAll('.card')].find(card => card.querySelector('h3').textContent === {text!r})"
    return f"{title}?.querySelector('video')"


def test_a_prompt_is_typed_and_the_video_plays(tab: Tab, url: str) -> None:
    """With the keyboard alone; what was typed is text, and nothing is loaded from elsewhere."""
    prompt = "<b id='bold'>a red circle</b>"
    tab.value("document.getElementById('prompt').focus()")
    tab.type(prompt)
    tab.press("Enter", modifiers=2)
    tab.wait(f"{PLAYS}({first_card(prompt)})")
    assert tab.value("document.getElementById('bold')") is None
    assert tab.value(f"(video => [video.videoWidth, video.videoHeight])({first_card(prompt)})") == [32, 32]
    loaded = tab.value("performance.getEntriesByType('resource').map(entry => entry.name)")
    assert loaded
    assert all(name.startswith(f"{url}/") for name in loaded)


def test_every_control_is_reached_with_the_tab_key(tab: Tab) -> None:
    tab.value("document.activeElement.blur()")
    reached = []
    for _ in range(40):
        tab.press("Tab")
        reached.append(tab.value("document.activeElement.id || document.activeElement.tagName"))
    wanted = ["prompt", "model", "beside", "file", "seed", "other-seed", "steps", "guidance", "aspect", "seconds"]
    places = [reached.index(name) for name in (*wanted, "cascade", "make")]
    assert places == sorted(places)


def test_a_second_person_waits_with_a_place(chromium: Browser, tab: Tab, url: str) -> None:
    fill(tab, prompt="a long one", steps="300", seconds="30")
    tab.value("document.getElementById('order').requestSubmit()")
    tab.wait("document.querySelector('#jobs img')?.naturalWidth > 0")  # a preview
    other = chromium.tab()
    open_form(other, f"{url}/")
    fill(other, prompt="a short one", steps="2")
    other.value("document.getElementById('order').requestSubmit()")
    other.wait(f"{STATUS} === '1 being made, 1 waiting. Yours has place 1.'")
    other.wait("document.querySelector('#jobs').innerText.includes('a long one (from another page)')")
    tab.wait("document.querySelector('#jobs li:nth-child(2)')?.innerText.includes('Waiting, place 1')")
    tab.value("document.querySelector('#jobs button').click()")
    other.wait(f"{PLAYS}({first_card('a short one')})")
    tab.wait(f"{STATUS} === 'Cancelled: a long one. Nothing is being made.'")
    assert not tab.value(first_card("a long one"))


def test_whoever_cancels_with_the_keyboard_stays_at_the_queue(tab: Tab) -> None:
    fill(tab, prompt="a long one", steps="300", seconds="30")
    tab.value("document.getElementById('order').requestSubmit()")
    tab.wait("document.querySelector('#jobs button')?.checkVisibility()")
    tab.value("document.querySelector('#jobs button').focus()")
    tab.press("Enter")
    tab.wait(f"{STATUS} === 'Cancelled: a long one. Nothing is being made.'")
    assert tab.value("document.activeElement.id") == "queue"


def test_what_the_text_encoder_does_not_see_is_shown_and_read_aloud(tab: Tab) -> None:
    prompt = "a red 圆"
    fill(tab, prompt=prompt, steps="2")
    tab.value("document.getElementById('order').requestSubmit()")
    tab.wait(f"{PLAYS}({first_card(prompt)})")
    card = first_card(prompt).replace("?.querySelector('video')", "")
    notes = f"[...{card}.querySelectorAll('.notes')].map(note => note.textContent).join(' ')"
    for shown in (notes, "document.getElementById('noted').textContent"):
        assert tab.wait(shown).endswith("not tell from each other: 圆.")


def test_a_model_is_not_put_beside_itself(tab: Tab) -> None:
    fill(tab, prompt="a cat", beside="")
    tab.value("document.getElementById('order').requestSubmit()")
    tab.wait("document.getElementById('problem').textContent.startsWith('Both models are the same')")
    assert tab.value("document.activeElement.id") == "beside"


def test_a_file_that_cannot_be_read_gets_a_line_and_a_picture_begins_a_video(tab: Tab, tmp_path: Path) -> None:
    broken, good = tmp_path / "broken.mp4", tmp_path / "good.png"
    broken.write_bytes(b"\x00\x01 no video")
    good.write_bytes(png_bytes(np.full((40, 60, 3), 120, np.uint8)))
    tab.choose_file("#file", broken)
    tab.wait("document.getElementById('problem').textContent.startsWith('broken.mp4: format: not one of the video')")
    tab.choose_file("#file", good)
    tab.wait("document.getElementById('chosen-name').textContent === 'Begins with good.png'")
    assert tab.value("document.getElementById('problem').textContent") == ""
    tab.value("document.getElementById('remove').focus()")
    tab.press("Enter")
    assert tab.value("document.getElementById('chosen-name').textContent") == ""
    assert tab.value("document.activeElement.id") == "file"
    tab.choose_file("#file", good)
    tab.wait("document.getElementById('chosen-name').textContent === 'Begins with good.png'")
    fill(tab, steps="2")
    tab.value("document.getElementById('order').requestSubmit()")
    tab.wait(f"{PLAYS}({first_card('(no prompt)')})")


def test_a_link_brings_the_settings_back(tab: Tab, url: str) -> None:
    fill(tab, prompt="a cat & a dog", steps="3", seed="77", guidance="4.5", aspect="2:1")
    tab.value("document.getElementById('order').requestSubmit()")
    tab.wait(f"{PLAYS}({first_card('a cat & a dog')})")
    link = tab.value("document.querySelector('.card .links a').href")
    open_form(tab, link)
    values = [tab.value(f"document.getElementById('{name}').value") for name in ("prompt", "steps", "seed", "guidance")]
    assert values == ["a cat & a dog", "3", "77", "4.5"]
    assert tab.wait("document.getElementById('aspect').value") == "2:1"


def test_two_models_stand_side_by_side_with_one_seed(tab: Tab, projects: tuple[Path, Path]) -> None:
    fill(tab, prompt="both of them", beside=str(projects[1]), steps="2", seed="5")
    tab.value("document.getElementById('order').requestSubmit()")
    tab.wait("document.querySelectorAll('.group .card').length === 2")
    said = tab.value("[...document.querySelectorAll('.group .card p:not(.notes)')].map(line => line.textContent)")
    assert [said[0], said[2]] == ["This project's models", str(projects[1])]
    assert [line.split(" \u00b7 ")[0] for line in (said[1], said[3])] == ["seed 5", "seed 5"]


def test_models_that_cannot_begin_with_a_picture_say_why(tab: Tab, projects: tuple[Path, Path]) -> None:
    fill(tab, model=str(projects[1]))
    tab.wait("document.getElementById('file-note').textContent.startsWith('Not possible: the model was not trained')")
    assert tab.value("getComputedStyle(document.getElementById('file')).display") == "none"
    assert tab.value("document.getElementById('seconds').disabled")


@needs_axe
def test_nothing_keeps_people_from_using_it(tab: Tab, url: str) -> None:
    fill(tab, prompt="a video to look at", steps="2")
    tab.value("document.getElementById('order').requestSubmit()")
    tab.wait(f"{PLAYS}({first_card('a video to look at')})")
    assert faults(tab, f"{url}/", "document.querySelector('.card video')?.readyState >= 2") == []


def test_a_video_is_deleted_with_the_keyboard_after_a_second_press(tab: Tab) -> None:
    fill(tab, prompt="not for keeps", steps="2")
    tab.value("document.getElementById('order').requestSubmit()")
    tab.wait(f"{PLAYS}({first_card('not for keeps')})")
    button = first_card("not for keeps").replace("querySelector('video')", "querySelector('.links button')")
    tab.value(f"{button}.focus()")
    tab.press("Enter")
    assert tab.value(f"{button}.textContent") == "Delete for good?"
    tab.press("Tab")
    assert tab.value(f"{button}.textContent") == "Delete", "whoever goes on does not delete"
    tab.value(f"{button}.focus()")
    tab.press("Enter")
    tab.press("Escape")
    assert tab.value(f"{button}.textContent") == "Delete", "nor does who thinks better of it"
    tab.press("Enter")
    tab.press("Enter")
    tab.wait("document.getElementById('deleted').textContent === 'Deleted: not for keeps'")
    assert not tab.value(first_card("not for keeps"))
    assert tab.value("document.activeElement.id") == "videos"


def test_a_server_that_was_started_anew_has_forgotten_what_was_asked_for(
    chromium: Browser, projects: tuple[Path, Path]
) -> None:
    root, page = projects[1], chromium.tab()
    with server(root) as (process, address):
        open_form(page, f"{address}/")
        fill(page, prompt="kept", steps="2")
        page.value("document.getElementById('order').requestSubmit()")
        page.wait(first_card("kept") + " !== undefined")
        fill(page, prompt="lost", steps="1000")
        page.value("document.getElementById('order').requestSubmit()")
        page.wait(f"{STATUS}.startsWith('1 being made')")
        process.kill()
        process.wait()
    page.wait(f"{STATUS}.startsWith('The server does not answer')")
    with server(root, "--port", address.rpartition(":")[2]):
        page.wait("document.getElementById('problem').textContent.includes('has forgotten 1 of your requests')")
        page.wait(f"{STATUS} === 'Nothing is being made.'")
        assert page.value(first_card("kept") + " !== undefined")
        open_form(page, f"{address}/?again")
        page.wait(first_card("kept") + " !== undefined")
        assert page.value("document.getElementById('problem').textContent") == "", "it is said once"


def test_before_anything_is_trained_the_page_says_so_and_works_as_soon_as_it_is(
    chromium: Browser, projects: tuple[Path, Path], tmp_path: Path
) -> None:
    root, page, problem = tmp_path / "new", chromium.tab(), "document.getElementById('problem').textContent"
    shutil.copytree(projects[1], root, ignore=shutil.ignore_patterns("models", "samples"))
    with server(root) as (_, address):
        page.open(f"{address}/")
        page.wait(f"{problem} !== ''")
        said = page.value(problem)
        fill(page, prompt="a cat")
        page.value("document.getElementById('order').requestSubmit()")
        page.wait(f"{problem} === {said!r}")
        shutil.copytree(projects[1] / "models", root / "models")
        page.value("document.getElementById('order').requestSubmit()")
        page.wait(f"{PLAYS}({first_card('a cat')})")
        assert page.value(problem) == ""


def test_only_what_is_in_sight_plays(tab: Tab, url: str) -> None:
    """A video that plays unseen takes the processor from the one that is made; one that a person stopped stays so."""
    with httpx.Client(base_url=url, trust_env=False, timeout=SECONDS) as client:
        for number in range(6):
            client.post("/api/jobs", json={"prompt": f"of many {number}", "steps": 1}).raise_for_status()
    top, bottom = first_card("of many 5"), "[...document.querySelectorAll('.card video')].at(-1)"
    tab.wait(f"{top} !== undefined")
    tab.command("Emulation.setDeviceMetricsOverride", width=390, height=500, deviceScaleFactor=1, mobile=False)
    tab.value(f"{top}.scrollIntoView({{block: 'center'}})")
    tab.wait(f"{PLAYS}({top}) && {bottom}.paused")
    tab.value(f"{bottom}.scrollIntoView({{block: 'center'}})")
    tab.wait(f"{PLAYS}({bottom}) && {top}.paused")
    tab.value(f"{bottom}.pause()")
    tab.value(f"{top}.scrollIntoView({{block: 'center'}})")
    tab.wait(f"{PLAYS}({top})")
    tab.value(f"{bottom}.scrollIntoView({{block: 'center'}})")
    tab.wait(f"{top}.paused")
    assert tab.value(f"{bottom}.paused")


@pytest.mark.parametrize("width", [1280, 480, 390, 320])
def test_nothing_sticks_out_of_the_window(tab: Tab, url: str, width: int) -> None:
    open_form(tab, f"{url}/", (width, 900))
    assert tab.value("document.documentElement.scrollWidth") <= width
