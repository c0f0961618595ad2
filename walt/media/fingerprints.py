"""Perceptual hashes of pictures. Only this module imports imagehash."""

from __future__ import annotations

import imagehash
import numpy as np
import scipy.fftpack  # imagehash imports it at its first hash; imported here, it is loaded before workers are forked
from PIL import Image

from walt.media.images import Picture

LIBRARY_VERSIONS = {"imagehash": imagehash.__version__, "scipy": scipy.__version__}
"""Libraries whose versions may change a hash."""

HASH_BITS = 64
MIRRORED = np.uint64(0x5555_5555_5555_5555)
"""The bits of a hash that are the others in the mirror image (left and right changed): those of the odd horizontal
frequencies, which change their signs there. A few are not, where a frequency lies between the median and its negative.
"""


def perceptual_hash(picture: Picture) -> str:
    """imagehash's ``phash`` as 16 hex digits: which of the 8x8 lowest frequencies of the brightness are above the
    median. Scaling, compression and gamma change few of its 64 bits; colour alone changes none.

    Args:
        picture: (H, W, 3) uint8 RGB, best with sides of at least 32 pixels.
    """
    return str(imagehash.phash(Image.fromarray(picture)))
