"""Recipes are overlays over defaults.yaml, which holds every knob once; expanded, each is a whole params.yaml."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.settings import sections_in
from walt.core.config import load_section
from walt.core.errors import ConfigurationError
from walt.ingest.config import Descriptor
from walt.project.commented_yaml import Entry, parse, render
from walt.project.params import Params
from walt.project.recipes import (
    FOLDER,
    SHARED,
    Defaults,
    check_new_params,
    expand,
    layers,
    load_recipe,
    recipe_data,
    recipe_names,
    recipe_text,
)

ROOT = Path(__file__).resolve().parents[2]
Path_ = tuple[str, ...]

DEFAULTS = """
shared:
  trainings:
    steps: 10 # of the optimizer
    optimizer:
      name: adamw # which one
      betas: [0.9, 0.99]
  diffusion_trainings:
    inherits: trainings
    batch_size: 4
    noise: {level: 1, kind: plain}
seed: 0 # of all
train_base:
  inherits: diffusion_trainings
  noise: null
train_other: # another one
  inherits: trainings
  steps: 20
  forms: # what it sees
    - {size: 1}
    - {size: 2}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "defaults.yaml").write_text(DEFAULTS)
    return tmp_path


def whole(folder: Path, **overlays: str) -> object:
    """The last of some recipes, expanded."""
    for name, text in overlays.items():
        (folder / f"{name}.yaml").write_text(text)
    return expand(list(overlays)[-1], folder).root.value


# ------------------------------------------------------------------------------------------------------ the expansion


def test_sections_inherit_shared_blocks_and_recipes_say_what_differs(folder: Path) -> None:
    assert whole(folder, one="seed: 1\n") == {
        "seed": 1,
        "train_base": {
            "steps": 10, "optimizer": {"name": "adamw", "betas": [0.9, 0.99]}, "batch_size": 4, "noise": None
        },
        "train_other": {
            "steps": 20, "optimizer": {"name": "adamw", "betas": [0.9, 0.99]}, "forms": [{"size": 1}, {"size": 2}]
        },
    }  # fmt: skip


def test_what_comes_later_wins_and_a_section_wins_over_its_shared_block(folder: Path) -> None:
    data = whole(
        folder,
        first="shared: {trainings: {steps: 30}}\ntrain_base: {steps: 31}\n",
        second="extends: first\nshared:\n  trainings: {optimizer: {name: lion}}\n  diffusion_trainings: {steps: 40}\n",
        third="extends: second\ntrain_other: {optimizer: {name: sgd}, forms: [{size: 3}]}\n",
    )
    assert isinstance(data, dict)
    assert (data["train_base"]["steps"], data["train_other"]["steps"]) == (40, 30)
    assert data["train_base"]["optimizer"] == {"name": "lion", "betas": [0.9, 0.99]}
    assert data["train_other"]["optimizer"]["name"] == "sgd"
    assert data["train_other"]["forms"] == [{"size": 3}], "a list is replaced as a whole"


def test_null_turns_a_section_off_and_a_mapping_turns_it_on(folder: Path) -> None:
    off = whole(folder, off="train_other: null\nshared: {trainings: {steps: 5}}\n")
    assert isinstance(off, dict)
    assert off["train_other"] is None, "a change of the shared block turns nothing on"
    on = whole(folder, off="train_other: null\n", on="extends: off\ntrain_other: {steps: 7}\ntrain_base: {noise: {}}\n")
    assert isinstance(on, dict)
    assert (on["train_other"]["steps"], on["train_other"]["forms"]) == (7, [{"size": 1}, {"size": 2}])
    assert on["train_base"]["noise"] == {"level": 1, "kind": "plain"}


def test_comments_and_order_are_kept_and_the_overlays_comment_wins(folder: Path) -> None:
    (folder / "between.yaml").write_text("train_other: # between\n  steps: 30 # thirty\n")
    (folder / "one.yaml").write_text(
        "# Header.\n#\n# More.\nextends: between\n"
        "train_other:\n  steps: 40\n  forms: # others\n    - {size: 9} # nine\n"
        "    # ten\n    - {size: 10}\nseed: 3 # drawn\n"
    )
    document = expand("one", folder)
    assert document.header == "# Header.\n#\n# More."
    assert render(document.root) == (
        "seed: 3 # drawn\n\n"
        "train_base:\n  steps: 10 # of the optimizer\n  optimizer:\n    name: adamw # which one\n"
        "    betas: [0.9, 0.99]\n  batch_size: 4\n  noise: null\n\n"
        "train_other: # between\n  steps: 40 # of the optimizer\n  optimizer:\n    name: adamw # which one\n"
        "    betas: [0.9, 0.99]\n  forms: # others\n    - {size: 9} # nine\n    # ten\n    - {size: 10}\n"
    ), "'thirty' was said of another value"


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ("train_bse: {}\n", "unknown key 'train_bse'; did you mean 'train_base'?"),
        ("train_base: {batch_sise: 1}\n", "unknown key 'train_base.batch_sise'; did you mean 'batch_size'?"),
        ("train_base: {optimizer: {nam: x}}\n", "unknown key 'train_base.optimizer.nam'; did you mean 'name'?"),
        ("shared: {training: {}}\n", "unknown key 'shared.training'; did you mean 'trainings'?"),
        ("shared: {trainings: {batch_size: 1}}\n", "unknown key 'shared.trainings.batch_size'"),
        ("extend: demo\n", "unknown key 'extend'; did you mean 'extends'?"),
        ("train_base: 3\n", "key 'train_base' is a section: it takes keys, or null"),
        ("seed: {a: 1}\n", "key 'seed' is not a section: it takes a value"),
        ("train_base: {inherits: trainings}\n", "unknown key 'train_base.inherits'"),
    ],
)
def test_a_wrong_overlay_is_one_line_with_file_key_and_nearest_name(folder: Path, overlay: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        whole(folder, wrong=overlay)
    assert str(caught.value) == f"{folder / 'wrong.yaml'}: {message}"


def test_recipes_that_extend_what_is_not_there_or_each_other_are_refused(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="no recipe is named 'frist'; did you mean 'first'"):
        whole(folder, first="seed: 1\n", second="extends: frist\n")
    with pytest.raises(ConfigurationError, match="in a circle: second -> first -> second"):
        whole(folder, first="extends: second\n", second="extends: first\n")


def test_a_file_that_is_there_is_replaced_by_force_alone(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    content = check_new_params("tiny", file, force=False)
    assert content == recipe_text("tiny").encode()
    file.write_bytes(content)
    assert check_new_params("tiny", file, force=False) == content
    file.write_text(file.read_text() + "# mine\n")
    with pytest.raises(ConfigurationError, match="differs from recipe 'tiny'; --force replaces it"):
        check_new_params("tiny", file, force=False)
    assert check_new_params("tiny", file, force=True) == content
    assert file.read_text().endswith("# mine\n"), "it checks, and writes nothing"


# -------------------------------------------------------------------------------------------- the recipes there are


@pytest.mark.parametrize("name", recipe_names())
def test_each_recipe_is_whole_and_valid(name: str, tmp_path: Path) -> None:
    params = load_recipe(name)
    load_section(ROOT / params.dataset.descriptor, Descriptor)
    (tmp_path / "params.yaml").write_bytes(check_new_params(name, tmp_path / "params.yaml", force=False))
    assert load_section(tmp_path / "params.yaml", Params) == params, "the file says what the overlays say"
    header = parse(FOLDER / f"{name}.yaml").header
    assert "Command: " in header
    assert (tmp_path / "params.yaml").read_text().startswith(header)


def test_values_of_each_layer_reach_the_whole() -> None:
    """One value of each kind of layer, as it was when recipes were whole files."""
    assert recipe_data("demo")["aspect"] is None
    ucf, kinetics, t2v = load_recipe("ucf101"), load_recipe("kinetics600"), load_recipe("t2v")
    assert (ucf.train_base.steps, kinetics.train_base.steps) == (60000, 276000)
    assert kinetics.autoencoder == ucf.autoencoder
    assert t2v.train_sr_4x is not None
    assert t2v.train_sr_4x.optimizer.name == "adafactor"
    assert t2v.train_autoencoder.optimizer.betas == (0.0, 0.99)
    assert t2v.base.super_resolution is None


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_holds_only_what_differs(name: str) -> None:
    assert repeated(name) == []


def test_a_value_that_is_repeated_is_found(folder: Path) -> None:
    (folder / "one.yaml").write_text("shared: {trainings: {steps: 20}}\n")
    (folder / "two.yaml").write_text(
        "extends: one\nshared: {trainings: {optimizer: {name: adamw}}}\n"
        "train_other: {steps: 20}\ntrain_base: {noise: null}\n"
    )
    assert repeated("one", folder) == [], "it changes train_base"
    assert repeated("two", folder) == ["shared.trainings.optimizer.name", "train_other.steps", "train_base.noise"]


def test_a_section_of_the_defaults_holds_only_what_its_shared_block_does_not() -> None:
    root = parse(FOLDER / "defaults.yaml").root
    assert root.children is not None
    blocks = root.children.pop(SHARED)
    assert blocks.children is not None
    found = Defaults().blocks
    for trees in (blocks.children, root.children):
        for name, entry in trees.items():
            above = (entry.children or {}).pop("inherits", None)
            if above is not None:
                block = found[str(above.value)]
                both = [path for path in leaves(entry) if has(block, path)]
                assert [path for path in both if at(block, path).value == at(entry, path).value] == [], name


def test_each_knob_is_in_the_defaults_with_a_comment() -> None:
    """And with nothing beside the knobs: each field of the sections, at any depth, and no other key."""
    plain = Defaults().plain
    knobs = set(fields(Params))
    present = {path for path, _ in entries(plain)}
    assert present == knobs
    silent = [".".join(path) for path, entry in entries(plain) if entry.children is None and not entry.comment]
    assert silent == []


def repeated(name: str, folder: Path = FOLDER) -> list[str]:
    """Keys of a recipe whose value is what they would have without it; of a shared block: in all sections."""
    *below, (file, document) = layers(name, folder)
    state = Defaults(folder)
    for above, overlay in below:
        state.put_over(overlay.root, above)
    own = document.root.copy()
    assert own.children is not None
    shared = own.children.pop(SHARED, Entry(children={}))
    found = []
    for path in leaves(shared):
        sections = [at(state.root, (name, *path[1:])) for name in state.inheritors[path[0]]]
        if all(section.value == at(shared, path).value for section in sections):
            found.append(".".join((SHARED, *path)))
    state.put_over(Entry(children={SHARED: shared}), file)
    return found + [".".join(path) for path in leaves(own) if at(state.root, path).value == at(own, path).value]


def leaves(entry: Entry, above: Path_ = ()) -> Iterator[Path_]:
    """Where an entry has values."""
    for name, child in (entry.children or {}).items():
        yield from [(*above, name)] if child.children is None else leaves(child, (*above, name))


def entries(entry: Entry, above: Path_ = ()) -> Iterator[tuple[Path_, Entry]]:
    for name, child in (entry.children or {}).items():
        yield (*above, name), child
        yield from entries(child, (*above, name))


def at(entry: Entry, path: Path_) -> Entry:
    for name in path:
        assert entry.children is not None
        entry = entry.children[name]
    return entry


def has(entry: Entry, path: Path_) -> bool:
    return path in {found for found, _ in entries(entry)}


def fields(section: type, above: Path_ = ()) -> Iterator[Path_]:
    """Every field, those of sections in lists and mappings excepted: these are one value."""
    for name, field in section.model_fields.items():  # type: ignore[attr-defined]
        yield (*above, name)
        if not any(kind in str(field.annotation) for kind in ("tuple", "dict")):
            for inner in sections_in(field.annotation):
                yield from fields(inner, (*above, name))


def test_a_parsed_file_belongs_to_its_reader(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("# header\na: 1 # why\nb: {c: [1, 2]}\n")
    whole = render(parse(file).root)
    changed = parse(file)
    assert changed.root.children is not None
    changed.root.children.pop("a")
    changed.root.children["b"].off = True
    changed.header = ""
    assert render(parse(file).root) == whole
    assert parse(file).header == "# header"
