"""The processors of vision-language models, which turn pictures and text into what the models are given.

Those of several families (Qwen-VL, SmolVLM, LLaVA-OneVision) have a part for videos, which transformers builds whether
or not there are any, and which needs torchvision. Frames are given as pictures here, so they are loaded without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import transformers
from transformers import AutoConfig, AutoProcessor
from transformers.models.auto import processing_auto

_VIDEOS = "video_processor"


def load_processor(source: str, local_files_only: bool = False) -> Any:
    """The processor in a folder or of a hub name, without its part for videos where that cannot be built.

    Raises:
        OSError, ValueError, KeyError, ImportError: as transformers.
    """
    automatic: Any = AutoProcessor
    try:
        return automatic.from_pretrained(source, local_files_only=local_files_only)
    except ImportError:
        known: Any = processing_auto
        configuration = AutoConfig.from_pretrained(source, local_files_only=local_files_only)
        name = known.PROCESSOR_MAPPING_NAMES.get(configuration.model_type)
        kind = None if name is None else getattr(transformers, name)
        if kind is None or _VIDEOS not in kind.get_attributes():
            raise
        return _without_videos(kind).from_pretrained(source, local_files_only=local_files_only)


class _NoVideos:
    """In the place of a part for videos: without any setting, for processors that look at them for each request."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


def _without_videos(kind: Any) -> Any:
    """A processor's class whose objects have no part for videos."""
    names: Sequence[str] = kind.get_attributes()

    class Pictures(kind):  # type: ignore[misc]
        """As ``kind``, for pictures and text."""

        video_processor = _NoVideos()

        @classmethod
        def get_attributes(cls) -> list[str]:
            return [name for name in names if name != _VIDEOS]

        @classmethod
        def from_args_and_dict(cls, args: Sequence[Any], processor_dict: dict[str, Any], **settings: Any) -> Any:
            given = {_VIDEOS: None, **dict(zip(cls.get_attributes(), args, strict=True))}
            return super().from_args_and_dict([given[name] for name in names], processor_dict, **settings)

    Pictures.__name__ = kind.__name__  # transformers looks up what a class is by its name
    return Pictures
