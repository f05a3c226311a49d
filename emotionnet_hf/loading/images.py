"""Any picture in, RGB out: the one place that decodes images of unknown origin."""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

logger = logging.getLogger(__name__)

MAX_PIXELS = 89_478_485
"""Default limit of width x height, Pillow's own: a quarter of a gigabyte of RGB."""

# Formats met in stock libraries. Pillow knows more, but some of those start other programs
# (EPS runs Ghostscript) and most are nothing but attack surface.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF")
# What Pillow's decoders raise on damaged files.
_DECODER_ERRORS = (
    OSError,
    RuntimeError,  # AVIF's
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
)
# How the EXIF orientations 2 to 8 are turned upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageError(ValueError):
    """An image that cannot be used; the message is a short reason."""


def open_image(data: bytes | Path, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode a picture to RGB as a viewer would show it.

    The EXIF rotation is applied, transparency is put on white, 16-bit values are scaled (not
    clipped) to 8 bits, palettes, grey and CMYK are converted, and of an animation the first frame
    is taken. The size is checked in the header, before anything is decoded.

    Args:
        data: The file's bytes, or its path.
        max_pixels: Largest width x height allowed.

    Returns:
        A loaded Pillow image of mode RGB, (height, width, 3) uint8.

    Raises:
        ImageError: The file is missing, empty, not an image, truncated, damaged or too large.
    """
    data = read_bytes(data) if isinstance(data, Path) else data
    return to_rgb(decode(data, max_pixels=max_pixels), data)


def open_stored(value: Mapping[str, Any]) -> Image.Image:
    """Decode a picture of a `datasets` column with ``decode=False``; see `open_image`.

    Args:
        value: Its ``bytes``, or where there are none the ``path`` of its file.

    Returns:
        A loaded Pillow image of mode RGB.

    Raises:
        ImageError: As `open_image`; also where there are neither bytes nor a path.
    """
    if value["bytes"] is None and value["path"] is None:
        raise ImageError("neither bytes nor a path are stored")
    return open_image(Path(value["path"]) if value["bytes"] is None else value["bytes"])


def decode(data: bytes, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode a picture as it is stored, once its header passed the check of the size.

    Args:
        data: The file's bytes.
        max_pixels: Largest width x height allowed.

    Returns:
        The loaded Pillow image, in its own mode and not rotated.

    Raises:
        ImageError: No bytes, not an image, truncated, damaged, or too large.
    """
    image = _open_header(data)
    width, height = image.size
    if width * height > max_pixels:
        raise ImageError(f"too large: {width}x{height} pixels (limit {max_pixels})")
    try:
        image.load()
    except _DECODER_ERRORS as error:
        raise ImageError(_reason(data, error)) from error
    return image


def to_rgb(image: Image.Image, data: bytes) -> Image.Image:
    """Turn a decoded picture into what a viewer shows; see `open_image`.

    Args:
        image: What `decode` returned.
        data: The bytes it came from.

    Returns:
        An image of mode RGB, without the metadata: whoever met its EXIF rotation again would
        turn the picture a second time.

    Raises:
        ImageError: Pixels without a meaning as colours.
    """
    turn = _TURNS.get(_orientation(image) or 1)
    try:
        rgb = _without_alpha(image)
    except _DECODER_ERRORS as error:
        raise ImageError(_reason(data, error)) from error
    upright = rgb if turn is None else rgb.transpose(turn)
    upright.info = {}
    return upright


def read_bytes(path: Path) -> bytes:
    """Bytes of an image file.

    Only what is wrong with the file itself becomes an `ImageError`; a failing disk or a lack of
    file handles says nothing about the picture and passes through.

    Args:
        path: The file.

    Returns:
        Its content.

    Raises:
        ImageError: The file is missing, is a folder, or may not be read.
    """
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        raise ImageError(f"cannot be read: {error.strerror}") from error


def is_plain_rgb(image: Image.Image, data: bytes) -> bool:
    """Tell whether a file can be kept as it is, because every reader sees the same RGB in it.

    Args:
        image: What `decode` returned for it.
        data: The file's bytes.

    Returns:
        True for a still JPEG, PNG or WebP of 8-bit RGB without transparency and EXIF rotation.
    """
    # Pillow shows a 16-bit RGB PNG as RGB; the header's bit depth tells them apart.
    eight_bits = image.format != "PNG" or data[24] == 8
    return (
        image.format in ("JPEG", "PNG", "WEBP")
        and image.mode == "RGB"
        and "transparency" not in image.info
        and getattr(image, "n_frames", 1) == 1
        and _orientation(image) == 1
        and eight_bits
    )


def _open_header(data: bytes) -> Image.Image:
    if not data:
        raise ImageError("zero bytes")
    Image.init()
    formats = [name for name in FORMATS if name in Image.OPEN]  # AVIF is a matter of the build
    try:
        return Image.open(BytesIO(data), formats=formats)
    except UnidentifiedImageError as error:
        raise ImageError("not an image") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"too large: {error}") from error
    except _DECODER_ERRORS as error:
        raise ImageError(_reason(data, error)) from error


def _orientation(image: Image.Image) -> int | None:
    """EXIF orientation, 1 where none is given, None where the EXIF block is damaged."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except _DECODER_ERRORS as error:
        # Viewers show such pictures as they are stored, and so do we.
        logger.debug("damaged EXIF block: %s", error)
        return None


def _without_alpha(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        image = _scaled_to_8_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _scaled_to_8_bits(image: Image.Image) -> Image.Image:
    """Scale grey values of 16 or 32 bits; Pillow's own conversion clips them at 255."""
    values = np.asarray(image).astype(np.float64)
    if values.size and not (np.isfinite(values).all() and values.min() >= 0):
        raise ValueError("grey values below zero or not finite")
    if image.mode == "F":
        full = 1.0
        if values.max(initial=0) > full:
            raise ValueError("floating-point grey values above 1 have no known white")
    else:
        # Mode I holds 32 bits, but files of 16 bits are opened in it too.
        full = 65535.0 if values.max(initial=0) <= 65535 else 2.0**31 - 1
    return Image.fromarray(np.rint(values * (255 / full)).astype(np.uint8))


def _reason(data: bytes, error: Exception) -> str:
    text = str(error) or type(error).__name__
    # Pillow says nothing of length for WebP; its header gives it.
    webp = data[:4] == b"RIFF" and int.from_bytes(data[4:8], "little") + 8 > len(data)
    if "truncated" in text.lower() or isinstance(error, EOFError) or webp:
        return "truncated"
    return f"damaged: {text}"
