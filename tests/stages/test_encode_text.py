"""encode-text on hand-made manifests: content, joining by key, reuse, and the same bytes after any interruption."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load
from torch import Tensor

from tests.support.package_copy import copy_package, edit
from tests.support.settings import changed
from tests.support.text_project import CAPTIONS, CONFIG, make_text_project, rows
from tests.support.text_project import run_encode_text as run
from tests.support.tiny_models import TEXT
from tests.support.traced_files import files_run
from walt.core.errors import ConfigurationError, RejectLimitError, StorageError
from walt.core.own_digest import write_json_with_digest
from walt.core.paths import Paths
from walt.core.storage import read_json, write_json
from walt.data import distinct_captions
from walt.data.captions import Caption
from walt.data.key_index import FrozenKeys
from walt.data.manifest import write_manifest
from walt.data.members import Members
from walt.data.shards import NULL_KEY, ShardReader, read_index, write_shard
from walt.data.text_dataset import TextDataset
from walt.data.text_tables import caption_id, read_captions
from walt.project.code_identity import code_dependencies
from walt.project.registry import get_stage
from walt.stages import encode_text
from walt.stages.encode_text import Config
from walt.text.encoder import TextEncoder, load_text_encoder


def content(paths: Paths) -> dict[str, bytes]:
    files = [*paths.text.rglob("*"), *paths.text_encoder.rglob("*")]
    return {str(file.relative_to(paths.root)): file.read_bytes() for file in sorted(files) if file.is_file()}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    paths = make_text_project(tmp_path_factory.mktemp("project"))
    run(CONFIG, paths)
    return paths


def test_config_has_what_the_registry_declares() -> None:
    stage = get_stage("encode-text")
    assert set(Config.model_fields) == {*stage.params, *stage.settings}


def test_tars_hold_each_distinct_caption_once(done: Paths) -> None:
    index = read_index(done.text)
    assert [(record.shard, record.count) for record in index.records] == [("text-all.tar", 5), ("null.tar", 1)]
    distinct = sorted({caption_id(text) for text in CAPTIONS if text})
    assert ShardReader(done.text).keys == (*distinct, NULL_KEY)
    ids = {row.key: tuple(caption_id(caption.text) for caption in row.captions) for row in rows()}
    table = read_captions(done.text)
    assert dict(zip(ids, map(table.captions, table.rows(list(ids))), strict=True)) == ids


def test_members_are_the_encoders_embeddings_without_padding(done: Paths) -> None:
    reader, encoder = ShardReader(done.text), load_text_encoder(done.text_encoder, "cpu")
    dataset = TextDataset(done.text)
    for row in rows():
        embeddings, mask = encoder.encode([row.caption or ""])
        (stored,) = load(reader[caption_id(row.caption) if row.caption else NULL_KEY]["safetensors"]).values()
        assert stored.dtype == torch.float16
        assert stored.shape == (mask.sum(), 16)
        given, given_mask = dataset.embeddings([row.key])
        assert torch.equal(given_mask, mask)
        assert torch.allclose(given, embeddings, atol=2e-3)


def test_no_caption_is_the_null_embedding(done: Paths) -> None:
    dataset = TextDataset(done.text)
    assert torch.equal(dataset.embeddings([rows()[2].key])[0][0], dataset.null()[0])
    assert dataset.null()[1].sum() == 1


def test_description_of_the_encoder(done: Paths) -> None:
    description = read_json(done.text_encoder / "encoder.json")
    assert description.keys() == {"source", "digest", "max_tokens", "width", "files", "sha256"}
    assert description["files"].keys() == {file.name for file in (done.text_encoder / "t5").iterdir()}
    assert (description["source"], description["max_tokens"], description["width"]) == ("tiny", 8, 16)


def test_identical_captions_are_encoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []
    encode = TextEncoder.encode_each

    def spy(self: TextEncoder, captions: list[str]) -> Any:
        encoded.extend(captions)
        return encode(self, captions)

    monkeypatch.setattr(TextEncoder, "encode_each", spy)
    result = run(CONFIG, make_text_project(tmp_path, ["a red circle", "a green square"] * 20))
    assert (result["clips"], result["captions"], result["unique"]) == (40, 40, 3)
    assert len([caption for caption in encoded if caption]) == 2


def test_a_rerun_changes_nothing(tmp_path: Path) -> None:
    paths = make_text_project(tmp_path)
    first = run(CONFIG, paths)
    before = content(paths)
    second = run(CONFIG, paths)
    assert first["reused"] == 0
    assert second["reused"] == second["tars"] == 2
    assert content(paths) == before


@pytest.fixture
def small_tars(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tars of two captions at most, so that a few captions make several."""
    monkeypatch.setattr(distinct_captions, "MOST", 2)


class Killed(BaseException):
    """Simulates SIGKILL: nothing handles it."""


@pytest.mark.slow
@pytest.mark.usefixtures("small_tars")
@pytest.mark.parametrize("survivors", [0, 1, 3])
def test_killed_and_resumed_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survivors: int
) -> None:
    whole = make_text_project(tmp_path / "whole")
    assert run(CONFIG, whole)["tars"] == 4
    paths = make_text_project(tmp_path / "killed")
    write_shard = encode_text.write_shard
    written = []

    def mortal(path: Path, samples: Iterator[Any]) -> Any:
        if len(written) == survivors:
            path.with_name(path.name + ".1.tmp").write_bytes(b"half a tar")
            raise Killed
        written.append(path)
        return write_shard(path, samples)

    monkeypatch.setattr(encode_text, "write_shard", mortal)
    with pytest.raises(Killed):
        run(CONFIG, paths)
    with pytest.raises(StorageError):
        read_index(paths.text)  # nothing half-written is read as whole
    monkeypatch.setattr(encode_text, "write_shard", write_shard)
    assert run(CONFIG, paths)["reused"] == survivors
    assert content(paths) == content(whole)


@pytest.mark.slow
@pytest.mark.usefixtures("small_tars")
def test_a_changed_caption_remakes_its_tar_and_the_result_is_that_of_a_fresh_run(tmp_path: Path) -> None:
    changed: list[str | None] = [*CAPTIONS[:4], "a red square", *CAPTIONS[5:-1], "a blue circle"]  # the same words
    paths = make_text_project(tmp_path / "incremental")
    run(CONFIG, paths)
    for texts, remade in ((changed, 0), ([*changed[:-1], "circle a blue"], 1)):
        make_text_project(tmp_path / "incremental", texts)
        result = run(CONFIG, paths)
        fresh = make_text_project(tmp_path / f"fresh {remade}", texts)
        run(CONFIG, fresh)
        assert result["tars"] - result["reused"] == remade, "tars that lost or got a caption"
        assert content(paths) == content(fresh)


@pytest.mark.slow
@pytest.mark.parametrize("most", [2, 4])
def test_only_new_captions_are_encoded_also_where_a_tar_is_split_or_joined(
    most: int, done: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distinct_captions, "MOST", most)
    given = frozen(str(done.text_encoder))  # else new captions make another encoder
    paths = make_text_project(tmp_path / "incremental")
    run(given, paths)
    encode, encoded = TextEncoder.encode_each, list[str]()

    def spy(self: TextEncoder, captions: Sequence[str]) -> list[Tensor]:
        encoded.extend(captions)
        return encode(self, captions)

    words = ("a red circle", "a blue square", "a green circle", "a square", "a circle", "blue", "green")
    added = {"a blue square", "a square", "a circle", "blue", "green"}
    for texts, new in (([*CAPTIONS, *words], added), (CAPTIONS, set())):
        make_text_project(paths.root, texts)
        with monkeypatch.context() as patch:
            patch.setattr(TextEncoder, "encode_each", spy)
            result = run(given, paths)
        assert set(encoded) == new
        assert result["encoded"] == len(encoded)
        fresh = make_text_project(tmp_path / f"fresh {len(new)}", texts)
        run(given, fresh)
        assert content(paths) == content(fresh)
        encoded.clear()


@pytest.mark.usefixtures("small_tars")
def test_removed_clips_leave_nothing(tmp_path: Path) -> None:
    paths = make_text_project(tmp_path)
    run(CONFIG, paths)
    make_text_project(tmp_path, CAPTIONS[:3])
    run(CONFIG, paths)
    assert sorted(file.name for file in paths.text.iterdir()) == [
        "captions.parquet", "labels.parquet", "null.tar", "shards.parquet", "text-all.tar",
    ]  # fmt: skip
    assert len(ShardReader(paths.text)) == 3
    assert not (paths.work("encode-text") / "captions").exists(), "temporary files"
    assert len(list((paths.work("encode-text") / "tars").iterdir())) == 2


def test_a_damaged_tar_is_made_again(tmp_path: Path, done: Paths) -> None:
    paths = make_text_project(tmp_path)
    run(CONFIG, paths)
    tar = paths.text / "text-all.tar"
    tar.write_bytes(tar.read_bytes()[:-600])
    assert run(CONFIG, paths)["reused"] == 1
    assert content(paths) == content(done)


def test_what_an_older_version_stored_is_removed(tmp_path: Path, done: Paths) -> None:
    """Its tars were those of the clips, with padded embeddings."""
    paths = make_text_project(tmp_path)
    write_shard(paths.text / "text-000000.tar", [(rows()[0].key, {"safetensors": b"padded"})])
    for name in ("text-000000.tar", "null.tar"):
        old = {"identity": "0", "record": {}, "lengths": {}}
        write_json(paths.work("encode-text") / f"tars/{name}.json", old)
    assert run(CONFIG, paths)["reused"] == 0
    assert content(paths) == content(done)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 7, 256])
def test_neither_the_batch_nor_what_is_in_it_changes_a_byte(
    tmp_path: Path, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In fp32, where T5's last bits depend on the number of rows and on the padding."""
    words = ["red", "green", "blue", "circle", "square", "moving", "left"]
    texts = [" ".join([*(words * 3)[:count], words[place]]) for count in (0, 1, 6, 7, 8, 20) for place in range(7)]
    whole = make_text_project(tmp_path / "whole", texts)
    run(CONFIG, whole)
    encoder = str(whole.text_encoder / "t5")

    def stored(name: str, some: list[str], size: int) -> dict[str, Any]:
        text = TEXT.model_copy(update={"encoder": encoder, "max_tokens": 20})
        monkeypatch.setattr(encode_text, "_AT_ONCE", size)
        paths = make_text_project(tmp_path / name, some)
        run(CONFIG.model_copy(update={"text": text}), paths)
        return {key: ShardReader(paths.text)[key] for key in ShardReader(paths.text).keys}

    together = stored("together", texts, batch_size)
    assert together == stored("as above", texts, 4)
    few = stored("few", texts[::5], batch_size)
    assert few.items() <= together.items()
    for number, text in enumerate(texts[:3]):
        assert stored(f"alone {number}", [text], batch_size)[caption_id(text)] == together[caption_id(text)]


def test_another_encoder_remakes_everything(tmp_path: Path) -> None:
    paths = make_text_project(tmp_path)
    run(CONFIG, paths)
    before = content(paths)
    assert run(CONFIG.model_copy(update={"seed": 1}), paths)["reused"] == 0
    assert all(content(paths)[name] != data for name, data in before.items() if name.endswith(".tar"))


def test_one_bit_of_one_weight_remakes_everything(tmp_path: Path) -> None:
    paths = make_text_project(tmp_path)
    run(CONFIG, paths)
    (paths.text_encoder / "t5").rename(tmp_path / "given")
    given = CONFIG.model_copy(update={"text": TEXT.model_copy(update={"encoder": str(tmp_path / "given")})})
    assert run(given, paths)["reused"] == 2, "the same encoder"
    weights = tmp_path / "given/model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-4] ^= 1
    weights.write_bytes(data)
    assert run(given, paths)["reused"] == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("edited", "remade"),
    [
        ("walt/stages/encode_text.py", True),
        ("walt/text/encoder.py", True),
        ("walt/text/tiny.py", False),  # its weights have a digest
        ("walt/core/log.py", False),
    ],
)
def test_other_code_remakes_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edited: str, remade: bool
) -> None:
    paths = make_text_project(tmp_path / "project")
    package = copy_package(tmp_path / "copy", monkeypatch)
    tars = run(CONFIG, paths)["tars"]
    before = content(paths)
    edit(package, edited)
    assert run(CONFIG, paths)["reused"] == (0 if remade else tars)
    assert content(paths) == before  # the index too: what was trained on these bytes stays fresh


def test_the_code_of_every_function_on_the_way_is_part_of_the_identity(tmp_path: Path) -> None:
    paths = make_text_project(tmp_path)
    on_the_way = files_run(lambda: run(CONFIG, paths))
    assert "walt/text/encoder.py" in on_the_way
    assert on_the_way <= set(code_dependencies("walt.stages.encode_text"))


def test_the_order_of_rows_in_other_shards_changes_no_tar(tmp_path: Path, done: Paths) -> None:
    moved = [replace(row, shard=2 - row.shard) for row in rows()][::-1]
    write_manifest(tmp_path / "data/manifest", [(0, moved)])
    paths = Paths(tmp_path)
    run(CONFIG, paths)
    assert read_index(paths.text) == read_index(done.text)


def test_an_empty_manifest(tmp_path: Path) -> None:
    with pytest.raises(RejectLimitError):
        run(CONFIG, make_text_project(tmp_path, []))


SEVERAL = (
    (Caption("short", "a red circle"), Caption("dense", "a red circle moving left")),
    None,
    (Caption("dense", "a green square"), Caption("short", "a red circle"), Caption("dense", "a blue circle")),
    "a green square",
)


def test_a_clip_has_all_its_captions_in_the_manifests_order(tmp_path: Path) -> None:
    paths = make_text_project(tmp_path, SEVERAL)
    figures = run(CONFIG, paths)
    assert (figures["clips"], figures["captions"], figures["unique"]) == (4, 6, 5)  # the empty one is the fifth
    text, encoder = TextDataset(paths.text), load_text_encoder(paths.text_encoder, "cpu")
    for row in rows(SEVERAL):
        assert text.names(row.key) == tuple(caption.name for caption in row.captions)
        for place, caption in enumerate(row.captions):
            found, mask = text.embeddings([row.key], [place])
            expected, expected_mask = encoder.encode([caption.text])
            assert torch.equal(mask, expected_mask)
            assert torch.allclose(found, expected, atol=2e-3)
    assert text.all_names() == {"short", "dense", ""}


def test_a_caption_of_several_clips_and_kinds_is_encoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []
    encode = TextEncoder.encode_each
    monkeypatch.setattr(TextEncoder, "encode_each", lambda self, given: (encoded.extend(given), encode(self, given))[1])
    run(CONFIG, make_text_project(tmp_path, SEVERAL * 5))
    assert sorted(caption for caption in encoded if caption) == sorted(
        {"a red circle", "a red circle moving left", "a green square", "a blue circle"}
    )


def test_other_names_of_the_same_captions_leave_the_tars_alone(tmp_path: Path) -> None:
    paths = make_text_project(tmp_path, SEVERAL)
    run(CONFIG, paths)
    before = content(paths)
    renamed = [
        [Caption(f"very {name}", text) for name, text in own] if isinstance(own, tuple) else own for own in SEVERAL
    ]
    make_text_project(tmp_path, [tuple(own) if isinstance(own, list) else own for own in renamed])
    assert run(CONFIG, paths)["reused"] == 2
    assert {name for name, data in content(paths).items() if data != before[name]} == {"data/text/captions.parquet"}
    assert TextDataset(paths.text).all_names() == {"very short", "very dense", ""}


def test_captions_that_are_cut_are_counted_and_warned_of_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["a", "red", "circle", "moving", "left", "over", "green"]
    texts = [
        " ".join(words),
        " ".join([*words, "squares"]),
        " ".join([*words, "squares", "and"]),
    ]
    paths = make_text_project(tmp_path, [texts[0], (Caption("a", texts[1]), Caption("b", texts[2])), texts[1], "a red"])
    figures = run(CONFIG, paths)
    assert (figures["captions"], figures["cut"], figures["longest_cut"]) == (5, 3, 10)
    said = capsys.readouterr().out
    assert said.count("warning") == 1
    assert "3 of 5 captions of clips are longer than text.max_tokens 8 and were cut; the longest has 10 tokens" in said
    assert run(CONFIG, paths) == figures | {"reused": figures["tars"], "encoded": 0}, "what is reused is counted too"
    assert "3 of 5 captions" in capsys.readouterr().out


def test_captions_that_fit_are_not_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = run(CONFIG, make_text_project(tmp_path, SEVERAL))
    assert (figures["cut"], figures["longest_cut"], figures["with_unknown"]) == (0, 0, 0)
    assert "warning" not in capsys.readouterr().out


def test_captions_of_which_the_vocabulary_lacks_something_are_counted_and_warned_of_once(
    done: Paths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = make_text_project(tmp_path, ["a red circle", "一只红色的猫", "a red 圆", "一只红色的猫"])
    given = frozen(str(done.text_encoder))  # of English captions
    figures = run(given, paths)
    assert (figures["captions"], figures["with_unknown"], figures["cut"]) == (4, 3, 0)
    said = " ".join(capsys.readouterr().out.split())
    assert said.count("warning") == 1
    assert "3 of 4 captions of clips hold characters that the text encoder's vocabulary lacks" in said
    assert run(given, paths) == figures | {"reused": figures["tars"], "encoded": 0}, "what is reused is counted too"
    assert "3 of 4 captions" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_the_members_of_a_union_are_kept(tmp_path: Path) -> None:
    paths = make_text_project(tmp_path, SEVERAL)
    figures = run(CONFIG, paths)
    before = content(paths)
    names = ["films", "photos", "films"]
    of_union = [replace(row, measures={"member": name}) for row, name in zip(rows(SEVERAL), names * 9, strict=False)]
    write_manifest(paths.manifest, [(0, of_union)], {"member": str})
    assert run(CONFIG, paths) == figures | {"reused": figures["tars"], "encoded": 0}
    after = content(paths)
    table = after.pop("data/text/members.parquet")
    assert after == before, "whose a clip is changes no embedding"
    found = Members(paths.text).split(FrozenKeys(row.key for row in of_union))
    assert {name: set(keys) for name, keys in found.items()} == {
        name: {row.key for row in of_union if row.measures["member"] == name} for name in ("films", "photos")
    }
    run(CONFIG.model_copy(update={"text": None}), paths)
    assert content(paths)["data/text/members.parquet"] == table, "a model of classes draws by member as well"
    make_text_project(tmp_path, SEVERAL)
    run(CONFIG, paths)
    assert content(paths) == before, "a dataset that is not a union any more has no members"


def test_without_text_there_is_no_table_of_names(tmp_path: Path) -> None:
    paths = make_text_project(tmp_path, SEVERAL)
    run(CONFIG, paths)
    run(CONFIG.model_copy(update={"text": None}), paths)
    assert [file.name for file in paths.text.iterdir()] == ["labels.parquet"]


def encoder_of(paths: Paths) -> dict[str, bytes]:
    return {name: data for name, data in content(paths).items() if name.startswith("models")}


def frozen(address: str) -> Config:
    assert CONFIG.text
    return CONFIG.model_copy(update={"text": changed(CONFIG.text, tiny={"frozen": address})})


def test_a_frozen_encoder_is_published_as_it_is_also_of_new_captions(done: Paths, tmp_path: Path) -> None:
    shutil.copytree(done.text_encoder, tmp_path / "given")
    paths = make_text_project(tmp_path, [*CAPTIONS, "a huge yellow pentagon"])
    run(CONFIG, paths)
    assert encoder_of(paths) != encoder_of(done), "built of other captions"
    run(frozen("given"), paths)
    assert encoder_of(paths) == encoder_of(done)


def test_what_is_no_tiny_encoder_cannot_be_frozen(done: Paths, tmp_path: Path) -> None:
    paths = make_text_project(tmp_path)
    with pytest.raises(ConfigurationError, match="nowhere: no such folder"):
        run(frozen("nowhere"), paths)
    shutil.copytree(done.text_encoder, paths.text_encoder)
    with pytest.raises(ConfigurationError, match="models/text-encoder, which this stage replaces"):
        run(frozen("models/text-encoder"), paths)
    (tmp_path / "given").mkdir()
    write_json_with_digest(tmp_path / "given/encoder.json", {
        "source": "google/t5-v1_1-xl", "digest": "0", "max_tokens": 8, "width": 16, "files": {},
    })  # fmt: skip
    with pytest.raises(ConfigurationError, match="given is not a tiny encoder that encode-text published"):
        run(frozen("given"), paths)
    assert encoder_of(paths) == encoder_of(done), "the one before stays"
