"""The models of a release, fetched by the address of its base model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.support.tracking import CONFIG, tag_taken_down
from walt.core.errors import ConfigurationError
from walt.tracking import server
from walt.tracking.given_release import given_release
from walt.tracking.measured import MEASURED_TAG

Model = Callable[[str, bytes], Path]


def release(root: Path, model: Model, alias: str | None, **weights: bytes) -> dict[str, str]:
    """Register models that were evaluated together; name -> version."""
    connection = server.connect(CONFIG, root)
    folders = {name: model(name, data) for name, data in weights.items()}
    versions = {name: server.register(connection, None, folder, name) for name, folder in folders.items()}
    digests = {name: server.folder_digest(folder) for name, folder in reversed(folders.items())}  # as somebody edits it
    text = json.dumps({"models": digests, "figures": {}})
    connection.client.set_model_version_tag("walt-base", versions["base"], MEASURED_TAG, text)
    for name, version in versions.items() if alias else ():
        connection.client.set_registered_model_alias(f"walt-{name}", alias, version)
    return versions


def weights_of(folders: Mapping[str, Path]) -> dict[str, bytes]:
    return {name: (folder / "model.safetensors").read_bytes() for name, folder in folders.items()}


@pytest.mark.slow
def test_by_alias_and_by_version(root: Path, model: Model, tmp_path: Path) -> None:
    release(root, model, "champion", base=b"1", autoencoder=b"a")
    second = release(root, model, None, base=b"2", autoencoder=b"a")
    assert second == {"base": "2", "autoencoder": "1"}
    found = given_release(CONFIG, root, "walt-base@champion", tmp_path / "first")
    assert weights_of(found.folders) == {"base": b"1", "autoencoder": b"a"}
    assert next(iter(found.folders)) == "base"
    found = given_release(CONFIG, root, "base/2", tmp_path / "second")
    assert weights_of(found.folders) == {"base": b"2", "autoencoder": b"a"}


@pytest.mark.slow
def test_of_one_that_saw_what_was_taken_down_it_is_said(
    root: Path, model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    release(root, model, "champion", base=b"1", autoencoder=b"a")
    given_release(CONFIG, root, "walt-base@champion", tmp_path / "first")
    assert "warning" not in capsys.readouterr().out
    tag_taken_down(root, "walt-base", "1")
    given_release(CONFIG, root, "walt-base@champion", tmp_path / "second")
    said = " ".join(capsys.readouterr().out.split())
    assert "warning: walt-base version 1 was made with what was taken down (abc, def)" in said


def test_what_is_not_there(root: Path, model: Model, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such model version, and no model walt-base"):
        given_release(CONFIG, root, "base@champion", tmp_path)
    release(root, model, None, base=b"1")
    connection = server.connect(CONFIG, root)
    with pytest.raises(ConfigurationError, match=r"no such model version; of walt-base it has 1$"):
        given_release(CONFIG, root, "base/7", tmp_path)
    connection.client.delete_model_version_tag("walt-base", "1", MEASURED_TAG)
    with pytest.raises(ConfigurationError, match="version 1 was never evaluated with other models"):
        given_release(CONFIG, root, "base/1", tmp_path)
    gone = json.dumps({"models": {"autoencoder": "none"}})
    connection.client.set_model_version_tag("walt-base", "1", MEASURED_TAG, gone)
    server.register(connection, None, model("autoencoder", b"a"), "autoencoder")
    with pytest.raises(ConfigurationError, match="its walt-autoencoder is no longer in the registry"):
        given_release(CONFIG, root, "base/1", tmp_path)
