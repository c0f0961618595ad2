"""caption: who is asked about, what is kept, what a correction costs, and that readers of the manifest get it all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support import ingest_project
from tests.support.settings import changed, compute_settings
from tests.support.text_project import CONFIG as TEXT_CONFIG
from tests.support.tiny_vision_language import write_vision_language_model
from walt.captioning.config import CaptionConfig
from walt.core.errors import ConfigurationError, CorruptArtifactError, StorageError
from walt.core.paths import Paths
from walt.core.storage import read_json
from walt.data.captions import Caption
from walt.data.manifest import (
    ManifestRow,
    caption_names,
    iterate_columns,
    manifest_parts_as_ingested,
    read_manifest,
    read_manifest_rows,
    rows_of,
    write_manifest,
)
from walt.data.text_dataset import TextDataset
from walt.data.written_captions import WrittenCaptions
from walt.project.recipes import load_recipe
from walt.stages import caption, encode_text
from walt.stages.caption import Captioner, Config
from walt.text.encoder import load_text_encoder

SETTINGS = changed(
    load_recipe("demo-uncaptioned").caption, model="captioner", prompt="what is seen", frames=2, max_tokens=4,
    batch_size=3, precision="fp32",
)  # fmt: skip


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of which some have a caption; a tiny vision-language model."""
    root = tmp_path_factory.mktemp("project")
    ingest_project.make_project(root)
    ingest_project.run(root)
    write_vision_language_model(root / "captioner")
    return root


@pytest.fixture
def paths(ingested: Path, tmp_path: Path) -> Paths:
    (tmp_path / "data").mkdir()
    for name in ("data/clips", "data/manifest", "captioner"):
        (tmp_path / name).symlink_to(ingested / name)
    return Paths(tmp_path)


def config(**changes: Any) -> Config:
    section: CaptionConfig = changed(SETTINGS, **changes)
    return Config(seed=0, caption=section, compute=compute_settings(workers=1))


def as_ingested(paths: Paths) -> dict[str, ManifestRow]:
    return {row.key: row for _, tables in manifest_parts_as_ingested(paths.manifest) for row in rows_of(tables)}


def captions(paths: Paths) -> dict[str, tuple[Caption, ...]]:
    return {row.key: row.captions for row in read_manifest(paths.manifest)}


def correct(paths: Paths, text: str) -> None:
    folder = paths.root / "datasets/captions"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.csv").write_text(text)


def content(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.fixture
def some(paths: Paths, ingested: Path) -> Paths:
    """Five clips with captions, the others without."""
    rows = sorted(read_manifest(ingested / "data/manifest"), key=lambda row: (row.shard, row.key))
    rows = [
        replace(row, measures={}, captions=(Caption("", f"own {place}"),) if place < 5 else ())
        for place, row in enumerate(rows)
    ]
    paths.manifest.unlink()
    half = next(place for place, row in enumerate(rows) if row.shard != rows[0].shard)
    write_manifest(paths.manifest, [(0, rows[:half]), (1, rows[half:])])
    return paths


def test_without_a_model_nothing_changes(some: Paths) -> None:
    before = captions(some)
    figures = caption.run(Config(seed=0, caption=None, compute=compute_settings()), some)
    assert figures == {"clips": 18, "captioned": 0, "nothing_said": 0, "corrected": 0, "without": 13}
    assert captions(some) == before
    assert sorted(content(some.captions)) == ["_index.json", "about.json"]


@pytest.mark.slow
def test_clips_without_a_caption_get_one_and_all_readers_see_it(some: Paths) -> None:
    before = captions(some)
    figures = caption.run(config(), some)
    assert figures == {"clips": 18, "captioned": 13, "nothing_said": 0, "corrected": 0, "without": 0}
    after = captions(some)
    assert {key for key in after if after[key] != before[key]} == {key for key, own in before.items() if not own}
    assert {one.name for key, own in after.items() if not before[key] for one in own} == {"model"}
    assert dict(iterate_columns(some.manifest, "key", "captions")) == after
    assert [own for (own,) in iterate_columns(some.manifest, "captions")] == list(after.values())
    assert [row.captions for row in read_manifest_rows(some.manifest, range(18))] == list(after.values())
    assert caption_names(some.manifest) == {"", "model"}
    assert {key: row.captions for key, row in as_ingested(some).items()} == before
    encode_text.run(TEXT_CONFIG, some)
    text = TextDataset(some.text)
    assert {key: text.names(key) for key in after} == {
        key: tuple(one.name for one in own) for key, own in after.items()
    }


@pytest.mark.slow
def test_the_table_says_who_said_it(some: Paths) -> None:
    caption.run(config(), some)
    written = WrittenCaptions(some.manifest)
    rows = written.of("part-000000.parquet") | written.of("part-000001.parquet")
    assert len(rows) == 13
    captioner = Captioner(config().caption, 0, "cpu", some.root)  # type: ignore[arg-type]
    for row in rows.values():
        assert (row.model, row.digest, row.prompt, row.seed) == ("captioner", captioner.digest, "what is seen", 0)
        assert row.captions == (Caption("model", str(row.text)),)
        assert not row.corrected


@pytest.mark.slow
@pytest.mark.parametrize(("first", "place"), [("dataset", 1), ("model", 0)])
def test_all_clips_keep_both_and_the_stated_order_holds(some: Paths, first: str, place: int) -> None:
    assert caption.run(config(clips="all", first=first, name="vlm"), some)["captioned"] == 18
    of_two = [own for own in captions(some).values() if len(own) == 2]
    assert len(of_two) == 5
    assert all(own[place].name == "vlm" and own[1 - place].text.startswith("own ") for own in of_two)


@pytest.mark.slow
def test_a_correction_asks_no_model(some: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    caption.run(config(), some)
    before = captions(some)
    key, other = [key for key, own in before.items() if own[0].name == "model"][:2]
    described = next(key for key, own in before.items() if own[0].text == "own 0")
    correct(some, f"key,caption,name\n{key},a person's words,\n{described},better than own 0,\n{other},more,extra\n")
    monkeypatch.setattr(Captioner, "describe", lambda *_: pytest.fail("a model was asked"))
    assert caption.run(config(), some)["corrected"] == 3
    after = captions(some)
    assert after[key] == (Caption("model", "a person's words"),)
    assert after[described] == (Caption("", "better than own 0"),)
    assert after[other] == (*before[other], Caption("extra", "more"))
    assert {name for name in after if after[name] != before[name]} == {key, other, described}
    (some.root / "datasets/captions/mine.csv").unlink()
    caption.run(config(), some)
    assert captions(some) == before, "without the row the model's caption is back"


@pytest.mark.slow
def test_after_a_correction_other_tars_of_text_stay(some: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("walt.data.distinct_captions.MOST", 1)  # captions of a tar
    caption.run(config(), some)
    unique = encode_text.run(TEXT_CONFIG, some)["unique"]
    key = next(key for key, own in captions(some).items() if own[0].text == "own 0")
    correct(some, f"key,caption\n{key},a person's words\n")
    asked: list[str] = []
    real = encode_text.TextEncoder.encode_each

    def counted(self: encode_text.TextEncoder, texts: Sequence[str]) -> Any:
        asked.extend(texts)
        return real(self, texts)

    monkeypatch.setattr(encode_text.TextEncoder, "encode_each", counted)
    monkeypatch.setattr(encode_text, "prepare_encoder", lambda *_: _opened(some))
    caption.run(config(), some)
    encode_text.run(TEXT_CONFIG, some)
    assert "a person's words" in asked
    assert len(asked) <= 3 < unique, "besides it those whose tar was split or joined"


def _opened(paths: Paths) -> encode_text.TextEncoder:
    """The encoder of the run before: the tiny one is made from the captions, and would be another one."""
    return load_text_encoder(paths.text_encoder, "cpu", paths.root)


def test_corrections_of_unknown_clips_are_counted(some: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    correct(some, "key,caption\nnobody,a cat\n")
    assert caption.run(Config(seed=0, caption=None, compute=compute_settings()), some)["corrected"] == 0
    assert "1 corrections are of clips that are not in the manifest: nobody" in " ".join(
        capsys.readouterr().out.split()
    )


@pytest.mark.slow
def test_killed_after_a_tar_and_run_again_gives_the_same_bytes(some: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    caption.run(config(), some)
    whole = content(some.captions)
    notes = sorted((some.work("caption") / "tars").iterdir())
    assert len(notes) > 1
    for file in [*some.captions.iterdir(), notes[-1]]:
        file.unlink()
    asked: list[str] = []
    real = Captioner.describe

    def counted(self: Captioner, rows: Any, clips: Any) -> list[str]:
        asked.extend(row.key for row in rows)
        return real(self, rows, clips)

    monkeypatch.setattr(Captioner, "describe", counted)
    caption.run(config(), some)
    assert content(some.captions) == whole
    remade = read_json(notes[-1])["captions"]
    assert set(asked) == set(remade)
    asked.clear()
    caption.run(config(prompt="what is a circle"), some)
    assert len(asked) == 13, "another prompt asks again"


@pytest.mark.slow
def test_text_is_not_encoded_with_the_captions_of_another_manifest(some: Paths) -> None:
    caption.run(config(), some)
    about = some.captions / "about.json"
    whole = about.read_text()
    about.write_text(whole.replace("manifest", "manifesT"))
    with pytest.raises(CorruptArtifactError, match=r"about\.json"):
        encode_text.run(TEXT_CONFIG, some)
    about.unlink()
    with pytest.raises(StorageError, match="the captions are not whole"):
        encode_text.run(TEXT_CONFIG, some)
    about.write_text(whole)
    write_manifest(some.manifest, [(0, list(as_ingested(some).values())[:9])])
    with pytest.raises(StorageError, match="the captions are of another manifest"):
        encode_text.run(TEXT_CONFIG, some)


def test_captions_of_another_manifest_that_hold_nothing_are_none(some: Paths) -> None:
    captionless = Config(seed=0, caption=None, compute=compute_settings())
    assert caption.run(captionless, some)["corrected"] == 0
    assert (some.captions / "about.json").is_file()
    rows = [row for row in as_ingested(some).values() if row.captions]
    write_manifest(some.manifest, [(0, rows)])
    assert encode_text.run(TEXT_CONFIG, some)["clips"] == len(rows)


def test_a_model_that_is_not_there_is_one_line_before_any_work(some: Paths) -> None:
    with pytest.raises(ConfigurationError, match=r"caption\.model: .*no such folder"):
        caption.run(config(model="./nowhere"), some)
    assert not some.captions.exists()
