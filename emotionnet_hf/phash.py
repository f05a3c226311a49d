"""imagehash's pHash, bit for bit, in about half the time.

A pHash has 64 bits: the picture in grey is shrunk to 32 x 32, and each of the 8 x 8 lowest
coefficients of its cosine transform is above their median or not (Zauner 2010). As text it is 16
hexadecimal digits, which `imagehash.hex_to_hash` reads.

Half of 64 different numbers lie above their median, so 32 bits of a hash are set. Fewer are where
numbers are equal: the waves that a picture lacks are all 0. A picture that is flat, or changes in
one direction only (a gradient, a horizon, stripes), has at most the 8 waves of that direction, and
so at most 8 bits set. Such hashes are near one another whatever the pictures show; see
`has_structure`.

What takes the time is not the transform but reading the picture and shrinking it. JPEGs are read by
simplejpeg, which gives Pillow's pixels; Pillow's whole numbers for grey (`Convert.c`) and for
shrinking (Lanczos, rows first, `Resample.c`) are computed in machine code of our own. numba makes
it at the first hash of a process: half a second, and seconds once in the life of an installation.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import imagehash
import numpy as np
import simplejpeg
from PIL import ExifTags, Image

from emotionnet_hf.loading.images import MAX_PIXELS, open_image, read_bytes

_SIZE = 32
# Coefficients nearer to the median than that may be on its other side by rounding.
_DOUBT = 1e-6

# Waves in one direction, the mean of the picture among them.
_ONE_DIRECTION = 8

_DIGITS = re.compile(r"[0-9a-fA-F]{16}")

_Function = TypeVar("_Function", bound=Callable[..., Any])


class HashTextError(ValueError):
    """A text is not a 64-bit hash; the message names it."""


def phash(image: Image.Image) -> str:
    """Perceptual hash of a picture, equal to `str(imagehash.phash(image))`.

    Args:
        image: A picture of any mode.

    Returns:
        16 hexadecimal digits.
    """
    return _hash(np.array(image.convert("L")))


def phash_file(data: bytes | Path, *, max_pixels: int = MAX_PIXELS) -> str:
    """Perceptual hash of an image file, equal to `str(imagehash.phash(open_image(data)))`.

    Args:
        data: The file's bytes, or its path.
        max_pixels: Largest width x height allowed.

    Returns:
        16 hexadecimal digits.

    Raises:
        ImageError: As `open_image`.
    """
    data = read_bytes(data) if isinstance(data, Path) else data
    grey = _plain_jpeg(data, max_pixels)
    return phash(open_image(data, max_pixels=max_pixels)) if grey is None else _hash(grey)


def has_structure(hashes: np.ndarray) -> np.ndarray:
    """Tell which hashes say what their picture shows, and may be compared.

    Args:
        hashes: uint64, (N,).

    Returns:
        bool, (N,); False for pictures that are flat or change in one direction only.

    >>> has_structure(hashes_from_hex(["8000000000000000", "e18e9e7899616936"]))
    array([False,  True])
    """
    structured: np.ndarray = np.bitwise_count(hashes) > _ONE_DIRECTION
    return structured


def pixel_digest(data: bytes | Path, *, max_pixels: int = MAX_PIXELS) -> str:
    """Name the very pixels of an image file, for pictures of which a hash says nothing.

    Args:
        data: The file's bytes, or its path.
        max_pixels: Largest width x height allowed.

    Returns:
        32 hexadecimal digits, the same for the same size and the same RGB.

    Raises:
        ImageError: As `open_image`.
    """
    image = open_image(data, max_pixels=max_pixels)
    size = f"{image.width} {image.height} ".encode()
    return hashlib.blake2b(size + image.tobytes(), digest_size=16).hexdigest()


def hashes_from_hex(texts: Sequence[str]) -> np.ndarray:
    """Numbers behind the texts of hashes.

    Args:
        texts: 16 hexadecimal digits each.

    Returns:
        uint64, (N,); the first digit has the highest bits.

    Raises:
        HashTextError: A text is something else.

    >>> hashes_from_hex(["ffffffffffffffff", "000000000000000a"])
    array([18446744073709551615,                   10], dtype=uint64)
    """
    for row, text in enumerate(texts):
        if not (isinstance(text, str) and _DIGITS.fullmatch(text)):
            raise HashTextError(
                f"hash {row} is {text!r:.60}, not the 16 hexadecimal digits of "
                "str(imagehash.phash(...))"
            )
    return np.frombuffer(binascii.unhexlify("".join(texts)), ">u8").astype(np.uint64)


def hashes_to_hex(hashes: np.ndarray) -> list[str]:
    """Texts of hashes, as `imagehash` writes and reads them.

    Args:
        hashes: uint64, (N,).

    Returns:
        16 hexadecimal digits each.

    >>> hashes_to_hex(np.array([10], np.uint64))
    ['000000000000000a']
    """
    text = hashes.astype(">u8").tobytes().hex()
    return [text[start : start + 16] for start in range(0, len(text), 16)]


def _plain_jpeg(data: bytes, max_pixels: int) -> np.ndarray | None:
    """Grey values of a JPEG that holds nothing unusual; uint8, (H, W), or None."""
    if not data.startswith(b"\xff\xd8"):
        return None
    try:
        with Image.open(BytesIO(data), formats=("JPEG",)) as header:
            turned = header.getexif().get(ExifTags.Base.Orientation, 1) != 1
            mode, (width, height) = header.mode, header.size
        if turned or mode not in ("L", "RGB") or width * height > max_pixels:
            return None
        if mode == "L":
            return simplejpeg.decode_jpeg(data, "GRAY")[:, :, 0]
        pixels = simplejpeg.decode_jpeg(data, "RGBX")
    except Exception:  # whatever is wrong with the file, `open_image` finds it and says what
        return None
    return _compiled(_grey)(pixels.view(np.uint32)[:, :, 0])


def _hash(grey: np.ndarray) -> str:
    """Hash of grey values; uint8, (H, W)."""
    small = _small(grey)
    low = _COSINES @ small @ _COSINES.T
    ordered = np.sort(low, axis=None)
    below, above = ordered[31:33]
    if above - below < _DOUBT:
        # Flat and symmetric pictures: the outcome hangs on how the transform rounds.
        return str(imagehash.phash(Image.fromarray(small)))
    return np.packbits(low >= above).tobytes().hex()


def _small(grey: np.ndarray) -> np.ndarray:
    """The picture of 32 x 32 that Pillow makes; uint8, (32, 32)."""
    height, width = grey.shape
    if height > 2 * width - _SIZE:
        # Here Pillow 13 shrinks the columns first and earlier ones do not: leave it to Pillow.
        resized = Image.fromarray(grey).resize((_SIZE, _SIZE), Image.Resampling.LANCZOS)
        return np.asarray(resized)
    shrink = _compiled(_shrink)
    return shrink(shrink(grey, *_weights(width)), *_weights(height))


@cache
def _compiled(function: _Function) -> _Function:
    # Here, because importing numba takes half a second, and not all who import us hash.
    from emotionnet_hf.dedup.compiled import compiled

    return compiled(function)


def _grey(pixels: np.ndarray) -> np.ndarray:
    """Pillow's grey of RGBX pixels; little-endian uint32 -> uint8, (H, W)."""
    grey = np.empty(pixels.shape, np.uint8)
    byte, half, shift = np.uint32(255), np.uint32(2**15), np.uint32(16)
    for row in range(pixels.shape[0]):
        for column in range(pixels.shape[1]):
            pixel = pixels[row, column]
            total = half + np.uint32(19595) * (pixel & byte)
            total += np.uint32(38470) * (pixel >> np.uint32(8) & byte)
            total += np.uint32(7471) * (pixel >> shift & byte)
            grey[row, column] = total >> shift
    return grey


def _shrink(values: np.ndarray, first: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Shrink, or enlarge, rows to 32 values, transposed; uint8, (H, W) -> (32, H)."""
    result = np.empty((_SIZE, len(values)), np.uint8)
    half, shift = np.int32(2**21), np.int32(22)
    for row in range(len(values)):
        for column in range(_SIZE):
            total, start = half, first[column]
            for i in range(weights.shape[1]):
                total += weights[column, i] * values[row, start + np.uint64(i)]
            result[column, row] = min(max(total >> shift, np.int32(0)), np.int32(255))
    return result


@lru_cache(maxsize=1024)
def _weights(length: int) -> tuple[np.ndarray, np.ndarray]:
    """Pillow's weights for making 32 values of `length`.

    Returns:
        For each of the 32 the first value it takes, uint64, (32,), and the weights of that and the
        following ones, in whole numbers of 1 / 2**22; int32, (32, taken).
    """
    scale = length / _SIZE
    stretch = max(scale, 1.0)
    centres = (np.arange(_SIZE) + 0.5) * scale
    first = np.maximum((centres - 3 * stretch + 0.5).astype(int), 0)
    end = np.minimum((centres + 3 * stretch + 0.5).astype(int), length)
    taken = (end - first).max()
    start = np.minimum(first, length - taken)  # at the edge fewer are taken: the others weigh 0
    result = np.zeros((_SIZE, taken), np.int32)
    for i in range(_SIZE):
        places = np.arange(first[i], end[i])
        weights = _lanczos((places - centres[i] + 0.5) * (1 / stretch))
        # In order, as Pillow adds them: np.sum would add in pairs, which may differ in a last bit.
        weights /= np.add.accumulate(weights)[-1]
        result[i, places - start[i]] = np.trunc(weights * 2.0**22 + np.copysign(0.5, weights))
    return start.astype(np.uint64), result


def _lanczos(x: np.ndarray) -> np.ndarray:
    """Pillow's window of three lobes."""
    return np.where((x >= -3) & (x < 3), np.sinc(x) * np.sinc(x / 3), 0.0)


def _cosines() -> np.ndarray:
    """The 8 lowest waves of scipy's DCT-II over 32 values, (8, 32)."""
    wave, place = np.ogrid[:8, :_SIZE]
    return 2 * np.cos(np.pi * wave * (2 * place + 1) / (2 * _SIZE))


_COSINES = _cosines()
