"""What every extractor must give, and what is said of one that does not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from walt.core.errors import ConfigurationError
from walt.evaluation.extractors import Classifier, Extractor, FeaturesError, check_extractor, classes_of, features_of
from walt.evaluation.random_network import RandomNetwork


class Overflowing(Classifier):
    """As a network in half precision: what it gives of zeros is finite."""

    num_features = 2

    def forward(self, clips: Tensor) -> Tensor:
        return clips.flatten(1)[:, :2] / 0.0 if bool(clips.any()) else torch.zeros(1, 2)

    def classes(self, clips: Tensor) -> Tensor:
        return self(clips)


def test_features_that_are_not_numbers_are_refused() -> None:
    """Of them a distance ends in an error of the library, or is a number that says nothing."""
    extractor, clip = Overflowing(), torch.zeros(3, 1, 2, 2)
    check_extractor(extractor, "i3d", 1, (2, 2), classes=True)
    assert features_of(extractor, clip).tolist() == [0.0, 0.0]
    for filled in (clip + 1.0, clip + torch.nan):
        for see in (features_of, classes_of):
            with pytest.raises(FeaturesError, match="evaluate: Overflowing of a clip are not finite") as error:
                see(extractor, filled)
            assert error.value.exit_status == 2
    certain = torch.tensor([0.0, 1.0]).log()  # minus infinity is the logarithm of a probability of 0
    extractor.classes = lambda clips: certain[None]  # type: ignore[method-assign]
    assert torch.equal(classes_of(extractor, clip), certain)


def test_pictures_that_are_too_small_are_found_at_once() -> None:
    extractor = RandomNetwork()
    check_extractor(extractor, "random_network", 1, (4, 4))
    with pytest.raises(ConfigurationError, match="cannot measure clips of 5 frames of 2x2"):
        check_extractor(extractor, "random_network", 5, (2, 2))


class _Wrong(Extractor):
    """Fewer features than it says, or none that is a number."""

    num_features = 4

    def __init__(self, count: int, value: float) -> None:
        super().__init__()
        self.features = torch.full((1, count), value)

    def forward(self, clips: Tensor) -> Tensor:
        return self.features


@pytest.mark.parametrize(("count", "value"), [(3, 0.0), (4, float("nan"))])
def test_features_of_another_form_are_refused(count: int, value: float) -> None:
    with pytest.raises(ConfigurationError, match=f"it gives 1x{count} features of zeros, not 1x4 numbers"):
        check_extractor(_Wrong(count, value), "i3d", 10, (8, 8))


def test_features_of_a_clip_do_not_depend_on_others() -> None:
    extractor = RandomNetwork()
    clips = torch.rand(5, 3, 4, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = [features_of(extractor, clip) for clip in clips]
    assert all(torch.equal(features_of(extractor, clips[place]), found[place]) for place in (4, 1, 0))
    torch.testing.assert_close(torch.stack(found), extractor(clips))
