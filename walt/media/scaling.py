"""Turns decoded frames into upright RGB pictures of the wanted sizes.

One pass of swscale crops and resizes a frame as it was coded, bicubic with a kernel that grows as the picture shrinks
(Catmull-Rom, the same as Pillow's bicubic); colours are converted to RGB at the wanted size, where that costs least.
Brightness above the reference white of HDR (PQ, HLG) is rolled off instead of clipped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, cast

import av
import av.filter
import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.frame import VideoFrame
from av.video.reformatter import ColorTrc
from numpy.typing import NDArray

from walt.core.sizes import Size
from walt.media.cropping import Cropping
from walt.media.images import Picture, SourceError, centre_box, compose_on_black, to_pixels

_SCALE = "param0=0:param1=0.5:flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp"
_PLANAR = frozenset({"yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuv411p", "yuv410p"})
_MATRICES = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
_NOT_CONVERTED = {
    8: "YCgCo", 11: "SMPTE 2085", 12: "chroma-derived", 13: "chroma-derived", 14: "ICtCp", 15: "IPT-PQ-C2",
    16: "YCgCo-R", 17: "YCgCo-R",
}  # fmt: skip
"""Codings of colour (matrix coefficients of ITU-T H.273) that swscale does not know: converted as any other, their
colours would be wrong."""
_HDR = frozenset({int(ColorTrc.SMPTE2084), int(ColorTrc.ARIB_STD_B67)})
_REFERENCE_WHITE = 203.0
"""Diffuse white of HDR in cd/m2 (ITU-R BT.2408)."""
_KNEE = 0.75
"""Fraction of the reference white up to which HDR is unchanged."""
_TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
"""Linear BT.2020 primaries to BT.709's (ITU-R BT.2087)."""


def _unlisted(cls: type[Type], value: Any) -> Type:
    """A member for a kind of side data that FFmpeg knows and PyAV does not list, such as EXIF."""
    member = object.__new__(cls)
    member._name_, member._value_ = f"UNLISTED_{value}", value
    return member


# PyAV reads all of a frame's side data at once, and otherwise raises ValueError at the first kind it does not list
setattr(Type, "_missing_", classmethod(_unlisted))  # noqa: B010


class Scaler:
    """A function from a VideoFrame to {size: upright picture (height, width, 3)}.

    The crop is the largest centred box with the size's aspect, in whole stored pixels, aligned to the chroma samples,
    so it is up to half a chroma sample off the exact centre.
    """

    def __init__(self, sizes: Sequence[Size], pixel_aspect: float, cropping: Cropping | None = None) -> None:
        self._sizes, self._pixel_aspect, self._cropping = sizes, pixel_aspect, cropping
        self._graphs: dict[Size, av.filter.Graph] = {}
        self._made_for: tuple[object, ...] = ()

    def __call__(self, frame: VideoFrame) -> dict[Size, Picture]:
        """Convert one frame."""
        transposed, flipped, mirrored = orientation(frame)
        frame, is_hdr = without_alpha(frame), frame.color_trc in _HDR
        kind = (frame.width, frame.height, frame.format.name, frame.colorspace, frame.color_range, transposed, is_hdr)
        if kind != self._made_for:
            self._graphs = {
                size: self._graph(frame, size[::-1] if transposed else size, is_hdr) for size in self._sizes
            }
            self._made_for = kind
        pictures = {}
        for size, graph in self._graphs.items():
            graph.vpush(frame)
            pixels = graph.vpull().to_ndarray()
            picture: Picture = (
                tone_map(np.asarray(pixels, np.uint16), frame.color_trc) if is_hdr else np.asarray(pixels, np.uint8)
            )
            if transposed:
                picture = picture.transpose(1, 0, 2)
            picture = picture[:: -1 if flipped else 1, :: -1 if mirrored else 1]
            pictures[size] = np.ascontiguousarray(picture)
        return pictures

    def _graph(self, frame: VideoFrame, size: Size, is_hdr: bool) -> av.filter.Graph:
        """Crop, resize and convert frames like this one to the stored ``size``."""
        cell = frame.format.chroma_width(16), frame.format.chroma_height(16)
        shown_height, shown_width = shown_size(frame, self._cropping)
        begins = (self._cropping.left, self._cropping.top) if self._cropping else (0, 0)
        _, _, width, height = centre_box(shown_width, shown_height, size, self._pixel_aspect)
        box = max(1, round(width)), max(1, round(height))
        x, y = (
            min(round((begin + (whole - part) / 2) / (16 // chroma)) * (16 // chroma), begin + whole - part)
            for begin, whole, part, chroma in zip(begins, (shown_width, shown_height), box, cell, strict=True)
        )
        steps = [("crop", f"{box[0]}:{box[1]}:{x}:{y}:exact=1")] if box != (frame.width, frame.height) else []
        colours = f"in_color_matrix={matrix(frame)}:in_range={('auto', 'limited', 'full')[frame.color_range % 3]}"
        steps.append(("scale", f"{size[1]}:{size[0]}:{colours}:{_SCALE}"))
        if is_hdr and not frame.format.is_rgb:  # in one step swscale makes 65283 of limited range's white, not 65535
            steps[-1] = "scale", f"{steps[-1][1]}:out_color_matrix={matrix(frame)}:out_range=full"
            again = f"{size[1]}:{size[0]}:in_color_matrix={matrix(frame)}:in_range=full:{_SCALE}"
            steps += [("format", "yuv444p16le"), ("scale", again)]
        elif not is_hdr and frame.format.name in _PLANAR:  # faster to RGB at one chroma sample per pixel
            steps += [("format", "yuv444p"), ("scale", f"{size[1]}:{size[0]}:{_SCALE}")]
        steps.append(("format", "rgb48le" if is_hdr else "rgb24"))
        graph = av.filter.Graph()
        graph.threads = 1  # files are converted in parallel; passing slices to threads costs more than the work
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 90000)
        )
        graph.link_nodes(source, *(graph.add(*step) for step in steps), graph.add("buffersink")).configure()
        return graph


def deinterlace(frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """Pass frames through bwdif from the first interlaced one on; it leaves progressive frames as they are."""
    graph: av.filter.Graph | None = None
    for frame in frames:
        if graph is None:
            if not frame.interlaced_frame:
                yield frame
                continue
            graph = av.filter.Graph()
            graph.threads = 1
            source = graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
            )
            graph.link_nodes(source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink"))
            graph.configure()
        graph.push(frame)
        yield from _pull(graph)
    if graph is not None:
        graph.push(None)
        yield from _pull(graph)


def _pull(graph: av.filter.Graph) -> Iterator[VideoFrame]:
    while True:
        try:
            frame = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        if isinstance(frame, VideoFrame):
            yield frame


def shown_size(frame: VideoFrame, cropping: Cropping | None) -> Size:
    """(height, width) of what is shown of a stored picture."""
    return (frame.height, frame.width) if cropping is None else (cropping.height, cropping.width)


def matrix(frame: VideoFrame) -> str:
    """The colour matrix by its tag; untagged pictures of 720 lines or more are BT.709, others BT.601.

    Raises:
        SourceError: a coding of colour that is not converted (``colours``).
    """
    if frame.colorspace in _NOT_CONVERTED and not frame.format.is_rgb:
        coding = _NOT_CONVERTED[frame.colorspace]
        raise SourceError("colours", f"its colours are coded as {coding}, which is not read; convert it to BT.709")
    return _MATRICES.get(frame.colorspace, "bt709" if frame.height >= 720 else "bt601")


def orientation(frame: VideoFrame) -> tuple[bool, bool, bool]:
    """(transposed, flipped, mirrored): the steps that make a stored picture upright: swap rows and columns, then
    reverse the order of the rows, then that of the columns. From the display matrix, to the nearest quarter turn."""
    data = cast(SideDataContainer, frame.side_data).get(Type.DISPLAYMATRIX)
    if data is None:
        return False, False, False
    # a point (x, y) is shown at (a x + c y, b x + d y)
    a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(data), np.int32)[:5])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return False, d < 0, a < 0
    return True, b < 0, c < 0


def without_alpha(frame: VideoFrame) -> VideoFrame:
    """A frame with transparency, or with a palette that may have some, as RGB on black; other frames unchanged."""
    if not frame.format.has_palette and not any(component.is_alpha for component in frame.format.components):
        return frame
    rgba = to_pixels(frame, "rgba", matrix(frame))
    composed = VideoFrame.from_ndarray(compose_on_black(rgba), format="rgb24")
    composed.pts, composed.time_base = frame.pts, frame.time_base
    return composed


def tone_map(pixels: NDArray[np.uint16], transfer: int) -> Picture:
    """HDR pixels (H, W, 3), 16 bits of BT.2020 RGB as coded, to 8 bits of BT.709.

    Up to 3/4 of the reference white (203 cd/m2) brightness is kept; above that, the largest of the three components
    approaches white as x / (1 + x), and the others are scaled with it, which keeps hues. HLG is shown at 1000 cd/m2.
    """
    coded = pixels.astype(np.float64) / 65535
    linear = _pq(coded) if transfer == ColorTrc.SMPTE2084 else _hlg(coded)
    linear = np.maximum(linear / _REFERENCE_WHITE @ _TO_BT709.T, 0.0)
    peak = linear.max(axis=-1, keepdims=True)
    above = np.maximum(peak - _KNEE, 0.0) / (1 - _KNEE)
    rolled = _KNEE + (1 - _KNEE) * above / (1 + above)
    linear *= np.where(peak > _KNEE, rolled / np.maximum(peak, _KNEE), 1.0)
    shown = np.where(linear < 0.018, 4.5 * linear, 1.099 * np.maximum(linear, 0.018) ** 0.45 - 0.099)  # BT.709
    return np.asarray(np.rint(255 * shown).clip(0, 255), dtype=np.uint8)


def _pq(coded: NDArray[np.float64]) -> NDArray[np.float64]:
    """SMPTE ST 2084: coded values to cd/m2."""
    root = coded ** (1 / 78.84375)
    light = np.maximum(root - 0.8359375, 0.0) / (18.8515625 - 18.6875 * root)
    return np.asarray(10000 * light ** (1 / 0.1593017578125))


def _hlg(coded: NDArray[np.float64]) -> NDArray[np.float64]:
    """ARIB STD-B67 (ITU-R BT.2100): coded values to cd/m2 on a display of 1000 cd/m2."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
    luminance = scene @ np.array([0.2627, 0.678, 0.0593])
    return np.asarray(1000 * scene * luminance[..., None] ** 0.2)
