"""One self-contained HTML page of the whole run: nothing is loaded from elsewhere, the videos are inside.

The page is ``report.html.jinja`` filled with what this module collects. The same artefacts give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from markupsafe import Markup

from walt.autoencoder.io import load_autoencoder
from walt.core.config import Section, load_section, read_yaml
from walt.core.digests import sha256_file
from walt.core.errors import StorageError
from walt.core.figures import PROTOCOL
from walt.core.paths import Paths
from walt.core.storage import read_json, write_bytes
from walt.core.transformers import TRANSFORMER_NAMES, TRANSFORMERS
from walt.data.captions import shown
from walt.data.clip_pixels import pixels
from walt.data.manifest import ManifestRow
from walt.data.partitions import PARTS_INDEX
from walt.evaluation import metric_names
from walt.ingest.config import DatasetConfig, Descriptor
from walt.media.images import Clip, png_bytes
from walt.media.mp4 import encode_clip
from walt.nn.pretrained import weights_digest
from walt.pages.charts import bands, loss_curves
from walt.pages.formats import counted, number, percent
from walt.pages.report_dataset import describe_dataset, survey
from walt.pages.stored_clips import StoredClips
from walt.pages.template import data_uri, render
from walt.project.report_config import ReportConfig
from walt.project.trained_transformers import trained_transformers
from walt.sampling.output import to_frames
from walt.sampling.samples import read_samples

STAGE = "report"
TEMPLATE = Path(__file__).with_name("report.html.jinja")
_TITLES = {"autoencoder": "Autoencoder", **{transformer.name: transformer.title for transformer in TRANSFORMERS}}
_LOSSES = ("loss", "video", "image")
"""Terms that are drawn: those on the scale of the whole loss, where they are not the whole of it."""
_RECONSTRUCTIONS = 4
_CRF = 14


class Config(Section):
    """What the registry declares for ``report``."""

    dataset: DatasetConfig
    report: ReportConfig


def run(config: Config, paths: Paths) -> dict[str, Any]:
    """Write ``results/report.html``. Raises StorageError or CorruptArtifactError for a missing or damaged input."""
    descriptor = load_section(paths.resolve(config.dataset.descriptor), Descriptor)
    if not paths.evaluation.is_file():
        raise StorageError(f"{paths.evaluation}: no such file")
    evaluation = read_json(paths.evaluation)
    figures = evaluation["figures"]
    manifest = survey(paths.manifest)
    clips = StoredClips(paths.clips)
    page = {
        "title": config.report.title,
        "descriptor": descriptor,
        "dataset": describe_dataset(manifest, paths.rejects),
        "clips": show_clips(manifest.spread(config.report.clips), clips),
        "models": [describe_model(name, folder) for name, folder in _models(paths).items()],
        "reconstructions": show_reconstructions(manifest.spread_held_out(_RECONSTRUCTIONS), clips, paths),
        "samples": show_samples(paths, evaluation, config.report.samples),
        "metrics": {name: value for name, value in evaluation["metrics"].items() if "/band_" not in name},
        "figures": {name: shown_figure(name, figure) for name, figure in figures.items()},
        "protocol": next(filter(None, (figure["conditions"].get(PROTOCOL) for figure in figures.values())), ""),
        "deviations": any(figure.get("deviation") is not None for figure in figures.values()),
        "adherence": adherence_table(evaluation["metrics"]),
        "bands": band_chart(evaluation["metrics"]),
        "remarks": list(remarks(evaluation["details"])),
        "digests": digests(paths),
        "params": read_params(paths),
    }
    page["headline"] = headline(page)
    html = render(TEMPLATE, page)
    write_bytes(paths.report, html.encode())
    return {"report": str(paths.report.relative_to(paths.root)), "kilobytes": len(html) // 1024}


def headline(page: dict[str, Any]) -> list[dict[str, str]]:
    """The key figures of the row at the top."""
    metrics = page["metrics"]
    figures = [{"value": number(page["dataset"]["Clips"]), "label": "clips, training and held out"}]
    figures += [
        {"value": percent(metrics[name]), "label": label}
        for name, label in (
            (metric_names.adherence("colour"), "of the videos have the colour of their prompt"),
            (metric_names.adherence("shape"), "have the shape of their prompt"),
            (metric_names.adherence("direction"), "move in the direction of their prompt"),
        )
        if name in metrics
    ]
    psnr = [
        value for model in page["models"] for name, value in model["metrics"].items() if name.startswith("psnr/video")
    ]
    if psnr:
        figures.append({"value": f"{psnr[-1]:.1f} dB", "label": "autoencoder PSNR, held-out video"})
    distance = [(name, value) for name, value in metrics.items() if name.startswith(("frechet", "fvd", "fid"))]
    figures += [{"value": number(value), "label": distance_label(name)} for name, value in distance]
    parameters = sum(model["metrics"].get("parameters", 0) for model in page["models"])
    if parameters:
        figures.append({"value": f"{parameters / 1e6:.1f} M", "label": "weights in all transformers"})
    return figures


def distance_label(name: str) -> str:
    """A Frechet distance with its feature extractor in its name."""
    known = {"fvd": "FVD (I3D)", "fid": "FID (Inception)"}
    return known.get(name) or f"Fréchet distance ({name.split('/')[1].replace('_', ' ')} features)"


def _form_of(name: str) -> Callable[[float], str]:
    return percent if metric_names.is_a_share(name) else number


def shown_figure(name: str, figure: dict[str, Any]) -> dict[str, str]:
    """A figure of the evaluation in words: value, interval (empty where one clip is all there was), deviation over
    seeds or splits, clips that it was taken of, and which values are better."""
    low, high, deviation, form = figure["low"], figure["high"], figure.get("deviation"), _form_of(name)
    return {
        "value": form(figure["value"]),
        "interval": "" if low is None or high is None else f"{form(low)} to {form(high)}",
        "deviation": "" if deviation is None else f"{form(deviation)} over {figure['parts']}",
        "clips": counted(figure["items"], figure.get("independent")),
        "better": metric_names.better(name),
    }


def show_clips(rows: Sequence[ManifestRow], clips: StoredClips) -> list[dict[str, Any]]:
    """Clips as media with their captions."""
    stored = dict(clips.read(rows))
    return [
        {"media": media(stored[row.key]), "caption": shown(row.captions), "split": row.split.replace("_", " ")}
        for row in rows
    ]


def _models(paths: Paths) -> dict[str, Path]:
    """The folders of the models that were trained here."""
    return {"autoencoder": paths.autoencoder, **trained_transformers(paths)}


def describe_model(name: str, folder: Path) -> dict[str, Any]:
    """Title, figures and loss curves of one training."""
    history = read_json(folder / "history.json")
    curves = {key: _series(history, key) for key in _LOSSES if any(key in entry for entry in history)}
    curves = {key: series for key, series in curves.items() if key == "loss" or series != curves.get("loss")}
    metrics = read_json(folder / "metrics.json")
    return {
        "title": _TITLES[name],
        "metrics": metrics,
        "shown": {key: f"{number(value)}{' dB' if key.startswith('psnr/') else ''}" for key, value in metrics.items()},
        "steps": history[-1]["step"] if history else 0,
        "chart": Markup(loss_curves(name.replace("_", "-"), curves)) if curves else None,
    }


def _series(history: Sequence[dict[str, float]], key: str) -> tuple[list[float], list[float]]:
    points = [(entry["step"], entry[key]) for entry in history if key in entry]
    return [step for step, _ in points], [value for _, value in points]


@torch.inference_mode()
def show_reconstructions(rows: Sequence[ManifestRow], clips: StoredClips, paths: Paths) -> list[dict[str, Any]]:
    """Clips before and after the autoencoder."""
    model, _ = load_autoencoder(paths.autoencoder)
    stored = dict(clips.read(rows))
    videos = []
    for row in rows:
        clip = stored[row.key]
        video = pixels([clip])
        result = model.decode(model.encode(video)[0]).clamp(-1.0, 1.0)
        error = max(float((result - video).square().mean()), 1e-12)
        videos.append(
            {
                "original": media(clip),
                "reconstruction": media(to_frames(result[0])),
                "psnr": 10 * math.log10(4 / error),
                "split": row.split.replace("_", " "),
            }
        )
    return videos


def show_samples(paths: Paths, evaluation: dict[str, Any], count: int) -> list[dict[str, Any]]:
    """The first ``count`` generated videos, their prompts, and whether they show what was asked for."""
    checks = evaluation["details"]["adherence"]
    return [
        {
            "prompt": sample.prompt,
            "begins_as": sample.begins_as,
            "final": _video_uri(sample.path.read_bytes()),
            "base": _video_uri(sample.base_path.read_bytes()) if sample.base_path else None,
            "check": checks.get("videos", {}).get(sample.path.name),
            "base_check": checks.get("base", {}).get(sample.path.name),
        }
        for sample in read_samples(paths.samples)[:count]
    ]


def remarks(details: dict[str, Any], name: str = "") -> Iterator[str]:
    """What the evaluation could not measure, or only with a caveat, and why."""
    for key, value in details.items():
        if key in ("left_out", "remark"):
            yield f"{name.strip().replace('_', ' ')}: {value}."
        elif isinstance(value, dict):
            yield from remarks(value, f"{name} {key}")


def adherence_table(metrics: dict[str, float]) -> dict[str, Any] | None:
    """Rates of base and final videos side by side; None where adherence was not measured."""
    columns = {"base model": True, "final video": False}
    columns = {title: base for title, base in columns.items() if metric_names.adherence("colour", base) in metrics}
    labels = {
        "colour": "colour",
        "shape": "shape",
        "direction": "direction",
        "both": "colour and direction",
        "all": "colour, shape and direction",
    }
    names = {what: [metric_names.adherence(what, base) for base in columns.values()] for what in labels}
    rows = [
        {"what": labels[what], "shares": [(metrics[name], name) for name in of_columns]}
        for what, of_columns in names.items()
        if all(name in metrics for name in of_columns)
    ]
    return {"columns": list(columns), "rows": rows} if columns else None


def band_chart(metrics: dict[str, float]) -> Markup | None:
    """Held-out loss by band of diffusion steps, where it was measured."""
    groups = {
        _TITLES[name]: [
            value
            for key, value in sorted(metrics.items())
            if metric_names.is_of_a_band(key) and key.startswith(f"{metric_names.held_out_loss(name)}/")
        ]
        for name in TRANSFORMER_NAMES
    }
    groups = {label: values for label, values in groups.items() if values}
    return Markup(bands("held-out loss", groups)) if groups else None


def digests(paths: Paths) -> list[tuple[str, str, str]]:
    """(what, kind of digest, digest) of models and data, and of what DVC recorded for the stages before this one."""
    models = _models(paths).items()
    found = [(f"models: {_TITLES[name]}", "sha256", weights_digest(folder)) for name, folder in models]
    found.append((f"{paths.manifest.name}, by its index", "sha256", sha256_file(paths.manifest / PARTS_INDEX)))
    found += [(path.name, "sha256", sha256_file(path)) for path in (paths.rejects, paths.evaluation)]
    lock = paths.root / "dvc.lock"
    stages = (read_yaml(lock).get("stages") or {}) if lock.is_file() else {}
    for name, made in sorted(stages.items()):
        if name != STAGE:  # its own entry describes the previous page
            found += [(out["path"], "DVC", str(out.get("md5", ""))) for out in made.get("outs", [])]
    return found


def read_params(paths: Paths) -> str:
    """The text of ``params.yaml``; empty where the stage runs without one."""
    path = paths.root / "params.yaml"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def media(clip: Clip, fps: float = 8.0) -> dict[str, str]:
    """A clip as something an HTML page can hold: kind (``video`` or ``image``) and a data URI."""
    if len(clip) == 1:
        return {"kind": "image", "uri": data_uri("image/png", png_bytes(clip[0]))}
    return _video_uri(encode_clip(clip, fps, _CRF, "yuv420p"))


def _video_uri(data: bytes) -> dict[str, str]:
    return {"kind": "video", "uri": data_uri("video/mp4", data)}
