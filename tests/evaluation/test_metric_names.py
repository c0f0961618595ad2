"""The names of an evaluation's figures."""

from __future__ import annotations

from walt.evaluation.config import NetworkName
from walt.evaluation.metric_names import (
    better,
    held_out_loss,
    is_of_a_band,
    metric_names,
    of_network,
    of_reconstructions,
)
from walt.project.recipes import load_recipe

CONFIG = load_recipe("demo").evaluate.model_copy(update={"timestep_bands": 2})


def test_every_name_is_there_once() -> None:
    names = metric_names(CONFIG, ["base", "sr_2x"], cascade=True)
    assert len(set(names)) == len(names) == 2 * 5 + (5 + 1) + 2 * (1 + 2)
    assert {"adherence/both", "adherence/base/both", "held_out_loss/sr_2x", "held_out_loss/base/band_01"} <= set(names)


def test_a_base_model_alone_has_one_kind_of_videos() -> None:
    names = metric_names(CONFIG.model_copy(update={"features": "i3d"}), ["base"], cascade=False)
    assert "adherence/both" in names
    assert not any(name.startswith("adherence/base") for name in names)
    assert {"fvd", "kid/i3d", "precision/i3d"} <= set(names)
    assert not any("random_network" in name for name in names)


def test_bands_are_distinguished_from_the_whole() -> None:
    assert is_of_a_band(held_out_loss("base", 3))
    assert not is_of_a_band(held_out_loss("base"))


def test_shares_rise_and_all_else_falls() -> None:
    names = metric_names(CONFIG, ["base"], cascade=True)
    rising = {name for name in names if name.startswith(("adherence", "precision", "recall"))}
    assert {name for name in names if better(name) == "higher"} == rising
    assert [better(name) for name in ("fvd", "kid/i3d", "mmd/i3d", "fid")] == ["lower"] * 4
    assert [better(name) for name in ("inception_score/c3d", "text_similarity/clip")] == ["higher"] * 2
    assert better("psnr/video/32x32") == "higher"


def test_distances_of_reconstructions_have_their_usual_names() -> None:
    names = [of_reconstructions(network, "video", "32x32") for network in ("i3d", "inception", "random_network")]
    others = "reconstruction_frechet_distance/random_network/video/32x32"
    assert names == ["rfvd/video/32x32", "rfid/video/32x32", others]
    assert {better(name) for name in names} == {"lower"}


def test_only_i3d_is_called_fvd() -> None:
    networks: list[NetworkName] = ["random_network", "i3d", "inception", "clip"]
    names = [of_network("frechet_distance", network) for network in networks]
    assert names == ["frechet_distance/random_network", "fvd", "fid", "frechet_distance/clip"]
