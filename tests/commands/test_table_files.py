"""The paper's tables as files: each row is parameters that fit, and the paper's values stand beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML

from walt.commands.table.cells import Cell, cells, metrics
from walt.commands.table.command import seeds_of
from walt.commands.table.table_file import (
    SCALES,
    TABLES,
    RowScale,
    ScaleName,
    TableFile,
    load_scale,
    load_table,
    table_names,
)
from walt.core.errors import ConfigurationError
from walt.evaluation.config import NetworkFile
from walt.evaluation.metric_names import metric_names
from walt.transformer.model import WaltTransformer

ALL = [(name, scale) for name in table_names() for scale in load_table(name).scales]


def of(name: str, scale: ScaleName, seeds: tuple[int, ...] = (0,)) -> list[Cell]:
    return cells(load_table(name), scale, load_scale(scale), seeds, None)


def test_every_table_of_the_issue_is_there() -> None:
    assert table_names() == ["1", "2", "3a", "3b", "3c", "3d", "3e", "3f", "4", "5", "7"]
    assert {scale.stem for scale in SCALES.glob("*.yaml")} == {"demo", "paper"}


@pytest.mark.parametrize(("name", "scale"), ALL)
def test_rows_are_parameters_that_fit_and_differ(name: str, scale: ScaleName) -> None:
    found = of(name, scale)
    assert len({cell.own.model_dump_json() for cell in found}) == len(found)
    left_out = [row for row in load_table(name).rows if row.at.get(scale, RowScale()).left_out]
    assert len(found) + len(left_out) == len(load_table(name).rows)


@pytest.mark.parametrize(("name", "scale"), ALL)
def test_the_metrics_are_ones_that_the_last_stage_makes(name: str, scale: ScaleName) -> None:
    table, params = load_table(name), of(name, scale)[0].own
    compared = {metric.name for metric in metrics(table, scale, load_scale(scale))}
    if table.last_stage == "evaluate":
        published = params.evaluate.model_copy(update={"features": None})
        known = [*metric_names(params.evaluate, ["base"], False), *metric_names(published, ["base"], False)]
    else:
        known = [f"psnr/video/{height}x{width}" for height, width in params.ingest.sizes]
    assert compared <= {*known, "fvd"}
    assert compared & set(known)


@pytest.mark.parametrize("name", table_names())
def test_a_table_compares_with_a_row_of_which_the_paper_has_a_value(name: str) -> None:
    table = load_table(name)
    for row in table.rows:
        assert row.paper, row.name
        assert table.row_against(row) != row.name


def test_the_large_model_has_the_papers_number_of_parameters() -> None:
    """The paper rounds to the million; the other sizes are those of tests/transformer/test_sizes.py."""
    cell = of("4", "paper")[1]
    with torch.device("meta"):
        model = WaltTransformer(cell.own.base)
    count = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    assert count == pytest.approx(cell.row.paper["million parameters"], abs=1.0)


def test_the_paper_scale_is_the_recipes() -> None:
    (first, *_) = of("3a", "paper")
    assert (first.own.train_base.steps, first.own.base.layers, first.own.base.width) == (35000, 24, 1024)


def test_a_seed_is_for_the_stages_from_the_first_that_the_table_names() -> None:
    from walt.project.registry import get_stage

    cell = of("3a", "demo", (7,))[0]
    seeds = {name: cell.params(get_stage(name)).seed for name in ("train-autoencoder", "encode-text", "train-base")}
    assert seeds == {"train-autoencoder": 0, "encode-text": 0, "train-base": 7}
    of_autoencoders = of("3f", "demo", (7,))[0]
    assert of_autoencoders.params(get_stage("train-autoencoder")).seed == 7


def test_cells_come_seed_by_seed_so_that_each_makes_a_whole_table() -> None:
    assert [cell.seed for cell in of("3a", "demo", (0, 1))] == [0, 0, 0, 1, 1, 1]


def test_a_setting_that_is_none_is_refused_with_the_nearest_name() -> None:
    table = load_table("3a")
    row = table.rows[0].model_copy(update={"settings": {"base": {"patch_sise": 2}}})
    with pytest.raises(ConfigurationError, match=r"row 'patch size 1'.*base.patch_sise.*patch_size"):
        cells(table.model_copy(update={"rows": (row,)}), "demo", load_scale("demo"), (0,), None)


def test_a_table_that_there_is_not_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigurationError, match="no table is called '3g'"):
        load_table("3g")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"against": "patch size 3"}, "is compared with 'patch size 3', which is not a row"),
        ({"last_stage": "evaluat"}, "no stage is called 'evaluat'"),
        ({"rows": [{"name": "a"}, {"name": "a"}], "against": None}, "two rows have the same name"),
        ({"rows": [{"name": "a", "paper": {"FID": 1.0}}], "against": None}, "values of FID"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(change: dict[str, object], said: str, tmp_path: Path) -> None:
    data = YAML(typ="safe", pure=True).load((TABLES / "3a.yaml").read_text())
    with open(tmp_path / "x.yaml", "w") as stream:
        YAML().dump({**data, **change}, stream)
    with pytest.raises(ConfigurationError, match=said):
        load_table("x", tmp_path)


def test_networks_that_the_project_names_are_used() -> None:
    """The recipe's `features` is there only until they are."""
    table, common = load_table("3a"), load_scale("paper")
    file = NetworkFile(path="i3d.pt", sha256="0" * 64)
    project = of("3a", "paper")[0].own
    assert project.evaluate.features == "random_network"
    networks = project.evaluate.model_copy(update={"networks": {"i3d": file, "c3d": file}})
    cell = cells(table, "paper", common, (0,), project.model_copy(update={"evaluate": networks}))[0]
    assert cell.own.evaluate.features is None
    assert cell.own.evaluate.networks["i3d"].path == "i3d.pt"


@pytest.mark.parametrize("text", ["", "a", "1,1", "-1", "1,,2"])
def test_seeds_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="--seeds"):
        seeds_of(text)


def test_seeds_are_read() -> None:
    assert seeds_of("0, 2,11") == (0, 2, 11)


def test_tables_of_both_scales_say_what_they_cost() -> None:
    for name in table_names():
        table: TableFile = load_table(name)
        assert all(given.cost for given in table.scales.values())
