"""The ``walt`` command: one subcommand a stage, made from the registry, and a few for the project itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from walt.core import environment
from walt.core.errors import ConfigurationError, StorageError, WaltError
from walt.core.log import console, info
from walt.core.paths import ARTIFACTS, Paths
from walt.project.registry import STAGES, Stage, get_stage

app = typer.Typer(
    help="W.A.L.T: from a pile of videos to a trained text-to-video model, reproducibly.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


def main() -> None:
    """Entry point: a ``WaltError`` is one line on standard error and its own exit status."""
    environment.set_defaults()
    try:
        app()
    except WaltError as error:
        print(f"walt: {error}", file=sys.stderr)
        sys.exit(error.exit_status)


def _stage_command(stage: Stage) -> Callable[[], None]:
    def command() -> None:
        from walt.project.runner import run_stage

        _print_figures(stage, run_stage(stage, Path.cwd()))

    command.__doc__ = stage.summary
    return command


def _print_figures(stage: Stage, figures: dict[str, object]) -> None:
    made = ", ".join(ARTIFACTS[name] for name in stage.outputs)
    table = Table(title=f"{stage.name} -> {made}", show_header=False, title_justify="left", box=None)
    for name, value in figures.items():
        table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    console.print(table)


def _sample(
    prompt: Annotated[list[str] | None, typer.Option(help="What a video is to show. Repeatable.")] = None,
    prompts_file: Annotated[Path | None, typer.Option(help="A file with a prompt a line.")] = None,
    classes: Annotated[list[int] | None, typer.Option("--class", help="Where a model has classes. Repeatable.")] = None,
    image: Annotated[Path | None, typer.Option(help="The first frame.")] = None,
    continued: Annotated[Path | None, typer.Option("--continue", help="A video to go on from.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Length; of what is added, with --continue.")] = None,
    aspect: Annotated[str | None, typer.Option(metavar="W:H", help="Another shape, such as 9:16.")] = None,
    seed: Annotated[int | None, typer.Option(help="By default that of params.yaml.")] = None,
    count: Annotated[int | None, typer.Option(help="Videos a prompt, with seeds one after the other.")] = None,
    steps: Annotated[int | None, typer.Option(help="Sampling steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="By prompt and given frames; 1 is none.")] = None,
    frame_guidance: Annotated[float | None, typer.Option(help="By given frames, where it shall differ.")] = None,
    guidance_rescale: Annotated[float | None, typer.Option(help="0 to 1: against overexposed pictures.")] = None,
    cascade: Annotated[bool | None, typer.Option("--cascade/--no-cascade", help="Super-resolution or not.")] = None,
    formats: Annotated[
        list[str] | None, typer.Option("--format", help="mp4, gif or grid. Repeatable; by default mp4 and grid.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder; by default samples.")] = None,
) -> None:
    from walt.commands.sample import Request, run
    from walt.project.runner import run_stage

    request = Request(
        prompts=tuple(prompt or ()), prompts_file=prompts_file, classes=tuple(classes or ()), image=image,
        continued=continued, seconds=seconds, aspect=aspect, seed=seed, count=count, steps=steps, guidance=guidance,
        frame_guidance=frame_guidance, guidance_rescale=guidance_rescale, cascade=cascade,
        formats=tuple(formats or ()), out=out,
    )  # fmt: skip
    if request == Request():
        _print_figures(get_stage("sample"), run_stage(get_stage("sample"), Path.cwd()))
    else:
        run(request, Path.cwd())


_sample.__doc__ = f"""{get_stage("sample").summary}

That is the stage. With any option it makes what you ask for instead, into a folder of its own; --image, --continue and
long videos need models that were trained with frame_prediction."""

for _stage in STAGES:
    app.command(_stage.name, rich_help_panel="Stages")(_sample if _stage.name == "sample" else _stage_command(_stage))


@app.command(rich_help_panel="Project")
def init(
    recipe: Annotated[
        str | None,
        typer.Option(help="Parameter file to start from: a name in walt/recipes; demo where there is no params.yaml."),
    ] = None,
    videos: Annotated[
        str | None,
        typer.Option(help="Your own: a folder, a glob, a table that lists files, or one file; here or under s3://."),
    ] = None,
    captions: Annotated[
        str | None,
        typer.Option(help="Table of captions, relative to the folder, else to here; by default its captions.csv."),
    ] = None,
    path_column: Annotated[str, typer.Option(help="Column with the file's path or URL.")] = "path",
    caption_column: Annotated[str, typer.Option(help="Column with the caption.")] = "caption",
    name: Annotated[str | None, typer.Option(help="Name of the dataset; by default the folder's.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a params.yaml that is there.")] = False,
) -> None:
    """Write params.yaml from a recipe; with --videos, describe your own videos and point at them."""
    from walt.core.storage import write_bytes
    from walt.project.dvc_yaml import ONLY_IN_A_CLONE, PIPELINE_FILE
    from walt.project.point_at_dataset import own_dataset, point_at_dataset
    from walt.project.recipes import check_new_params

    root = Path.cwd()
    own = None if videos is None else own_dataset(root, videos, captions, path_column, caption_column, name)
    start = None
    if recipe is not None or force or not (root / "params.yaml").is_file():
        start = check_new_params(recipe or "demo", root / "params.yaml", force)
    else:
        info("params.yaml is kept; --recipe NAME --force starts from another")
    if own is not None:
        info(f"wrote {point_at_dataset(root, *own, start)}; params.yaml now points at it and {videos}")
    elif start is not None:
        write_bytes(root / "params.yaml", start)
    if (root / PIPELINE_FILE).is_file():
        info("next: `walt prepare`, then `dvc repro` or `python -m flows.walt`")
    else:
        info(f"next: `walt prepare`, then `walt ingest`, or `walt inspect` first ({ONLY_IN_A_CLONE})")


@app.command(rich_help_panel="Project")
def prepare() -> None:
    """Make the dataset's source files if they are generated, else check that they are there; find hidden edits."""
    from walt.commands.source_edits import tell_dvc
    from walt.ingest.prepare import prepare as prepare_dataset
    from walt.project.dataset_fit import check_dataset
    from walt.project.runner import load_params

    root = Path.cwd()
    params = load_params(root)
    check_dataset(params, root)
    info(prepare_dataset(params.dataset, params.compute, Paths(root)))
    for line in tell_dvc(params.dataset, Paths(root)):
        info(line)


@app.command(rich_help_panel="Project")
def check() -> None:
    """Check params.yaml, its descriptor and dvc.yaml without doing any work."""
    from walt.project import dvc_yaml as pipeline
    from walt.project.dataset_fit import check_dataset
    from walt.project.runner import load_params

    root = Path.cwd()
    params = load_params(root)
    descriptor = check_dataset(params, root)
    pipeline.check(root)
    info(f"params.yaml, {params.dataset.descriptor} ({descriptor.name}) and dvc.yaml are in order")


@app.command(rich_help_panel="Project")
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check that everything is here that the stages need, and say what to do where it is not; status 4 if so."""
    from walt.commands.doctor import examine

    checks = examine(Path.cwd())
    if as_json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        table = Table(box=None, show_header=False)
        for check in checks:
            colour = {"ok": "green", "warn": "yellow", "fail": "red"}[check.status]
            advice = f"\n-> {check.advice}" if check.advice else ""
            table.add_row(f"[{colour}]{check.status}[/]", check.name, escape(check.found + advice))
        console.print(table, soft_wrap=False)
    failed = [check.name for check in checks if check.status == "fail"]
    if failed:
        raise StorageError(f"doctor: {', '.join(failed)}")


@app.command(rich_help_panel="Project")
def describe(
    recipe: Annotated[str | None, typer.Option(help="A recipe: a name in walt/recipes.")] = None,
    params: Annotated[Path | None, typer.Option(help="A parameter file; by default params.yaml.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document with plain numbers.")] = False,
) -> None:
    """Show every model's size by part, and what a sample costs: FLOPs, tokens, activation memory. Computes nothing."""
    from walt.commands.describe import describe as describe_models
    from walt.commands.describe import tables
    from walt.core.config import load_section
    from walt.project.params import Params
    from walt.project.recipes import recipe_path
    from walt.project.runner import PARAMS_FILE

    if recipe is not None and params is not None:
        raise ConfigurationError("--recipe and --params both say what to describe; give one")
    file = recipe_path(recipe) if recipe is not None else params or Path(PARAMS_FILE)
    document = describe_models(load_section(file, Params), recipe or str(file), Path.cwd())
    if as_json:
        print(json.dumps(document, indent=2))
        return
    for table in tables(document):
        console.print(table)


@app.command(rich_help_panel="Project")
def inspect(
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="A descriptor: its name in datasets, or its path; by default that of params.yaml. Or files: a "
            "folder, a glob, a list, a video or an image."
        ),
    ] = None,
    path: Annotated[
        str | None, typer.Option(help="Folder of its files, or s3://; by default that of params.yaml.")
    ] = None,
    clips: Annotated[int, typer.Option(min=0, help="Clips on the contact sheet.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Which clips and headers are drawn.")] = 0,
    sample: Annotated[
        int | None, typer.Option(min=0, help="Files whose headers are read; by default 200, and none after ingest.")
    ] = None,
    path_column: Annotated[
        str | None, typer.Option(help="Of a list, or of captions.csv, without a descriptor; by default path.")
    ] = None,
    caption_column: Annotated[str | None, typer.Option(help="The same; by default caption.")] = None,
    rejects: Annotated[str | None, typer.Option(metavar="CODE", help="List the inputs refused with this code.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the page and the pictures.")] = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document with plain numbers.")] = False,
) -> None:
    """Show what a dataset holds: counts, durations, reject reasons, a contact sheet. Before ingest, of its files."""
    from walt.commands.inspect.command import Request, rejected, run
    from walt.commands.inspect.tables import headline, rejects_table, tables, to_rich

    request = Request(dataset, path, clips, seed, sample, out, as_json, path_column, caption_column)
    if rejects is not None:
        found = rejected(request, rejects, Path.cwd())
        if as_json:
            print(json.dumps(found, indent=2))
        else:
            console.print(to_rich(rejects_table(rejects, found)), soft_wrap=False)
        return
    document = run(request, Path.cwd())
    if as_json:
        print(json.dumps(document, indent=2))
        return
    info(f"{document['dataset']['name']}: " + "; ".join(f"{value} {label}" for value, label in headline(document)))
    for table in tables(document):
        console.print(to_rich(table), soft_wrap=False)
    info("wrote " + ", ".join(document["files"].values()))


@app.command(rich_help_panel="Project")
def reconstruct(
    files: Annotated[list[Path], typer.Argument(help="Videos of any length, and images.")],
    autoencoder: Annotated[Path | None, typer.Option(help="Its folder; by default models/autoencoder.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the videos.")] = Path("results/reconstructions"),
    fps: Annotated[float | None, typer.Option(help="Frames a second; by default the file's own.")] = None,
    size: Annotated[
        str | None, typer.Option(metavar="HxW", help="By default the file's own, at most 512 pixels a side.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Only so much from the start of each file.")] = None,
    perceptual: Annotated[
        Path | None, typer.Option(help="Folder of an image classifier: adds the distance of its logits.")
    ] = None,
    i3d: Annotated[Path | None, typer.Option(help="TorchScript file of the I3D network: adds the FVD.")] = None,
    i3d_sha256: Annotated[str | None, typer.Option("--i3d-sha256", help="Its SHA-256, in hex.")] = None,
) -> None:
    """Put files through the autoencoder and back: both side by side as mp4, and PSNR, SSIM and compression."""
    from walt.commands.reconstruct import Request, parse_size, run

    folder = Paths(Path.cwd()).autoencoder if autoencoder is None else autoencoder
    wanted = None if size is None else parse_size(size)
    run(Request(files, folder, out, fps, wanted, seconds, perceptual, i3d, i3d_sha256))


@app.command(rich_help_panel="Project")
def fetch(
    url: Annotated[str | None, typer.Argument(help="Such as s3://bucket/prefix; by default ingest.output.")] = None,
) -> None:
    """Bring here, verified, the clips and tables that an ingest with ingest.output published."""
    from walt.commands.fetch import run

    run(url, Path.cwd())


@app.command("pipeline", rich_help_panel="Project")
def pipeline_command(
    write: Annotated[bool, typer.Option("--write", help="Bring dvc.yaml up to date instead of printing it.")] = False,
) -> None:
    """Print dvc.yaml as it follows from the registry, or write it."""
    from walt.project import dvc_yaml as pipeline

    if not write:
        print(pipeline.render(), end="")
    elif pipeline.write(Path.cwd()):
        info("dvc.yaml was brought up to date")


@app.command(rich_help_panel="Project")
def promote() -> None:
    """Give the alias to the newest base model, if it is better by the rule in params.yaml's promotion section."""
    from walt.project.runner import load_params
    from walt.tracking.models import promote_newest

    root = Path.cwd()
    params = load_params(root)
    info(promote_newest(params.tracking, params.promotion, root))


@app.command("mlflow", rich_help_panel="Project")
def mlflow_page(port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000) -> None:
    """Show runs, metrics, sample videos and model versions in MLflow's page, until Ctrl-C."""
    from walt.project.runner import load_params
    from walt.tracking.page import show_page

    root = Path.cwd()
    show_page(load_params(root).tracking, root, port)


if __name__ == "__main__":
    main()
