"""``walt import``: the same models come back, and nothing that is damaged, foreign or could run code."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from tests.support.exported import content, write_project
from tests.support.tracking import CONFIG
from walt.cli import app
from walt.commands.sample.generate import Request as Sampled
from walt.commands.sample.generate import run as sample
from walt.core.errors import ConfigurationError, CorruptArtifactError
from walt.core.left_out import is_left_out, leave_out
from walt.core.own_digest import read_json_with_digest, write_json_with_digest
from walt.core.paths import Paths
from walt.hub import layout
from walt.hub.exporting import export_models
from walt.hub.project_models import Request, export_model, import_model
from walt.project.runner import load_params
from walt.project.trained_transformers import cascade
from walt.text import encoder as encoders
from walt.text.encoder import TINY_FOLDER, load_text_encoder, open_text_encoder
from walt.tracking import server
from walt.tracking.imported import IMPORTED_TAG
from walt.tracking.releases import release_digests, release_folders


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("project") / "project")


@pytest.fixture(scope="module")
def exported(project: Path) -> Path:
    target = project.parent / "exported"
    export_model(project, Request(target, licence="cc-by-4.0"))
    return target


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return shutil.copytree(exported, tmp_path / "folder")


@pytest.fixture
def empty(project: Path, tmp_path: Path, empty_database: Path) -> Path:
    """A project without models."""
    root = tmp_path / "empty"
    root.mkdir()
    shutil.copy(project / "params.yaml", root)
    shutil.copy(empty_database, root / "mlflow.db")
    return root


def refused(empty: Path, folder: Path, error: type[Exception], said: str) -> None:
    """Importing fails with one line, and leaves nothing behind."""
    with pytest.raises(error, match=said) as found:
        import_model(empty, str(folder))
    assert "\n" not in str(found.value)
    assert not list(empty.glob("models/*"))


@pytest.mark.slow
def test_the_round_trip_gives_the_same_files(project: Path, exported: Path, empty: Path) -> None:
    imported = import_model(empty, str(exported))
    assert list(imported.folders) == ["base", "sr-2x", "autoencoder", "text-encoder"]
    for name in ("base", "sr_2x", "autoencoder", "text_encoder"):
        assert content(getattr(Paths(empty), name)) == content(getattr(Paths(project), name)), name
    assert release_digests(release_folders(Paths(empty))) == release_digests(release_folders(Paths(project)))
    assert is_left_out(Paths(empty).aspect)
    assert imported.differences == ()


@pytest.mark.slow
def test_samples_and_a_second_export_are_the_same(project: Path, exported: Path, empty: Path, tmp_path: Path) -> None:
    import_model(empty, str(exported))
    for root in (project, empty):
        sample(Sampled(prompts=("a red circle",), seed=3, steps=2, out=tmp_path / f"videos-{root.name}"), root)
        out = tmp_path / f"out-{root.name}"
        export_models(release_folders(Paths(root)), load_params(root), root, out, lambda _: "")
    for made in ("videos", "out"):
        assert content(tmp_path / f"{made}-empty") == content(tmp_path / f"{made}-project") != {}


@pytest.mark.slow
def test_versions_say_where_they_come_from(exported: Path, empty: Path) -> None:
    import_model(empty, str(exported))
    connection = server.connect(CONFIG, empty)
    for name in ("base", "sr-2x", "autoencoder", "text-encoder"):
        version = connection.client.get_model_version(f"walt-{name}", "1")
        tag = json.loads(version.tags[IMPORTED_TAG])
        assert tag["from"] == str(exported)
        assert len(tag["walt.json"]) == 64
    import_model(empty, str(exported))  # again: nothing is added
    assert len(connection.client.search_model_versions("name = 'walt-base'")) == 1


@pytest.mark.slow
def test_versions_that_were_there_keep_their_origin(exported: Path, empty: Path) -> None:
    import_model(empty, str(exported))
    connection = server.connect(CONFIG, empty)
    connection.client.set_model_version_tag("walt-base", "1", IMPORTED_TAG, "first")
    import_model(empty, str(exported))
    assert connection.client.get_model_version("walt-base", "1").tags[IMPORTED_TAG] == "first"


@pytest.mark.slow
def test_without_mlflow_the_models_come_all_the_same_and_are_registered_later(
    exported: Path, empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (empty / "params.yaml").read_text()
    assert "uri: sqlite:///mlflow.db" in text
    (empty / "params.yaml").write_text(text.replace("uri: sqlite:///mlflow.db", "uri: sqlite:////proc/none/mlflow.db"))
    assert import_model(empty, str(exported)).folders
    said = capsys.readouterr().out
    assert "not registered with MLflow" in said
    assert "the same command again registers them" in said
    (empty / "params.yaml").write_text(text)
    import_model(empty, str(exported))
    version = server.connect(CONFIG, empty).client.get_model_version("walt-base", "1")
    assert json.loads(version.tags[IMPORTED_TAG])["from"] == str(exported)


@pytest.mark.slow
def test_other_models_are_not_replaced_unasked(exported: Path, empty: Path) -> None:
    own = Paths(empty).base
    own.mkdir(parents=True)
    (own / "config.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="another model is there; --replace"):
        import_model(empty, str(exported))
    assert content(empty / "models") == {"base/config.json": b"{}"}
    import_model(empty, str(exported), replace=True)
    assert (own / "model.safetensors").is_file()


@pytest.mark.slow
def test_a_model_that_the_folder_has_not_is_not_replaced_unasked(exported: Path, empty: Path) -> None:
    import_model(empty, str(exported))
    shutil.copytree(Paths(empty).base, Paths(empty).sr_4x, dirs_exist_ok=True)
    (Paths(empty).sr_4x / "left-out.json").unlink()
    with pytest.raises(ConfigurationError, match=r"sr-4x: another model is there"):
        import_model(empty, str(exported))


@pytest.mark.slow
def test_a_finetuned_base_model_is_the_base(project: Path, tmp_path: Path, empty: Path) -> None:
    root = shutil.copytree(project, tmp_path / "finetuned")
    shutil.rmtree(Paths(root).aspect)
    shutil.copytree(Paths(root).sr_2x, Paths(root).aspect)
    shutil.rmtree(Paths(root).sr_2x)
    leave_out(Paths(root).sr_2x, "sr_2x")
    exported = export_model(root, Request(tmp_path / "out"))
    assert exported.components["transformer"] == Paths(root).aspect
    import_model(empty, str(tmp_path / "out"))
    assert content(Paths(empty).aspect) == content(Paths(root).aspect)
    assert is_left_out(Paths(empty).base)
    assert list(cascade(Paths(empty))) == ["aspect"], "and makes videos without the one that it was finetuned from"


@pytest.mark.slow
def test_an_encoder_from_elsewhere_comes_with_its_weights(
    project: Path, tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoders, "LARGE_PARAMETERS", 1)  # bf16
    root = shutil.copytree(project, tmp_path / "own")
    folder = Paths(root).text_encoder
    (folder / TINY_FOLDER).rename(root / "own-t5")
    open_text_encoder("own-t5", 8, "cpu", folder, root).describe(folder)
    export_model(root, Request(tmp_path / "out"))
    for _ in range(2):  # the second time the same one is there
        import_model(empty, str(tmp_path / "out"))
    first, second = (load_text_encoder(Paths(at).text_encoder, "cpu", at) for at in (root, empty))
    assert (first.digest, first.source, second.source) == (second.digest, "own-t5", "tiny")
    pair = (one.encode(["a red circle"])[0] for one in (first, second))
    assert torch.equal(*pair)


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("name", [
    "transformer/config.json", "transformer/diffusion_pytorch_model.safetensors", "model_index.json",
    "project/base/config.json", "text_encoder/model.safetensors", "tokenizer/tokenizer.json", "walt.json",
])  # fmt: skip
def test_a_flipped_bit_is_found(folder: Path, empty: Path, name: str) -> None:
    flip(folder / name)
    refused(empty, folder, CorruptArtifactError, name)


def test_a_cut_a_missing_and_an_added_file(folder: Path, empty: Path) -> None:
    (folder / "vae/extra.json").write_text("{}")
    refused(empty, folder, CorruptArtifactError, "vae/extra.json: not a file that walt.json names")
    (folder / "vae/extra.json").unlink()
    weights = folder / "vae" / layout.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1])
    refused(empty, folder, CorruptArtifactError, r"vae/diffusion_pytorch_model.safetensors: its sha256 differs")
    weights.unlink()
    refused(empty, folder, CorruptArtifactError, "vae/diffusion_pytorch_model.safetensors: missing")


@pytest.mark.parametrize("name", ["model.bin", "transformer/weights.ckpt", "vae/x.pt"])
def test_a_pickle_is_not_read(folder: Path, empty: Path, name: str) -> None:
    (folder / name).write_bytes(b"\x80\x04.")
    refused(empty, folder, ConfigurationError, f"holds {name}, which may run code when it is read; not read")


def test_a_foreign_folder(tmp_path: Path, empty: Path) -> None:
    refused(empty, tmp_path / "none", ConfigurationError, "none: no such folder")
    (tmp_path / "file").write_text("{}")
    refused(empty, tmp_path / "file", ConfigurationError, "file: a file, not a folder")
    (tmp_path / "sd").mkdir()
    (tmp_path / "sd/model_index.json").write_text("{}")
    refused(
        empty, tmp_path / "sd", ConfigurationError, r"\(walt.json is missing\); an autoencoder of diffusers is named"
    )
    for content_of, said in (({"format": 1}, "not made by"), ({"made_by": "walt export model", "format": 2}, "newer")):
        write_json_with_digest(tmp_path / "sd" / layout.MANIFEST, content_of)
        refused(empty, tmp_path / "sd", ConfigurationError, said)


@pytest.mark.slow
def test_a_card_that_was_edited_and_a_hubs_own_files_are_no_damage(folder: Path, empty: Path) -> None:
    (folder / layout.CARD).write_text("Written anew.")
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    (folder / ".cache/huggingface").mkdir(parents=True)
    (folder / ".cache/huggingface/x.metadata").write_text("")
    assert import_model(empty, str(folder)).folders


def changed_manifest(change: Callable[[dict], None], folder: Path) -> None:  # type: ignore[type-arg]
    manifest, _ = read_json_with_digest(folder / layout.MANIFEST)
    change(manifest)
    write_json_with_digest(folder / layout.MANIFEST, manifest)


def test_a_manifest_that_lies(folder: Path, empty: Path) -> None:
    changed_manifest(lambda m: m["models"]["base"].update(component="super_resolution"), folder)
    refused(empty, folder, CorruptArtifactError, "sha256 differs|not the one that was exported")
    changed_manifest(lambda m: m["models"]["base"].update(component="../../etc"), folder)
    refused(empty, folder, CorruptArtifactError, "models that this version does not know")


@pytest.mark.slow
def test_other_diffusion_settings_are_refused_and_other_sampling_is_told(
    exported: Path, empty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (empty / "params.yaml").read_text()
    assert "\n  steps: 4" in text
    (empty / "params.yaml").write_text(text.replace("\n  steps: 4", "\n  steps: 7"))
    assert import_model(empty, str(exported)).differences == ("sample.steps: 4 there, 7 here",)
    assert "sample.steps: 4 there, 7 here" in capsys.readouterr().out
    shutil.rmtree(empty / "models")
    assert "beta_end: 0.02" in text
    (empty / "params.yaml").write_text(text.replace("beta_end: 0.02", "beta_end: 0.05"))
    refused(empty, exported, ConfigurationError, "diffusion.beta_end: 0.02 there, 0.05 here")


@pytest.mark.slow
def test_the_commands(project: Path, empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    words = ["export", "model", str(tmp_path / "out"), "--licence", "mit"]
    assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0
    monkeypatch.chdir(empty)
    assert CliRunner().invoke(app, ["import", str(tmp_path / "out")], catch_exceptions=False).exit_code == 0
    assert Paths(empty).base.is_dir()
    for wrong, said in (
        (["export", "data", "x"], "needs a folder, and --as LAYOUT"),
        (["export", "model"], "needs a folder, or --push"),
        (["export", "model", "x", "--as", "energon"], "--as is not an option of `walt export model`"),
        (["export", "data", "x", "--push", "a/b"], "--push is not an option of `walt export data`"),
        (["export", "model", "x", "--licence", "No One"], "is not a name as the Hub has them"),
        (["export", "model", "s3://x/y"], "not a folder of this machine"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            CliRunner().invoke(app, wrong, catch_exceptions=False)
