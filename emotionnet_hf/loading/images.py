"""Any picture in, RGB out: the one place that decodes images of unknown origin.

The file travels twice: with the loading scripts of the data sets, and, under the name
`models/pipeline_images.py` (a link), with every checkpoint. So a picture looks to a model as it
looked in training. It needs the standard library, Pillow and numpy, which both have.
"""

from __future__ import annotations

import logging
import struct
import zlib
from collections.abc import Iterator, Mapping
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

logger = logging.getLogger(__name__)

MAX_PIXELS = 89_478_485
"""Default limit of width x height, Pillow's own: a quarter of a gigabyte of RGB."""

# Formats met in stock libraries. Pillow knows more, but some of those start other programs
# (EPS runs Ghostscript) and most are nothing but attack surface.
# HEIC comes on top, see `_open_heic`.
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
_PNG = b"\x89PNG\r\n\x1a\n"
# What may stand in a PNG beside its critical chunks and say how it looks.
_PNG_LOOKS = (b"tRNS", b"eXIf", b"acTL", b"fcTL", b"fdAT")
# Texts that may hold the EXIF or XMP block, and so the orientation.
_PNG_ORIENTATION = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0")
# Brands of ISO/IEC 23008-12 for pictures coded as HEVC; mif1 and msf1 name no codec.
_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1")
_AVIF = (b"avif", b"avis")
# Bitmaps of 32 bits whose fourth byte is alpha to some programs and padding to others.
_BITMAPS = ("BMP", "DIB", "ICO", "CUR")
# Tags of TIFF.
_BITS, _PHOTOMETRIC, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 258, 262, 338, 339
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
    is taken. A bitmap whose alpha is 0 everywhere has none. The size is checked in the header,
    before anything is decoded.

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

    A PNG that Pillow refuses for a text, a colour profile or a checksum that no pixel needs is
    read without it, as browsers do. Its `format` is then None, because other readers refuse it.

    Args:
        data: The file's bytes.
        max_pixels: Largest width x height allowed.

    Returns:
        The loaded Pillow image, in its own mode and not rotated.

    Raises:
        ImageError: No bytes, not an image, truncated, damaged, or too large; or HEIC where
            pillow-heif is not installed.
    """
    fault: ImageError
    for attempt in chain((data,), _leaner_pngs(data)):
        try:
            image = _loaded(attempt, max_pixels)
        except ImageError as error:
            fault = error
        else:
            image.format = image.format if attempt is data else None
            return image
    raise fault


def _loaded(data: bytes, max_pixels: int) -> Image.Image:
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
        rgb = _without_alpha(image, data)
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
    if _is_heic(data):
        return _open_heic(data)
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


def _is_heic(data: bytes) -> bool:
    if data[4:8] != b"ftyp":
        return False
    box = data[8 : int.from_bytes(data[:4], "big")]
    brands = {box[:4], *(box[place : place + 4] for place in range(8, len(box), 4))}
    return not brands.isdisjoint(_HEIC) and brands.isdisjoint(_AVIF)


def _open_heic(data: bytes) -> Image.Image:
    """Open what phones write; asked of the library itself, so that nothing is registered."""
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise ImageError(
            "HEIC without its reader: pip install 'emotionnet-hf[heic]', which is pillow-heif"
        ) from error
    try:
        image: Image.Image = HeifImageFile(BytesIO(data))
    except _DECODER_ERRORS as error:
        raise ImageError(f"damaged: HEIC, {error}") from error
    return image


def _leaner_pngs(data: bytes) -> Iterator[bytes]:
    """A PNG without what Pillow may stumble over and no pixel needs; nothing where that is all.

    The limits of Pillow stay as they are: a text that is a bomb is not read at all. First with the
    texts that may hold an orientation, and then without them.
    """
    for orientation in (_PNG_ORIENTATION, ()):
        kept = [chunk for chunk in _png_chunks(data) if _is_needed(chunk, orientation)]
        leaner = b"".join([_PNG, *kept])
        if kept and len(leaner) < len(data):
            yield leaner


def _png_chunks(data: bytes) -> Iterator[bytes]:
    """The chunks of a PNG up to its end, the last as short as a cut leaves it."""
    place = len(_PNG) if data.startswith(_PNG) else len(data)
    while place < len(data):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        yield data[place:end]
        place = len(data) if data[place + 4 : place + 8] == b"IEND" else end


def _is_needed(chunk: bytes, texts: tuple[bytes, ...]) -> bool:
    name = chunk[4:8]
    if len(chunk) < 12 or not name[0] & 32:  # cut off, or critical: Pillow says what is wrong
        return True
    if zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
        return False
    return name in _PNG_LOOKS or chunk[8:].startswith(texts)


def _without_alpha(image: Image.Image, data: bytes) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _scaled_to_8_bits(image).convert("RGB")
    if _has_unused_alpha(image):
        return image.convert("RGB")
    _fit_transparency(image, data)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _has_unused_alpha(image: Image.Image) -> bool:
    """Whether the fourth byte of the pixels is 0 everywhere and need not be alpha.

    Windows and its programs write such bitmaps and show them opaque. A TIFF says in a tag what
    its fourth value is; without the tag Pillow takes it for alpha.
    """
    tags = getattr(image, "tag_v2", None)
    unsure = image.format in _BITMAPS or (tags is not None and _EXTRA_SAMPLES not in tags)
    return unsure and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0)


def _fit_transparency(image: Image.Image, data: bytes) -> None:
    """Bring a PNG's transparent colour, which Pillow leaves as it is, to 8 bits as its pixels.

    Of colours of 16 bits Pillow keeps the upper half, and so do we.
    """
    key, depth = image.info.get("transparency"), data[24] if data.startswith(_PNG) else 8
    if image.mode == "L" and isinstance(key, int) and depth in (2, 4):
        image.info["transparency"] = key * 255 // (2**depth - 1)
    elif image.mode == "RGB" and isinstance(key, tuple) and depth == 16:
        image.info["transparency"] = tuple(value >> 8 for value in key)


def _scaled_to_8_bits(image: Image.Image) -> Image.Image:
    """Scale grey values of 12, 16 or 32 bits, transparent ones to white; Pillow clips at 255."""
    tags = getattr(image, "tag_v2", {})
    bits, kind = (tags.get(tag, (0,))[0] for tag in (_BITS, _SAMPLE_FORMAT))
    raw = np.asarray(image)
    # Pillow has no unsigned values of 32 bits, and reads the upper half of them as negative.
    unsigned = bits == 32 and image.mode == "I" and kind in (0, 1)
    values = (raw.view(np.uint32) if unsigned else raw).astype(np.float64)
    if values.size and not (np.isfinite(values).all() and values.min() >= 0):
        raise ValueError("grey values below zero or not finite")
    white = 1.0 if image.mode == "F" else _white(values.max(initial=0), bits, signed=kind == 2)
    if values.max(initial=0) > white:
        raise ValueError("floating-point grey values above 1 have no known white")
    if tags.get(_PHOTOMETRIC) == 0:  # white is zero; of 8 bits and less Pillow turns it itself
        values = white - values
    grey = np.rint(values * (255 / white)).astype(np.uint8)
    if (key := image.info.get("transparency")) is not None:
        grey[raw == key] = 255
    return Image.fromarray(grey)


def _white(largest: float, bits: int, *, signed: bool) -> float:
    """The value of white, of whole numbers of so many bits, or 0 where nobody says how many."""
    if 0 < bits <= 16:
        return 2.0 ** (bits - signed) - 1
    # Nobody's white is that dark: such numbers come from 16 bits and were stored in 32.
    if largest <= 65535:
        return 65535.0
    return 2.0**32 - 1 if bits == 32 and not signed else 2.0**31 - 1


def _reason(data: bytes, error: Exception) -> str:
    text = str(error) or type(error).__name__
    # Pillow says nothing of length for WebP; its header gives it.
    webp = data[:4] == b"RIFF" and int.from_bytes(data[4:8], "little") + 8 > len(data)
    if "truncated" in text.lower() or isinstance(error, EOFError) or webp:
        return "truncated"
    return f"damaged: {text}"
