"""Still pictures: any mode to RGB, upright, and refusals by code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.media import LIMITS, ffmpeg, shared_data
from walt.media.images import Limits, SourceError, crop_and_resize
from walt.media.stills import read_picture


def code_of(path: Path, limits: Limits = LIMITS) -> str:
    with pytest.raises(SourceError) as caught:
        read_picture(path, limits)
    return caught.value.code


def code_or_ok(path: Path) -> str:
    try:
        read_picture(path, LIMITS)
    except SourceError as error:
        return error.code
    return "ok"


def test_modes_become_rgb(tmp_path: Path) -> None:
    Image.new("L", (20, 20), 77).save(tmp_path / "grey.png")
    Image.new("RGBA", (20, 20), (200, 100, 50, 128)).save(tmp_path / "alpha.png")
    Image.new("RGB", (20, 20), (9, 8, 7)).convert("P").save(tmp_path / "palette.png")
    Image.fromarray(np.full((20, 20), 0x8000, np.uint16)).save(tmp_path / "deep.png")
    Image.new("CMYK", (20, 20), (0, 0, 0, 0)).save(tmp_path / "cmyk.jpg")
    found = {path.name: read_picture(path, LIMITS) for path in tmp_path.iterdir()}
    assert {picture.shape for picture in found.values()} == {(20, 20, 3)}
    assert found["grey.png"][0, 0].tolist() == [77, 77, 77]
    assert found["alpha.png"][0, 0].tolist() == [100, 50, 25]  # on black
    assert found["deep.png"][0, 0].tolist() == [128, 128, 128]
    assert found["cmyk.jpg"][0, 0].tolist() == [255, 255, 255]


def test_levels_of_grey_on_an_unknown_scale_are_refused(tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 400).reshape(20, 20)
    Image.fromarray(ramp.astype(np.float32)).save(tmp_path / "fractions.tif")
    Image.fromarray((ramp * 2**30).astype(np.int32)).save(tmp_path / "deep.tif")
    assert {code_of(path) for path in tmp_path.iterdir()} == {"colours"}


def test_of_a_picture_with_others_behind_it_the_first_is_taken(tmp_path: Path) -> None:
    """As phones store them, with a gain map or a depth map."""
    shown, behind = Image.new("RGB", (20, 20), (200, 40, 40)), Image.new("RGB", (20, 20), (0, 0, 255))
    shown.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[behind])
    assert np.abs(read_picture(tmp_path / "a.jpg", LIMITS).astype(int) - (200, 40, 40)).max() <= 2


def test_exif_orientation_turns_the_picture_once(tmp_path: Path) -> None:
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, :20] = 255  # left half white
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned clockwise by a quarter: left becomes top
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    picture = read_picture(tmp_path / "a.png", LIMITS)
    assert picture.shape == (40, 20, 3)
    assert picture[:20].min() == 255
    assert picture[20:].max() == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avif_is_upright_as_the_same_picture_in_a_png(tmp_path: Path, orientation: int) -> None:
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[:16, :24], pixels[:16, 24:], pixels[16:, :24] = (220, 30, 30), (30, 200, 40), (40, 40, 220)
    for suffix in ("avif", "png"):
        exif = Image.Exif()  # writing an AVIF takes the orientation out of it
        exif[0x0112] = orientation
        Image.fromarray(pixels).save(tmp_path / f"a.{suffix}", exif=exif, quality=95, subsampling="4:4:4")
    avif, png = (read_picture(tmp_path / f"a.{suffix}", LIMITS).astype(int) for suffix in ("avif", "png"))
    assert avif.shape == png.shape
    assert np.abs(avif - png).max() < 12


def test_the_alpha_of_an_avif_counts(tmp_path: Path) -> None:
    """FFmpeg would show its colours alone."""
    picture = Image.new("RGBA", (32, 32), (250, 250, 250, 0))
    picture.paste((200, 100, 50, 128), (0, 0, 16, 32))
    picture.save(tmp_path / "a.avif", quality=100)
    shown = read_picture(tmp_path / "a.avif", LIMITS)
    assert np.abs(shown[16, 8].astype(int) - (100, 50, 25)).max() <= 2
    assert shown[16, 24].max() <= 2


def test_a_damaged_avif_is_refused(tmp_path: Path) -> None:
    """Whatever of it is damaged: Pillow raises errors of other kinds than for other formats."""
    Image.new("RGBA", (32, 32), (9, 200, 30, 99)).save(tmp_path / "whole.avif")
    data, path = (tmp_path / "whole.avif").read_bytes(), tmp_path / "a.avif"
    found = set()
    for number in range(0, len(data), 3):
        path.write_bytes(data[:number] + b"\xff" + data[number + 1 :])
        found.add(code_or_ok(path))
    assert "decode" in found
    assert found <= {"ok", "format", "decode", "truncated", "too_large", "too_small"}


def test_a_png_in_hdr_is_refused(tmp_path: Path) -> None:
    """Its levels, taken for those of a screen, would be a pale picture."""
    for number, (name, transfer) in enumerate((("pq", "smpte2084"), ("hlg", "arib-std-b67"), ("sdr", "bt709"))):
        tags = f"format=rgb48be,setparams=color_primaries=bt2020:color_trc={transfer}"
        source = ["-f", "lavfi", "-i", f"testsrc2=s=64x48:d=1,{tags}"]
        ffmpeg(*source, "-frames:v", "1", path := tmp_path / f"{name}.png")
        assert b"cICP" in path.read_bytes()
        if number < 2:
            assert code_of(path) == "colours"
        else:
            assert read_picture(path, LIMITS).shape == (48, 64, 3)


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "zero.png").write_bytes(b"")
    (tmp_path / "vector.png").write_text("<svg xmlns='http://www.w3.org/2000/svg' width='64' height='64'/>")
    Image.new("RGB", (20, 8)).save(tmp_path / "small.png")
    codes = {path.name: code_of(path) for path in tmp_path.iterdir() if path.name != "whole.jpg"}
    assert codes == {
        "cut.jpg": "truncated",
        "text.png": "format",
        "zero.png": "empty",
        "vector.png": "format",
        "small.png": "too_small",
    }


def test_a_huge_picture_is_refused_from_its_header(tmp_path: Path) -> None:
    Image.new("1", (8000, 4000)).save(tmp_path / "huge.png")  # 5 kB on disk, 96 MB as RGB
    assert code_of(tmp_path / "huge.png") == "too_large"


@pytest.mark.slow
def test_real_pictures() -> None:
    folder = shared_data() / "images"
    found = sorted(path for path in folder.rglob("*") if path.suffix in (".png", ".jpg"))
    assert len(found) >= 14
    for path in found:
        pictures = crop_and_resize(read_picture(path, LIMITS), [(32, 32), (24, 48)])
        assert pictures[(24, 48)].shape == (24, 48, 3), path
    turned = read_picture(folder / "flat/rommel.jpg", LIMITS)
    assert turned.shape == (3072, 2304, 3)  # stored 3072x2304, EXIF orientation 6


@pytest.mark.slow
def test_only_the_decoders_that_may_read_a_file_are_loaded() -> None:
    """Each worker would load Pillow's fifty at its first video, which is none of them."""
    program = (
        "import io, sys; from walt.media.stills import FORMATS, still_or_animation as look;"
        "from PIL import Image; assert set(FORMATS) <= set(Image.OPEN);"
        "assert look(io.BytesIO(b'a video' * 99)) is None;"
        "assert 'PIL.FitsImagePlugin' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
