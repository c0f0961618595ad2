"""Pushing to a Hub-like endpoint and fetching from it, against a stand-in on loopback."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from typer.testing import CliRunner

from tests.support.exported import content, frames_elsewhere, write_project
from tests.support.hub_server import TOKEN, Hub, hub_server
from walt.cli import app
from walt.core.errors import ConfigurationError, CorruptArtifactError, StorageError
from walt.core.paths import Paths
from walt.hub.project_models import Request, export_model, import_model


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_server() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)  # read when the library is imported
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        yield server


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("pushed") / "project")


@pytest.fixture
def empty(project: Path, tmp_path: Path, empty_database: Path) -> Path:
    root = tmp_path / "empty"
    root.mkdir()
    shutil.copy(project / "params.yaml", root)
    shutil.copy(empty_database, root / "mlflow.db")
    return root


@pytest.mark.slow
def test_what_is_pushed_is_the_folder_and_comes_back(
    hub: Hub, project: Path, empty: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export_model(project, Request(tmp_path / "out", push="lab/shapes"))
    pushed = {name: data for name, data in hub.files("lab/shapes").items() if name != ".gitattributes"}
    assert pushed == content(tmp_path / "out")
    assert 'from_pretrained("lab/shapes"' in pushed["README.md"].decode()
    assert hub.private == {"lab/shapes": True}
    imported = import_model(empty, "lab/shapes")
    for name in ("base", "sr_2x", "autoencoder", "text_encoder"):
        assert content(getattr(Paths(empty), name)) == content(getattr(Paths(project), name))
    assert imported.origin["from"] == "lab/shapes"
    assert not (empty / "work/import").exists()
    assert TOKEN not in "".join(capsys.readouterr())


@pytest.mark.slow
def test_a_second_push_replaces_all_files(hub: Hub, project: Path) -> None:
    export_model(project, Request(push="lab/shapes", public=True))
    assert hub.private == {"lab/shapes": False}
    first = hub.files("lab/shapes")
    hub.commits["lab/shapes"].append(first | {"walt_of_an_older_version.py": b"", "transformer/old.json": b"{}"})
    export_model(project, Request(push="lab/shapes", licence="mit"))
    second = hub.files("lab/shapes")
    assert second.keys() == first.keys()
    assert {name for name in second if second[name] != first[name]} == {"README.md", "walt.json"}
    assert sum(call.startswith("PUT /large/") for call in hub.calls) == 4, "known weights are not sent again"
    assert not Paths(project).work("export-model").exists()


def test_what_is_foreign_or_may_be_a_pickle_is_not_even_fetched(hub: Hub, empty: Path) -> None:
    hub.commits["lab/sd"] = [{"model_index.json": b"{}"}]
    hub.commits["lab/old"] = [{"walt.json": b"{}", "pytorch_model.bin": b"\x80"}]
    hub.private |= dict.fromkeys(hub.commits, False)
    for name, said in (("lab/sd", "not made by"), ("lab/old", "holds pytorch_model.bin, which may run code")):
        with pytest.raises(ConfigurationError, match=said):
            import_model(empty, name)
    assert not any("/resolve/" in call for call in hub.calls)


@pytest.mark.slow
def test_damage_on_the_way_is_found(hub: Hub, project: Path, empty: Path) -> None:
    export_model(project, Request(push="lab/shapes"))
    hub.files("lab/shapes")["transformer/config.json"] += b" "
    with pytest.raises(CorruptArtifactError, match=r"transformer/config\.json: its sha256 differs"):
        import_model(empty, "lab/shapes")
    assert not (empty / "models").exists()


@pytest.mark.slow
def test_refusals_are_one_line_without_the_token(
    hub: Hub, project: Path, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StorageError, match=r"lab/none: http.* answered 404") as found:
        import_model(empty, "lab/none")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(StorageError, match="answered 401; the token is not accepted: set HF_TOKEN") as wrong:
        export_model(project, Request(push="lab/shapes"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(StorageError, match=r"lab/shapes: http://127.0.0.1:9: ") as away:
        export_model(project, Request(push="lab/shapes"))
    monkeypatch.setenv("HF_ENDPOINT", "http://me:pass5word@127.0.0.1:9")
    with pytest.raises(StorageError, match=r"lab/shapes: http://\*\*\*@127.0.0.1:9: ") as named:
        export_model(project, Request(push="lab/shapes"))
    for error in (found, wrong, away, named):
        assert "\n" not in str(error.value)
        assert "hf_" not in str(error.value)
    for name in ("shapes", "a/b/c", "lab/..", "../x"):
        with pytest.raises(ConfigurationError):
            export_model(project, Request(push=name))


def test_a_missing_token_and_one_that_can_be_none_are_said(
    hub: Hub, empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.commits["lab/shapes"], hub.private["lab/shapes"] = [{}], True
    monkeypatch.setenv("HF_TOKEN", "hf_wröng")
    with pytest.raises(ConfigurationError, match="has characters that no token has") as odd:
        import_model(empty, "lab/shapes")
    assert "wr" not in str(odd.value)
    monkeypatch.setenv("HF_TOKEN", "")
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    with pytest.raises(StorageError, match=r"answered 401; set HF_TOKEN, or"):
        import_model(empty, "lab/shapes")


def test_an_answer_that_makes_no_sense(hub: Hub, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hub, "_create", lambda *_: (200, {}, {}))
    with pytest.raises(StorageError, match="gave an answer that is not understood"):
        export_model(project, Request(push="lab/shapes"))


def test_the_command_pushes_without_a_folder(hub: Hub, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    result = CliRunner().invoke(app, ["export", "model", "--push", "lab/x", "--public"], catch_exceptions=False)
    assert result.exit_code == 0
    assert "model_index.json" in hub.files("lab/x")
    said = result.output.replace("\n", "")
    assert f"{hub.url}/lab/x/commit/" in said
    assert "lab/x: transformer, " in said
    assert "work" not in said, "that folder is gone"


@pytest.mark.slow
def test_diffusers_loads_it_by_its_name(hub: Hub, project: Path, tmp_path: Path) -> None:
    export_model(project, Request(tmp_path / "out", push="lab/shapes"))
    call = {"prompt": "a red circle", "seed": 1, "num_inference_steps": 2}
    online = {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}
    folder, name = frames_elsewhere(tmp_path, (tmp_path / "out", call), ("lab/shapes", call), **online)
    assert np.array_equal(folder, name)
    assert folder.std() > 0
