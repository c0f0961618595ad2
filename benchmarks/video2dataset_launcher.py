"""Runs video2dataset 1.3.0 in an environment of its own; called by ``benchmarks.ingest``, with its settings as JSON.

What cutting clips does not use (torch, transformers, opencv and the like) is replaced by empty modules, so that it
needs neither the versions it pins nor the time to import them. Two of its faults are fixed, with which it stops at
the first sample: subsamplers without ``encode_formats``, and one that changes the dictionary that is being walked.
"""

import json
import sys
from typing import Any
from unittest.mock import MagicMock

for name in ("video2dataset.dataloader", "torch", "torch.nn", "wandb", "cv2", "scenedetect", "einops", "transformers",
             "transformers.modeling_outputs"):  # fmt: skip
    sys.modules[name] = MagicMock(name=name)

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from video2dataset import video2dataset  # noqa: E402
from video2dataset.subsamplers import FrameSubsampler, ResolutionSubsampler  # noqa: E402

ResolutionSubsampler.encode_formats = FrameSubsampler.encode_formats = {"video": "mp4"}
_theirs = FrameSubsampler.__call__


def _without_popping(self: Any, streams: dict[str, Any], metadata: Any = None) -> tuple[dict[str, Any], Any, Any]:
    made, metadata, problem = _theirs(self, dict(streams), metadata)
    streams.update(made or {})
    return streams, metadata, problem


FrameSubsampler.__call__ = _without_popping


def main(spec: dict[str, Any]) -> None:
    """Cut ``clips`` out of all ``files`` into tars under ``folder``/out."""
    files, processes = spec["files"], spec["processes"]
    columns = {"url": files, "caption": ["a video"] * len(files), "clips": [spec["clips"]] * len(files)}
    pq.write_table(pa.table(columns), f"{spec['folder']}/list.parquet")
    config = {
        "subsampling": {
            "ClippingSubsampler": {"args": {"precision": "exact"}},
            "ResolutionSubsampler": {"args": {"video_size": spec["side"], "resize_mode": ["scale", "crop"]}},
            "FrameSubsampler": {"args": {"frame_rate": spec["fps"]}},
        },
        "reading": {
            "yt_args": {"download_size": 360, "download_audio_rate": 44100, "yt_metadata_args": None},
            "timeout": 60,
            "sampler": None,
        },
        "storage": {
            "number_sample_per_shard": -(-len(files) // processes),
            "oom_shard_count": 5,
            "captions_are_subtitles": False,
        },
        "distribution": {
            "processes_count": processes,
            "thread_count": 1,
            "subjob_size": 1000,
            "distributor": "multiprocessing",
        },
    }
    video2dataset(
        url_list=f"{spec['folder']}/list.parquet", output_folder=f"{spec['folder']}/out", output_format="webdataset",
        input_format="parquet", encode_formats={"video": "mp4"}, url_col="url", caption_col="caption",
        clip_col="clips", config=config,
    )  # fmt: skip


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
