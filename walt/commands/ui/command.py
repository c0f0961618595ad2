"""The options of ``walt ui``; the work is in the files beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    models: Annotated[
        list[str] | None, typer.Option("--model", help="Another project's folder whose models are offered. Repeatable.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 7860,
    host: Annotated[
        str, typer.Option(help="Address to listen at; by default this machine alone can connect.")
    ] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A further name under which browsers may call it. Repeatable.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of results and uploads; by default samples/ui.")] = None,
    longest: Annotated[float, typer.Option(min=0.1, help="Longest video that is made, in seconds.")] = 30.0,
    upload_megabytes: Annotated[float, typer.Option(min=0.001, help="Largest upload.")] = 100.0,
    uploads_megabytes: Annotated[float, typer.Option(min=0.001, help="All uploads together.")] = 2000.0,
    upload_seconds: Annotated[float, typer.Option(min=0.1, help="Longest video that is gone on from.")] = 60.0,
    waiting: Annotated[int, typer.Option(min=1, help="Most requests that wait at the same time.")] = 20,
    loaded: Annotated[int, typer.Option(min=1, help="Sets of models that stay loaded on each device.")] = 2,
) -> None:
    """A page where people type prompts and watch the videos, and its HTTP interface, until Ctrl-C.

    Videos are those of `walt sample` for the same options, byte for byte, and are kept with their settings. There is no
    login: whoever can reach --host can use it.
    """
    # imports torch and FastAPI, which --help does not need
    from walt.commands.ui.serve import serve
    from walt.commands.ui.studio import Settings

    settings = Settings(
        seconds=longest,
        upload_megabytes=upload_megabytes,
        uploads_megabytes=uploads_megabytes,
        upload_seconds=upload_seconds,
        waiting=waiting,
        loaded=loaded,
    )
    serve(Path.cwd(), settings, host=host, port=port, out=out, allowed=allow_host or [], folders=models or [])
