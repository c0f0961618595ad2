"""The page of a table, also of one that is not whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.axe import faults_of_file, needs_axe
from tests.support.browser import browser, needs_chromium
from walt.commands.table.directions import Measured
from walt.commands.table.table_file import load_scale, load_table
from walt.commands.table.table_page import Results, write_page

DISTANCE = "frechet_distance/random_network"


def results(name: str, values: dict[str, tuple[float, ...]]) -> Results:
    table, common = load_table(name), load_scale("demo")
    cells = {
        row: {seed: {DISTANCE: Measured(value, {})} for seed, value in enumerate(of_row)}
        for row, of_row in values.items()
    }
    return Results(name, "demo", table, common.about, common.metrics, cells)


def lines(out: Path) -> dict[str, list[str]]:
    """First cell of each row of the Markdown table -> all cells."""
    rows = [line.strip("|").split("|") for line in (out / "table.md").read_text().splitlines() if line.startswith("|")]
    return {cells[0].strip(): [cell.strip() for cell in cells] for cells in rows}


def test_a_row_has_the_papers_value_ours_the_difference_and_both_directions(tmp_path: Path) -> None:
    write_page(tmp_path, results("3a", {"patch size 1": (5.0, 5.2), "patch size 2": (9.0, 9.3)}))
    found = lines(tmp_path)
    assert found["patch size 1"][1:4] == ["60.7", "5.1 ± 1.3", ""]
    assert found["patch size 2"][1:4] == ["134.4", "9.15 ± 1.9", "+4.05 [+3.41, +4.69]"]
    assert found["patch size 2"][-3:] == ["worse", "worse", "as in the paper"]
    assert found["patch size 4"][1:4] == ["461.8", "not measured yet", ""]
    assert "1 as in the paper, 0 other than in the paper, 0 open" in (tmp_path / "table.md").read_text()


@pytest.mark.slow
def test_one_seed_has_no_intervals(tmp_path: Path) -> None:
    write_page(tmp_path, results("3a", {"patch size 1": (5.0,), "patch size 2": (9.0,)}))
    assert lines(tmp_path)["patch size 2"][2:4] == ["9", "+4"]
    assert "One seed" in (tmp_path / "table.md").read_text()


def test_a_mean_has_the_digits_of_its_interval(tmp_path: Path) -> None:
    """Else two rows whose difference is stated beside them would read the same."""
    write_page(tmp_path, results("3a", {"patch size 1": (24.9961, 24.9965), "patch size 2": (25.0, 25.0)}))
    found = lines(tmp_path)
    assert found["patch size 1"][2] == "24.9963 ± 0.0025"
    assert found["patch size 2"][2:4] == ["25 ± 0", "+0.0037 [+0.00116, +0.00624]"]


def test_a_row_that_is_not_run_says_why(tmp_path: Path) -> None:
    write_page(tmp_path, results("3d", {"rank 2": (5.0, 5.1)}))
    of_row = ["not run: the width of the small model is 64", "", ""]
    assert lines(tmp_path)["rank 64"][-5:] == ["", "", *of_row], "and not 'not measured yet'"
    assert "rank 256 is not run" in (tmp_path / "table.md").read_text()


@pytest.mark.slow
def test_the_page_has_the_same_cells_and_a_chart_of_the_values_and_one_of_the_differences(tmp_path: Path) -> None:
    write_page(tmp_path, results("3a", {"patch size 1": (5.0, 5.2), "patch size 2": (9.0, 9.3)}))
    page = (tmp_path / "table.html").read_text()
    assert "<td>+4.05 [+3.41,\u00a0+4.69]</td>" in page
    assert "<td>9.15\u00a0±\u00a01.9</td>" in page, "numbers stay on one line"
    assert page.count("<svg") == page.count('aria-label="means and intervals: ') == 2
    assert "minus that of" in page
    picture = np.asarray(Image.open(tmp_path / "table.png").convert("RGB"))
    assert (picture.reshape(-1, 3) == (0x35, 0x63, 0xA8)).all(1).sum() > 100  # the charts' colour


def test_the_protocol_stands_beside_our_values(tmp_path: Path) -> None:
    found = results("3a", {"patch size 1": (5.0, 5.2)})
    assert "Ours are of the protocol" not in written(tmp_path / "without", found)
    for seed, figures in found.cells["patch size 1"].items():
        figures[DISTANCE] = Measured(5.0, {"protocol": f"demo, seed {seed} (0a)"})
    assert "Ours are of the protocol demo, seed 0 (0a); demo, seed 1 (0a)." in written(tmp_path, found)


def written(out: Path, found: Results) -> str:
    write_page(out, found)
    return (out / "table.md").read_text()


def test_a_row_whose_comparison_waits_for_another_says_for_which(tmp_path: Path) -> None:
    write_page(tmp_path, results("3a", {"patch size 2": (9.0, 9.3)}))
    found = lines(tmp_path)
    assert found["patch size 1"][2:4] == ["not measured yet", ""]
    assert found["patch size 2"][2:4] == ["9.15 ± 1.9", "'patch size 1' is not measured yet"]


@pytest.mark.slow
def test_a_second_metric_does_not_decide_where_the_first_cannot_be_compared(tmp_path: Path) -> None:
    loss = "held_out_loss/base"
    found = results("3a", {"patch size 1": (5.0, 5.2), "patch size 2": (9.0, 9.3)})
    for row, of_seeds in found.cells.items():
        for of_seed in of_seeds.values():
            of_seed |= {DISTANCE: Measured(of_seed[DISTANCE].value, {"clips": row}), loss: of_seed[DISTANCE]}
    write_page(tmp_path, found)
    row = lines(tmp_path)["patch size 2"]
    assert row[3] == "not comparable: other clips"
    assert row[5] == "+4.05 [+3.41, +4.69]"
    assert row[-3:] == ["", "", ""]
    assert "0 as in the paper, 0 other than in the paper, 0 open" in (tmp_path / "table.md").read_text()


def test_nothing_measured_is_a_page_too(tmp_path: Path) -> None:
    write_page(tmp_path, results("3a", {}))
    assert "patch size 4" in (tmp_path / "table.html").read_text()
    assert not (tmp_path / "table.png").exists()


@pytest.mark.slow
def test_programs_get_all_figures(tmp_path: Path) -> None:
    write_page(tmp_path, results("3a", {"patch size 1": (5.0, 5.2), "patch size 2": (9.0, 9.3)}))
    found = json.loads((tmp_path / "table.json").read_text())["rows"]["patch size 2"]
    assert found["seeds"] == {"0": {DISTANCE: 9.0}, "1": {DISTANCE: 9.3}}
    assert found["compared"][DISTANCE]["agreement"] == "as in the paper"


@pytest.mark.slow
def test_the_same_results_give_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write_page(tmp_path / folder, results("3a", {"patch size 1": (5.0, 5.2), "patch size 2": (9.0, 9.3)}))
    for name in ("table.md", "table.html", "table.json", "table.png"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.slow
@needs_chromium
@needs_axe
def test_nothing_keeps_people_from_using_it_on_a_phone_too(tmp_path: Path) -> None:
    write_page(tmp_path, results("3a", {"patch size 1": (5.0, 5.2), "patch size 2": (9.0, 9.3)}))
    file = tmp_path / "table.html"
    assert faults_of_file(file) == []
    with browser() as running:
        shown = running.tab()
        for width in (1280, 390, 320):
            shown.open(file.as_uri(), (width, 900))
            assert shown.value("document.documentElement.scrollWidth") <= width
