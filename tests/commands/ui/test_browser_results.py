"""Finished videos on the page show what ``walt sample`` makes of a prompt, play in step, and say their settings."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.support.browser import Tab, browser, needs_chromium
from tests.support.sample_project import sample_project
from tests.support.ui import server
from walt.commands.sample.generate import Request, run

pytestmark = [pytest.mark.slow, needs_chromium]
PROMPTS = ("a red circle", "green star")
_SHOWN = """(async video => {
  video.pause();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  const pen = canvas.getContext("2d"), frames = [];
  for (const seconds of %s) {
    const there = new Promise(done => video.addEventListener("seeked", done, {once: true}));
    video.currentTime = seconds;
    await there;
    pen.drawImage(video, 0, 0);
    frames.push([...pen.getImageData(0, 0, canvas.width, canvas.height).data]);
  }
  return frames;
})(document.querySelector(".card video"))"""


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("projects")
    return sample_project(folder / "one"), sample_project(folder / "other")


@pytest.fixture(scope="module")
def address(projects: tuple[Path, Path]) -> Iterator[str]:
    with server(projects[0], "--model", str(projects[1])) as (_, found):
        yield found


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    with browser() as running:
        yield running.tab()


def make(tab: Tab, address: str, prompt: str, beside: str = "none") -> None:
    """Type a prompt and wait for what is made of it, with the seed 5 and 3 steps."""
    tab.open(f"{address}/?seed=5&steps=3&for={prompt.replace(' ', '-')}")
    tab.wait("document.getElementById('steps').value === '3'")
    tab.wait(f"[...document.querySelectorAll('#beside option')].some(option => option.value === {beside!r})")
    tab.value(f"document.getElementById('beside').value = {beside!r}; document.getElementById('prompt').focus()")
    tab.type(prompt)
    tab.press("Enter", modifiers=2)
    title = "document.querySelector('.card h3')?.textContent"
    tab.wait(f"{title} === {prompt!r} && document.querySelector('.card video').readyState >= 2")


def sampled(root: Path, out: Path, prompt: str) -> tuple[Any, float]:
    """The same by ``walt sample``: frames (T, h, w, 3), and how many there are a second."""
    (file,) = run(Request(prompts=(prompt,), seed=5, steps=3, formats=("mp4",), out=out), root)
    with av.open(io.BytesIO(file.read_bytes())) as container:
        rate = float(container.streams.video[0].average_rate or 0)
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]), rate


def test_the_video_shows_what_the_model_makes_of_the_prompt(
    tab: Tab, address: str, projects: tuple[Path, Path], tmp_path: Path
) -> None:
    wanted = {prompt: sampled(projects[0], tmp_path, prompt) for prompt in PROMPTS}
    for prompt, other in (PROMPTS, PROMPTS[::-1]):
        make(tab, address, prompt)
        frames, rate = wanted[prompt]
        times = [(number + 0.5) / rate for number in range(len(frames))]
        pixels = np.array(tab.value(_SHOWN % times), np.float64)
        shown = pixels.reshape(*frames.shape[:3], 4)[..., :3]
        apart = [float(np.abs(shown - one).mean()) for one in (frames, wanted[other][0], frames[::-1])]
        assert apart[0] < 3, "levels of 255: the browser rounds colours in its own way"
        assert min(apart[1:]) > 10, "another prompt is another video, and its frames have an order"


def test_two_models_play_in_step(tab: Tab, address: str, projects: tuple[Path, Path]) -> None:
    make(tab, address, "both", str(projects[1]))
    tab.wait("document.querySelectorAll('.group video').length === 2")
    tab.wait("[...document.querySelectorAll('.group video')].every(video => video.readyState >= 2)")
    first, second = (f"document.querySelectorAll('.group video')[{number}]" for number in (0, 1))
    tab.value(f"{first}.pause(); {first}.currentTime = 0.3")
    tab.wait(f"{second}.paused && Math.abs({second}.currentTime - 0.3) < 0.11")
    tab.value(f"{first}.play()")
    tab.wait(f"!{second}.paused")


@pytest.mark.parametrize("width", [1280, 390])
def test_all_settings_can_be_read(tab: Tab, address: str, width: int) -> None:
    make(tab, address, f"in {width} points")
    tab.open(f"{address}/?settings", (width, 900))
    tab.wait("document.querySelector('.card details') !== null")
    tab.value("document.querySelector('.card details').open = true")
    widths = tab.value("[...document.querySelectorAll('.card dl')[0].children].map(cell => cell.clientWidth)")
    assert min(widths) > 45, "a value in a column of a letter is not read"
