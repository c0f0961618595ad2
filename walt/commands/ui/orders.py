"""What people ask ``walt ui`` for: one video each, in the words of the HTTP interface."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-z-]{1,80}$")]
"""Of jobs, results and uploads: nothing that could lead out of a folder."""


class Order(BaseModel):
    """One video to make. What is left out is as ``params.yaml`` says, as with ``walt sample``."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    model: str = Field(default="", max_length=500)
    """Address of the models: empty for the project's own, or one of those that ``GET /api/models`` lists."""
    prompt: str | None = Field(default=None, max_length=4000)
    """For models of text."""
    class_index: int | None = Field(default=None, ge=0)
    """For models of classes."""
    image: Id | None = None
    """An upload: the first frame."""
    video: Id | None = None
    """An upload: the video to go on from."""
    seed: int | None = Field(default=None, ge=0, lt=2**53)
    """Below what browsers round: a link would else ask for another video."""
    steps: int | None = Field(default=None, gt=0)
    guidance: float | None = Field(default=None, gt=0)
    """By prompt and given frames; 1 is none."""
    aspect: str | None = Field(default=None, max_length=20)
    """Another shape, ``width:height``."""
    seconds: float | None = Field(default=None, gt=0)
    """Least length; of a video that is gone on from, of what is added."""
    cascade: bool | None = None
    """Whether super-resolution follows."""
    group: Id | None = None
    """Videos of one group are shown side by side."""


class JobView(BaseModel):
    """A job, as it is now."""

    id: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    place: int | None
    """Among those that wait, from 1."""
    order: Order
    model_name: str
    doing: str
    """In words: loading the models, sampling, writing."""
    fraction: float
    """Of the evaluations of the models, from 0 to 1."""
    seconds_left: float | None
    """Of sampling; none while there is no rate yet."""
    previews: int
    """How many there were; the last is at ``/api/jobs/<id>/preview``."""
    notes: list[str]
    """Known as soon as its models are loaded, before it samples: what of the prompt the text encoder does not see."""
    problem: str | None
    """One line, of a job that failed."""


class ResultView(BaseModel):
    """A finished video, at ``/api/results/<id>/video``."""

    id: str
    order: Order
    """With the values that were used where none were given: the same order gives the same bytes."""
    model_name: str
    about: dict[str, object]
    """What is written into the video too: prompt, seed, all settings, digests of the models."""
    finished: str
    """Time, in UTC."""
    seconds: float
    """That it took to make."""
    notes: list[str] = []
    """As the job's."""


class UploadView(BaseModel):
    """An uploaded file that was found to be readable."""

    id: str
    name: str
    kind: Literal["image", "video"]
    width: int
    height: int
    seconds: float | None
    """Of a video."""


class ModelView(BaseModel):
    """What can be asked of some models."""

    address: str
    name: str
    conditioning: Literal["text", "class", "none"]
    num_classes: int | None
    no_image: str | None
    """Why they cannot begin with an image; none where they can."""
    no_video: str | None
    """Why they can neither go on from a video nor make one longer than ``seconds``."""
    width: int
    height: int
    seconds: float
    """Length of a video, where no other is asked for."""
    aspects: list[str]
    """Shapes that are possible, the trained one first."""
    super_resolution: bool
    """Whether there are models that could follow."""
    cascade: bool
    """Whether they do, where nothing is said."""
    seed: int
    steps: int
    max_steps: int
    guidance: float


class ModelName(BaseModel):
    """Models that can be chosen."""

    address: str
    name: str


class ModelList(BaseModel):
    """All that can be chosen."""

    models: list[ModelName]
    problem: str | None
    """Why the registry's are missing."""


class LimitsView(BaseModel):
    """What this server takes."""

    seconds: float
    """Longest video that is made."""
    upload_megabytes: float
    uploads_megabytes: float
    """Of all uploads together."""
    upload_seconds: float
    """Longest video that is gone on from."""
    waiting: int
    """Jobs that wait at the same time."""
