"""Whether the dataset has what the parameters need."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.parameters import params
from tests.support.sources import LIST, describe, member, union
from walt.core.errors import ConfigurationError
from walt.project.dataset_fit import check_dataset


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"films": 2, "photos": 0}, None),
        (None, None),
        ({"films": 2}, "no weight for the member 'photos' (0 leaves it out)"),
        ({"films": 2, "photo": 1}, "no member is called 'photo'; did you mean 'photos'? (members: films, photos)"),
    ],
)
def test_weights_are_those_of_the_members(
    tmp_path: Path, weights: dict[str, float] | None, message: str | None
) -> None:
    descriptor = describe(**union(films=member(LIST, "films"), photos=member(LIST, "photos")), adherence="shapes")
    (tmp_path / "d.yaml").write_text(json.dumps(descriptor.model_dump(mode="json")))
    given = params(dataset__descriptor="d.yaml", train_base__member_weights=weights)
    if message is None:
        assert check_dataset(given, tmp_path) == descriptor
        return
    with pytest.raises(ConfigurationError) as error:
        check_dataset(given, tmp_path)
    assert str(error.value) == f"params.yaml: train_base.member_weights: {message}"


def test_a_dataset_that_is_no_union_has_no_weights(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text(json.dumps(describe(LIST, adherence="shapes").model_dump(mode="json")))
    with pytest.raises(ConfigurationError, match=r"train_base.member_weights is given, but d.yaml is not a union"):
        check_dataset(params(dataset__descriptor="d.yaml", train_base__member_weights={"a": 1}), tmp_path)
    with pytest.raises(ConfigurationError, match="member_weights has no weight above 0"):
        params(train_base__member_weights={"a": 0})


def test_a_promotion_asks_for_no_figure_of_a_check_that_the_dataset_lacks(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text(json.dumps(describe(LIST).model_dump(mode="json")))
    own = {"dataset__descriptor": "d.yaml", "sample__prompts": "held_out"}
    with pytest.raises(ConfigurationError) as error:
        check_dataset(params(**own), tmp_path)
    said = "promotion.metric is adherence/both, but d.yaml has no adherence check"
    assert str(error.value) == f"params.yaml: {said}: name another, such as frechet_distance/random_network"
    loss = {"promotion__metric": "held_out_loss/base", "promotion__better": "lower", "promotion__guards": []}
    check_dataset(params(**own, **loss), tmp_path)
    (tmp_path / "d.yaml").write_text(json.dumps(describe(LIST, adherence="shapes").model_dump(mode="json")))
    check_dataset(params(**own), tmp_path)
