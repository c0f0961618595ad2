"""Perceptual hashes of pictures, by imagehash: the one door to it."""

from __future__ import annotations

import imagehash
import scipy.fftpack  # imagehash loads it at its first hash: here, so that it is loaded before workers are forked
from PIL import Image

from walt.media.images import Picture

LIBRARY_VERSIONS = {"imagehash": imagehash.__version__, "scipy": scipy.__version__}
"""They may change a hash."""

HASH_BITS = 64


def perceptual_hash(picture: Picture) -> str:
    """imagehash's ``phash`` as 16 hex digits: which of the 8x8 lowest frequencies of the brightness are above the
    median. Scaling, compression and gamma change few of its 64 bits; colour alone changes none.

    Args:
        picture: (H, W, 3) uint8 RGB, best of 32 pixels or more a side.
    """
    return str(imagehash.phash(Image.fromarray(picture)))
