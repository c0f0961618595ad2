"""The descriptors of published datasets read the miniatures of their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.layout_folder import write
from tests.support.miniatures_of_datasets import OF_DATASETS
from walt.core.config import load_section
from walt.ingest.config import Descriptor
from walt.ingest.sources.adapters import list_items

REPOSITORY = Path(__file__).resolve().parents[3]


PUBLISHED = {
    "openvid1m": ("29 OpenVid-1M", {"videos/": "video/"}),
    "koala36m": ("31 Koala-36M", {}),
    "internvid": ("32 InternVid", {"A.mp4": "videos/A.mp4"}),
    "vidgen1m": ("34 VidGen-1M", {"N-Scene": "videos/N-Scene", "VidGen.json": "VidGen_1M_video_caption.json"}),
    "sharegpt4video": ("35 ShareGPT4Video", {"p/a.mp4": "videos/p/a.mp4", "s.jsonl": "sharegpt4video_40k.jsonl"}),
    "miradata": ("30 MiraData", {}),
    "msrvtt": ("38 MSR-VTT", {}),
    "vatex": ("39 VATEX", {"Q_0": "videos/Q_0", "vatex.json": "vatex_training_v1.0.json"}),
    "something2": ("40 Something-Something v2", {"v/": "20bn-something-something-v2/"}),
    "hdvila100m": ("33 HD-VILA-100M", {"A.mp4": "videos/A.mp4"}),
    "vript": ("36 Vript", {}),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_descriptor_of_a_published_dataset_reads_its_layout(tmp_path: Path, name: str) -> None:
    key, moved = PUBLISHED[name]
    layout = OF_DATASETS[key]
    files = {}
    for place, content in layout.files.items():
        for old, new in moved.items():
            place = new + place.removeprefix(old) if place.startswith(old) else place
        files[place] = content
    write(tmp_path / "d", files)
    descriptor = load_section(REPOSITORY / f"datasets/{name}.yaml", Descriptor)
    found = list_items(descriptor, tmp_path, "d", 512)
    assert [refusal for refusal in found.refusals if refusal.code != "missing"] == []
    expected = {"yt": ["a cat"], "other": ["a dog"]} if name == "koala36m" else layout.captions
    assert {item.source: [caption.text for caption in item.captions] for item in found.items} == expected
    if name in ("msrvtt", "something2"):
        assert {item.source: item.split for item in found.items} == layout.splits
