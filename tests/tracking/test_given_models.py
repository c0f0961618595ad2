"""Models that a setting names: folders, and versions in the registry, which stay what they were until a run is over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.tracking import CONFIG, DOWN
from walt.core.errors import ConfigurationError, CorruptArtifactError, StorageError
from walt.tracking import given_models, server
from walt.tracking.given_models import forget, given_model, present_version

Model = Callable[[str, bytes], Path]
CHAMPION = "models:/walt-base@champion"


def publish(root: Path, folder: Path) -> None:
    """Register the folder's files as the next version, and make it the champion."""
    connection = server.connect(CONFIG, root)
    version = server.register(connection, None, folder, "base")
    connection.client.set_registered_model_alias("walt-base", "champion", version)


def weights(given: given_models.GivenModel) -> bytes:
    return (given.folder / "model.safetensors").read_bytes()


def test_a_folder_is_itself(tmp_path: Path) -> None:
    (tmp_path / "models" / "old").mkdir(parents=True)
    given = given_model(DOWN, tmp_path, "models/old", tmp_path / "work")  # without asking the registry
    assert given.folder == tmp_path / "models" / "old"
    assert given.tags("initial_weights", "abc") == {"initial_weights": "models/old", "initial_weights.sha256": "abc"}
    with pytest.raises(ConfigurationError, match=r"^models/new: no such folder$"):
        given_model(DOWN, tmp_path, "models/new", tmp_path / "work")


@pytest.mark.slow
def test_a_version_is_fetched_by_alias_or_number(root: Path, model: Model) -> None:
    publish(root, model("base", b"1"))
    publish(root, model("base", b"2"))
    for address, expected, version in ((CHAMPION, b"2", "2"), ("models:/walt-base/1", b"1", "1")):
        given = given_model(CONFIG, root, address, root / "work" / version)
        assert weights(given) == expected
        assert {file.name for file in given.folder.iterdir()} == {"model.safetensors", "config.json"}
        assert given.tags("w", "abc") == {"w": address, "w.version": version, "w.sha256": "abc"}
        left = {path.name for path in (root / "work" / version).iterdir()}
        assert left == {"fetched", "fetched.json"}, "nothing temporary stays"


@pytest.mark.slow
def test_the_alias_may_move_while_a_run_is_under_way(root: Path, model: Model) -> None:
    publish(root, model("base", b"1"))
    keep = root / "work" / "train-base"
    assert weights(given_model(CONFIG, root, CHAMPION, keep)) == b"1"
    publish(root, model("base", b"2"))
    assert weights(given_model(DOWN, root, CHAMPION, keep)) == b"1", "the registry need not even be there"
    assert weights(given_model(CONFIG, root, "models:/walt-base/2", keep)) == b"2", "another address, another model"
    assert weights(given_model(CONFIG, root, CHAMPION, keep)) == b"2"
    publish(root, model("base", b"3"))
    forget(keep)
    assert not list(keep.iterdir())
    assert weights(given_model(CONFIG, root, CHAMPION, keep)) == b"3"


@pytest.mark.slow
def test_what_an_alias_names_now_is_fetched_beside_what_it_named_before(root: Path, model: Model) -> None:
    for weights_of_version in (b"1", b"2"):
        publish(root, model("base", weights_of_version))
        folder = present_version(CONFIG, root, "walt-base@champion", root / "work")
        assert (folder / "model.safetensors").read_bytes() == weights_of_version
    earlier = present_version(CONFIG, root, "base/1", root / "work")
    assert earlier != folder
    assert (earlier / "model.safetensors").read_bytes() == b"1"


def test_a_damaged_copy_is_fetched_again(root: Path, model: Model) -> None:
    publish(root, model("base", b"1"))
    for damage in (b"x", None):
        file = given_model(CONFIG, root, CHAMPION, root / "work").folder / "model.safetensors"
        file.unlink() if damage is None else file.write_bytes(damage)
        assert weights(given_model(CONFIG, root, CHAMPION, root / "work")) == b"1"


def test_files_that_changed_in_the_registry_are_refused(root: Path, model: Model) -> None:
    publish(root, model("base", b"1"))
    (stored,) = (root / "mlartifacts").rglob("model.safetensors")
    stored.write_bytes(b"2")
    with pytest.raises(CorruptArtifactError, match="other files than were registered"):
        given_model(CONFIG, root, CHAMPION, root / "work")
    assert not list((root / "work").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("models:/walt-base@nobody", r"no such model version; of walt-base it has 1 \(champion\), 2$"),
        ("models:/walt-base/7", r"no such model version; of walt-base it has 1 \(champion\), 2$"),
        ("models:/nothing/1", "no such model version, and no model nothing$"),
        ("walt-base@champion", "no such folder; a version in the registry is models:/walt-base@champion$"),
        ("walt-base/2", "no such folder; a version in the registry is models:/walt-base/2$"),
        ("../other", "no such folder$"),
        ("models:/walt-base", "an address in the registry is models:/NAME@ALIAS or models:/NAME/VERSION"),
        ("models:/walt-base/latest", "an address in the registry is"),
    ],
)
def test_an_address_of_nothing_is_a_wrong_setting(root: Path, model: Model, address: str, message: str) -> None:
    publish(root, model("base", b"1"))
    publish(root, model("base", b"2"))
    server.connect(CONFIG, root).client.set_registered_model_alias("walt-base", "champion", "1")
    with pytest.raises(ConfigurationError, match=message) as error:
        given_model(CONFIG, root, address, root / "work")
    assert str(error.value).startswith(f"{address}: ")


@pytest.mark.usefixtures("mlflow_is_asked_once")
def test_a_registry_that_is_down_is_worth_another_try(root: Path) -> None:
    with pytest.raises(StorageError) as error:
        given_model(DOWN, root, CHAMPION, root / "work")
    assert error.value.exit_status == 4
