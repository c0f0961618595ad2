"""``walt sample``: without options the stage; the work of those with options is in ``generate.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from walt.commands.run_stage import run_and_show


def command(
    model: Annotated[
        str | None, typer.Option(help="Another project's folder, or a release: walt-base@champion, base/3.")
    ] = None,
    prompt: Annotated[list[str] | None, typer.Option(help="What a video is to show. Repeatable.")] = None,
    prompts_file: Annotated[Path | None, typer.Option(help="A file with one prompt per line.")] = None,
    classes: Annotated[
        list[int] | None, typer.Option("--class", help="A class, for models that have classes. Repeatable.")
    ] = None,
    image: Annotated[Path | None, typer.Option(help="The first frame.")] = None,
    continued: Annotated[Path | None, typer.Option("--continue", help="A video to continue.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Length in seconds; with --continue, of what is added.")] = None,
    aspect: Annotated[str | None, typer.Option(metavar="W:H", help="Another shape, such as 9:16.")] = None,
    seed: Annotated[int | None, typer.Option(help="By default that of params.yaml.")] = None,
    count: Annotated[int | None, typer.Option(help="Videos per prompt, with consecutive seeds.")] = None,
    stills: Annotated[
        bool, typer.Option("--stills", help="Single pictures, of models that were trained jointly with images.")
    ] = False,
    steps: Annotated[int | None, typer.Option(help="Sampling steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Guidance by prompt and given frames; 1 is none.")] = None,
    frame_guidance: Annotated[
        float | None, typer.Option(help="Guidance by given frames, where it should differ.")
    ] = None,
    guidance_schedule: Annotated[
        str | None, typer.Option(help="constant, or power_cosine: growing from 1 while the noise falls.")
    ] = None,
    guidance_rescale: Annotated[float | None, typer.Option(help="0 to 1: against overexposed pictures.")] = None,
    cascade: Annotated[bool | None, typer.Option("--cascade/--no-cascade", help="Super-resolution or not.")] = None,
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="mp4, gif or grid. Repeatable; by default mp4 and grid.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder; by default samples.")] = None,
) -> None:
    """Prompts -> videos: base, then super-resolution; mp4 and frame grids.

    That is the stage. With any option it makes what you ask for instead, into a folder of its own; --image, --continue
    and long videos need models that were trained with frame_prediction.
    """
    # imports torch, which --help does not need
    from walt.commands.sample.generate import Request, run

    request = Request(
        model=model, prompts=tuple(prompt or ()), prompts_file=prompts_file, classes=tuple(classes or ()), image=image,
        continued=continued, seconds=seconds, aspect=aspect, seed=seed, count=count, steps=steps, guidance=guidance,
        frame_guidance=frame_guidance, guidance_schedule=guidance_schedule, guidance_rescale=guidance_rescale,
        cascade=cascade, stills=stills, formats=tuple(formats or ()), out=out,
    )  # fmt: skip
    if request == Request():
        run_and_show("sample")
    else:
        run(request, Path.cwd())
