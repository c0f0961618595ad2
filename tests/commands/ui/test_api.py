"""The HTTP interface of ``walt ui``: what it makes, its queue, its refusals."""

from __future__ import annotations

import io
import json
import re
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.media import counter, write_video
from tests.support.sample_project import register_release, sample_project
from tests.support.ui import Api, api, wait_for
from walt.commands.sample.generate import Request, run
from walt.commands.ui import catalogue, worker
from walt.commands.ui.jobs import Job
from walt.commands.ui.worker import Loaded
from walt.core.errors import StorageError
from walt.media.images import png_bytes
from walt.media.playable import read_metadata
from walt.sampling.prompt_to_video import Pipeline

JSON = {"Content-Type": "application/json"}
SCRIPTS = [Path(catalogue.__file__).with_name(name) for name in ("page.js", "results.js")]


@pytest.fixture(scope="module")
def whole(frames: Path, tmp_path_factory: pytest.TempPathFactory) -> Api:
    """Of models that can do everything, at work."""
    return api(frames, tmp_path_factory.mktemp("results"))


@pytest.fixture
def waiting(plain: Path, tmp_path: Path) -> Api:
    """One at which nothing is made: all jobs wait."""
    return api(plain, tmp_path / "results", start=False)


def by_command(root: Path, out: Path, **options: Any) -> bytes:
    """The same by ``walt sample``."""
    (file,) = run(Request(formats=("mp4",), out=out, **options), root)
    return file.read_bytes()


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("files") / "a picture.png"
    file.write_bytes(png_bytes(np.tile(np.arange(40, dtype=np.uint8)[:, None, None] * 6, (1, 60, 3))))
    return file


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("files") / "film.mp4", counter(9), fps=8)


@pytest.mark.slow
def test_a_prompt_gives_the_bytes_of_walt_sample(whole: Api, frames: Path, tmp_path: Path) -> None:
    made = whole.made(prompt="a red circle", seed=3, steps=3, guidance=4.0)
    same = {"prompts": ("a red circle",), "seed": 3, "steps": 3, "guidance": 4.0}
    assert made == by_command(frames, tmp_path, **same)
    assert made == whole.made(prompt="a red circle", seed=3, steps=3, guidance=4.0), "models that stayed loaded"
    assert made != whole.made(prompt="a red circle", seed=4, steps=3, guidance=4.0)


@pytest.mark.slow
def test_what_is_left_out_is_as_in_the_parameters_and_is_said_in_the_result(
    whole: Api, frames: Path, tmp_path: Path
) -> None:
    job = whole.ended(whole.submit(prompt="a cat"))
    result = whole.get(f"results/{job['id']}")
    video = whole.client.get(f"/api/results/{job['id']}/video").content
    assert video == by_command(frames, tmp_path, prompts=("a cat",))
    order = result["order"]
    assert (order["seed"], order["steps"], order["guidance"], order["cascade"]) == (0, 4, 2.0, True)
    assert whole.made(**{name: value for name, value in order.items() if value is not None}) == video
    (tmp_path / "video.mp4").write_bytes(video)
    assert read_metadata(tmp_path / "video.mp4") == result["about"]
    assert result["about"]["settings"]["steps"] == 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("order", "options"),
    [
        ({"aspect": "2:1"}, {"aspect": "2:1"}),
        ({"cascade": False}, {"cascade": False}),
        ({"seconds": 3.0}, {"seconds": 3.0}),
    ],
)
def test_shape_length_and_super_resolution_are_those_of_walt_sample(
    whole: Api, frames: Path, tmp_path: Path, order: dict[str, Any], options: dict[str, Any]
) -> None:
    made = whole.made(prompt="a cat", steps=2, **order)
    assert made == by_command(frames, tmp_path, prompts=("a cat",), steps=2, **options)


@pytest.mark.slow
def test_an_uploaded_file_gives_the_bytes_of_walt_sample(
    whole: Api, frames: Path, tmp_path: Path, picture: Path, film: Path
) -> None:
    """Both begin and go on; the name of the file is part of the settings, so it is kept."""
    image, video = (whole.upload(file.name, file.read_bytes()).json() for file in (picture, film))
    assert (image["kind"], image["name"], image["width"], image["height"]) == ("image", "a picture.png", 60, 40)
    assert (video["kind"], video["seconds"]) == ("video", 9 / 8)
    begun = whole.made(image=image["id"], steps=2)
    assert begun == by_command(frames, tmp_path, image=picture, steps=2)
    gone_on = whole.made(prompt="a cat", video=video["id"], steps=2, seconds=2)
    assert gone_on == by_command(frames, tmp_path, prompts=("a cat",), continued=film, steps=2, seconds=2.0)


@pytest.mark.slow
def test_another_projects_models_and_those_of_the_registry(frames: Path, tmp_path: Path, empty_database: Path) -> None:
    root = sample_project(tmp_path / "project")
    shutil.copy(empty_database, root / "mlflow.db")
    own = by_command(root, tmp_path, prompts=("a cat",), steps=2)
    register_release(root, 20)
    shutil.copytree(frames / "models/base", root / "models/base", dirs_exist_ok=True)  # trained again since
    shutil.copytree(frames / "models/sr-2x", root / "models/sr-2x", dirs_exist_ok=True)
    served = api(root, tmp_path / "results", folders=[str(frames)])
    listed = served.get("models")
    assert [(model["address"], model["name"]) for model in listed["models"]] == [
        ("", "This project's models"), (str(frames), str(frames)),
        ("models:/walt-base/1", "walt-base version 1 (champion)"),
    ]  # fmt: skip
    assert served.made(prompt="a cat", steps=2, model="models:/walt-base@champion") == own
    (result,) = served.get("results")
    assert result["order"]["model"] == "models:/walt-base/1", "what an alias meant then"
    assert served.made(prompt="a cat", steps=2, model=str(frames)) == by_command(
        frames, tmp_path, prompts=("a cat",), steps=2
    )
    assert "not one of the models here" in served.refusal(prompt="a cat", model=str(tmp_path))


def test_a_registry_that_is_away_is_said_and_the_rest_is_there(
    plain: Path, waiting: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> list[Any]:
        raise StorageError("nobody answers")

    monkeypatch.setattr("walt.tracking.given_release.list_releases", away)
    assert waiting.get("models")["problem"] is None, "there is no database, and none is made"
    assert not (plain / "mlflow.db").exists()
    (plain / "mlflow.db").touch()
    waiting.studio.catalogue._listed = None
    listed = waiting.get("models")
    (plain / "mlflow.db").unlink()
    assert listed["problem"] == "the registry's models are missing: nobody answers"
    assert [model["address"] for model in listed["models"]] == [""]


@pytest.mark.slow
def test_jobs_wait_with_their_place_and_can_be_cancelled(waiting: Api) -> None:
    jobs = [waiting.submit(prompt=f"number {number}") for number in range(3)]
    assert [job["place"] for job in jobs] == [1, 2, 3]
    assert "3 jobs are waiting, and no more may" in waiting.refusal(prompt="one more")
    assert waiting.client.post("/api/jobs", json={"prompt": "one more"}).status_code == 429
    cancelled = waiting.client.delete(f"/api/jobs/{jobs[0]['id']}").json()
    assert (cancelled["state"], cancelled["place"]) == ("cancelled", None)
    assert [(job["state"], job["place"]) for job in waiting.get("jobs")] == [
        ("cancelled", None), ("waiting", 1), ("waiting", 2),
    ]  # fmt: skip
    waiting.studio.start()
    assert [waiting.ended(job)["state"] for job in jobs] == ["cancelled", "done", "done"]
    assert [result["order"]["prompt"] for result in waiting.get("results")] == ["number 2", "number 1"]
    assert waiting.client.delete(f"/api/jobs/{jobs[1]['id']}").json()["state"] == "done"
    assert waiting.client.delete("/api/jobs/none").status_code == 404


@pytest.mark.slow
def test_a_job_shows_how_far_it_is_and_what_it_looks_like_and_can_be_stopped(
    whole: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    advance, seen = worker._advance, threading.Event()

    def waiting_at_100(job: Job, count: int) -> None:
        advance(job, count)
        if job.done == 100:
            assert seen.wait(60)

    monkeypatch.setattr(worker, "_advance", waiting_at_100)
    job = whole.submit(prompt="a cat", steps=1000, cascade=False)
    second = whole.submit(prompt="a dog", steps=2)
    running = wait_for(lambda: (now := whole.get(f"jobs/{job['id']}"))["fraction"] == 0.1 and now)
    assert (running["state"], running["doing"], running["place"]) == ("running", "sampling", None)
    assert running["previews"] == 1
    assert running["seconds_left"] > 0
    assert whole.get(f"jobs/{second['id']}")["place"] == 1
    answer = whole.client.get(f"/api/jobs/{job['id']}/preview")
    assert answer.headers["content-type"] == "image/webp"
    with Image.open(io.BytesIO(answer.content)) as preview:
        assert (preview.size, preview.n_frames) == ((16, 16), 17)  # type: ignore[attr-defined]
    whole.client.delete(f"/api/jobs/{job['id']}")
    seen.set()
    ended = whole.ended(job)
    assert ended["state"] == "cancelled"
    assert whole.ended(second)["state"] == "done"
    assert job["id"] not in [result["id"] for result in whole.get("results")]


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ({}, "prompt: missing: the model needs it"),
        ({"class_index": 1}, "class_index: the model takes prompt"),
        ({"prompt": "a cat", "steps": 0}, "steps: input should be greater than 0"),
        ({"prompt": "a cat", "steps": 2000}, "steps: 2000 is more than diffusion.num_steps 1000"),
        ({"prompt": "a cat", "guidance": float("1e999")}, "guidance: "),
        ({"prompt": "a cat", "seed": -1}, "seed: input should be greater than or equal to 0"),
        ({"prompt": "a cat", "seconds": 7.0}, "seconds: at most 6 s are made here"),
        ({"prompt": "a cat", "seconds": 2.0}, "seconds: at most 0.625: the model was not trained for frame prediction"),
        ({"prompt": "a cat", "aspect": "wide"}, "aspect: 'wide' is not width:height"),
        ({"prompt": "a cat", "model": "/etc"}, "/etc: not one of the models here"),
        ({"prompt": "a cat", "image": "../x"}, "image: string should match pattern"),
        ({"prompt": "a cat", "image": "x"}, "upload x: not here"),
        ({"prompt": "x" * 5000}, "prompt: string should have at most 4000 characters"),
        ({"prompt": "a cat", "out": "/tmp"}, "an order has no 'out'"),
        ({"promt": "a cat"}, "an order has no 'promt'; did you mean 'prompt'?"),
    ],
)
def test_an_order_that_makes_no_sense_gets_a_line_at_once(waiting: Api, order: dict[str, Any], said: str) -> None:
    answer = waiting.client.post("/api/jobs", content=json.dumps(order), headers=JSON)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"]
    assert waiting.get("jobs") == []


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        (b"{", "application/json", "the body of the request is not JSON"),
        (b"prompt=a", "application/json", "the body of the request is not JSON"),
        (b"", "application/json", "the body of the request is not an order"),
        (b"[]", "application/json", "the body of the request is not an order"),
        (b"prompt=a", "application/x-www-form-urlencoded", "sent with the header Content-Type: application/json"),
    ],
)
def test_a_body_that_is_no_order_gets_a_line(waiting: Api, body: bytes, kind: str, said: str) -> None:
    answer = waiting.client.post("/api/jobs", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 422
    assert said in answer.json()["detail"]


@pytest.mark.slow
def test_models_without_frame_prediction_take_no_upload(waiting: Api, picture: Path) -> None:
    upload = waiting.upload(picture.name, picture.read_bytes()).json()
    assert "image: the model was not trained for frame prediction" in waiting.refusal(image=upload["id"])
    able = waiting.get("model")
    assert "not trained for frame prediction" in able["no_image"]
    assert "not trained for frame prediction" in able["no_video"]


def test_a_shape_that_is_not_possible_fails_with_its_reason(whole: Api) -> None:
    job = whole.ended(whole.submit(prompt="a cat", aspect="9:1"))
    assert job["state"] == "failed"
    assert job["problem"].startswith("aspect: no shape near 9:1 keeps the windows whole")
    assert "2:1" in whole.get("model")["aspects"]
    assert whole.get("model")["aspects"][0] == "1:1"


@pytest.mark.slow
def test_a_job_that_fails_by_a_fault_ends_alone(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = api(plain, tmp_path, start=False)
    decode, failures = Pipeline.decode, [RuntimeError("out of memory\nby far")]

    def failing(self: Pipeline, *arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return decode(self, *arguments)

    monkeypatch.setattr(Pipeline, "decode", failing)
    jobs = [served.submit(prompt="a cat", steps=1) for _ in range(2)]
    served.studio.start()
    first, second = map(served.ended, jobs)
    assert (first["state"], first["problem"]) == ("failed", "RuntimeError: out of memory")
    assert second["state"] == "done"


@pytest.mark.slow
def test_models_stay_loaded_until_others_take_their_place_or_they_are_trained_again(
    plain: Path, frames: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(plain, tmp_path / "project")
    loaded = Loaded("cpu", most=2)
    models = catalogue.Catalogue(root, [str(frames)])
    own = loaded.get(models.find(""), True)
    assert loaded.get(models.find(""), True) is own
    assert own.super_resolutions
    assert not loaded.get(models.find(""), False).super_resolutions
    loaded.get(models.find(str(frames)), True)
    assert len(loaded) == 2, "the one used longest ago is gone"
    again = loaded.get(models.find(""), True)
    assert again is not own
    shutil.copytree(frames / "models", tmp_path / "new")
    shutil.rmtree(root / "models")
    (tmp_path / "new").rename(root / "models")
    trained = loaded.get(models.find(""), True)
    assert trained.versions["base"] != again.versions["base"]


@pytest.mark.slow
def test_finished_videos_are_there_again_after_a_start(whole: Api, frames: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    first = api(frames, folder)
    video = first.made(prompt="a cat", steps=2)
    (folder / "others").mkdir()
    (folder / "20990101-000000-broken").mkdir()
    (folder / "20990101-000000-broken/video.mp4").touch()
    (folder / "20990101-000000-broken/result.json").write_text("{}")
    (folder / "half.123.tmp").mkdir()
    second = api(frames, folder)
    assert second.get("results") == first.get("results")
    (result,) = second.get("results")
    assert second.client.get(f"/api/results/{result['id']}/video").content == video
    part = second.client.get(f"/api/results/{result['id']}/video", headers={"Range": "bytes=0-99"})
    assert (part.status_code, part.content) == (206, video[:100])
    assert not (folder / "half.123.tmp").exists()
    for path in ("results/x", "results/x/video", "jobs/x", "jobs/x/preview", "uploads/x", "results/..%2Fx/video"):
        assert second.client.get(f"/api/{path}").status_code in (404, 422)


@pytest.mark.slow
def test_a_video_is_deleted_with_the_upload_that_nothing_else_needs(
    whole: Api, frames: Path, picture: Path, tmp_path: Path
) -> None:
    kept = api(frames, tmp_path / "results")
    uploads = [kept.upload(name, picture.read_bytes()).json()["id"] for name in ("one.png", "two.png", "three.png")]
    jobs = [kept.submit(prompt="a cat", steps=2, image=upload) for upload in (uploads[0], *uploads[:2])]
    first, second, third = (kept.ended(job)["id"] for job in jobs)
    assert kept.client.delete(f"/api/results/{first}").json()["id"] == first
    assert kept.client.delete(f"/api/results/{third}").status_code == 200
    for path in (f"results/{first}", f"results/{first}/video", f"uploads/{uploads[1]}"):
        assert kept.client.get(f"/api/{path}").status_code == 404
    assert kept.client.delete(f"/api/results/{first}").status_code == 404
    assert kept.get(f"uploads/{uploads[0]}")["name"] == "one.png", "the second video began with it too"
    assert kept.get(f"uploads/{uploads[2]}")["name"] == "three.png", "it may be for a video to come"
    again = api(frames, tmp_path / "results", start=False)
    assert [result["id"] for result in again.get("results")] == [second]
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"uploads", second}


def test_a_video_that_was_removed_by_hand_is_not_found_and_can_be_deleted(frames: Path, tmp_path: Path) -> None:
    kept = api(frames, tmp_path / "results")
    result = kept.ended(kept.submit(prompt="a cat", steps=1))["id"]
    shutil.rmtree(tmp_path / "results" / result)
    assert kept.client.get(f"/api/results/{result}/video").status_code == 404
    assert kept.client.delete(f"/api/results/{result}").status_code == 200
    assert kept.get("results") == []


def test_every_call_is_described_and_the_page_uses_no_other(waiting: Api) -> None:
    described = waiting.get("openapi.json")["paths"]
    assert all(call["description"] for calls in described.values() for call in calls.values())
    script = "".join(file.read_text() for file in SCRIPTS)
    used = {re.sub(r"\$\{.*?\}", "{}", path) for path in re.findall(r"[\"`](api/[^\"`?]*)", script)}
    assert used == {
        "api/models", "api/model", "api/limits", "api/jobs", "api/jobs/{}", "api/jobs/{}/preview", "api/results",
        "api/results/{}", "api/results/{}/video", "api/uploads", "api/uploads/{}",
    }  # fmt: skip
    assert {f"/{path}" for path in used} <= {re.sub(r"\{.*?\}", "{}", path) for path in described}
