"""The pixel check on clips whose truth is known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageFilter

from walt.data.shapes import draw, parse_caption, prompts
from walt.evaluation.adherence import Observation, PromptCheck, check_prompt, matching, observe
from walt.evaluation.metric_names import ADHERENCE
from walt.media.mp4 import decode_clip, encode_clip

COUNT = 144  # 2 of each colour x direction x shape


def rates(checks: list[PromptCheck]) -> dict[str, float]:
    """The shares of videos that match."""
    return {what: sum(matches.values()) / len(matches) for what, matches in matching(checks).items()}


def clips(size: int) -> Iterator[tuple[str, np.ndarray]]:
    rng = np.random.default_rng(1)
    for prompt in prompts(COUNT, seed=5):
        scene = parse_caption(prompt)
        assert scene is not None
        yield prompt, draw(scene, size, 17, rng)


@pytest.fixture(scope="module")
def stored() -> list[tuple[str, np.ndarray]]:
    """Clips of 32x32 as the dataset stores them: through H.264 and back."""
    return [(prompt, decode_clip(encode_clip(clip, 8, 8))) for prompt, clip in clips(32)]


@pytest.mark.slow
def test_real_clips_match_their_prompts(stored: list[tuple[str, np.ndarray]]) -> None:
    checks = [check_prompt(prompt, clip) for prompt, clip in stored]
    assert rates([v for v in checks if v]) == dict.fromkeys(ADHERENCE, 1.0)


@pytest.mark.slow
def test_larger_clips_match_their_prompts() -> None:
    checks = [check_prompt(prompt, clip) for prompt, clip in clips(64)]
    assert rates([v for v in checks if v]) == dict.fromkeys(ADHERENCE, 1.0)


@pytest.mark.slow
def test_blurred_and_noisy_clips_match_their_prompts(stored: list[tuple[str, np.ndarray]]) -> None:
    """About the damage of a weak autoencoder: blur of a pixel and a half, noise of 10 steps."""
    rng = np.random.default_rng(0)
    checks = []
    for prompt, clip in stored:
        blurred = np.stack([np.asarray(Image.fromarray(frame).filter(ImageFilter.GaussianBlur(1.5))) for frame in clip])
        noisy = np.clip(blurred + rng.normal(0, 10, blurred.shape), 0, 255).astype(np.uint8)
        checks.append(check_prompt(prompt, noisy))
    assert all(share >= 0.97 for share in rates([v for v in checks if v]).values())


@pytest.mark.slow
def test_shuffled_prompts_are_chance(stored: list[tuple[str, np.ndarray]]) -> None:
    order = np.random.default_rng(0).permutation(COUNT)
    shares = rates([v for v in (check_prompt(stored[i][0], stored[j][1]) for i, j in enumerate(order)) if v])
    assert shares["colour"] == pytest.approx(1 / 6, abs=0.1)
    assert shares["shape"] == pytest.approx(1 / 3, abs=0.12)
    assert shares["direction"] == pytest.approx(1 / 4, abs=0.12)
    assert shares["both"] == pytest.approx(1 / 24, abs=0.05)


def test_nothing_to_see() -> None:
    assert observe(np.full((9, 32, 32, 3), 70, np.uint8)) == Observation(None, None, None)
    noise = np.random.default_rng(0).normal(70, 5, (9, 32, 32, 3)).clip(0, 255).astype(np.uint8)
    assert observe(noise) == Observation(None, None, None)


def test_a_shape_that_does_not_move() -> None:
    video = np.zeros((9, 32, 32, 3), np.uint8)
    video[:, 10:20, 10:20] = (240, 240, 240)
    assert observe(video) == Observation("white", None, "square")


def test_other_prompts_are_not_checked() -> None:
    assert check_prompt("a dog in the snow", np.zeros((2, 8, 8, 3), np.uint8)) is None


def test_rates() -> None:
    seen = Observation("red", "left", "square")
    found = [(True, True, True), (True, False, True), (False, True, True), (True, True, False)]
    checks = [PromptCheck("", seen, *matches) for matches in found]
    assert rates(checks) == {"colour": 3 / 4, "shape": 3 / 4, "direction": 3 / 4, "both": 2 / 4, "all": 1 / 4}
    assert rates([PromptCheck("", seen, True, None, False)]) == {"colour": 1.0, "shape": 0.0}
    assert rates([]) == {}
