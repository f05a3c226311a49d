"""From bytes of a stranger to a picture in its place."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from emotionnet_hf.data.writing import encode_picture
from emotionnet_hf.loading.images import ImageError, decode

# What is wrong with the name of one file. Everything else is wrong with the disk.
_OF_THE_NAME = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EINVAL)


@dataclass(frozen=True, slots=True)
class Stored:
    """A picture in its place.

    Attributes:
        bytes: Size of the file.
        sha256: Of the file, as hex digits.
    """

    bytes: int
    sha256: str


class Store:
    """Checks pictures and puts them into a folder; to be called from threads.

    Args:
        out: The folder.
        scratch: A folder on the same disk for unfinished files.
        max_pixels: Pictures with more are refused.
        shorter_side: Shrink larger pictures to this shorter side; None keeps the bytes that came.
    """

    def __init__(
        self, out: Path, scratch: Path, *, max_pixels: int, shorter_side: int | None
    ) -> None:
        self.out, self.scratch = out, scratch
        self.max_pixels, self.shorter_side = max_pixels, shorter_side
        self._count = itertools.count()

    def put(self, data: bytes, file_name: str, digest: tuple[str, str] | None = None) -> Stored:
        """Check a picture and put it in its place, whole or not at all.

        Args:
            data: The bytes.
            file_name: The place, as a posix path inside the folder.
            digest: Name of a hash and the hex digits that the bytes have to have, as they came.

        Returns:
            What was written.

        Raises:
            ImageError: No picture, or a damaged, truncated or too large one; other bytes than the
                list says; or the file cannot have this name.
            OSError: The disk is full, or not writable.
        """
        checked = self._checked(data)  # first, for what is cut off may come whole another time
        _check_digest(data, digest)
        data = checked
        try:
            self._write(data, self.out / file_name)
        except OSError as error:
            if error.errno not in _OF_THE_NAME:
                raise
            raise ImageError(f"cannot be written: {error.strerror}") from error
        return Stored(len(data), hashlib.sha256(data).hexdigest())

    def adopt(self, file_name: str, digest: tuple[str, str] | None = None) -> Stored:
        """Check a picture that already lies in its place, and shrink it if that is asked.

        Args:
            file_name: The place.
            digest: As `put`. Of a picture that was shrunk nobody can tell any more.

        Returns:
            What lies there now.

        Raises:
            ImageError: As `put`.
            OSError: As `put`, or it cannot be read.
        """
        data = (self.out / file_name).read_bytes()
        checked = self._checked(data)
        _check_digest(data, digest)
        if checked == data:
            return Stored(len(data), hashlib.sha256(data).hexdigest())
        return self.put(data, file_name)

    def _checked(self, data: bytes) -> bytes:
        if self.shorter_side is None:
            decode(data, max_pixels=self.max_pixels)
            return data
        return encode_picture(data, max_pixels=self.max_pixels, shorter_side=self.shorter_side)[0]

    def _write(self, data: bytes, path: Path) -> None:
        """Write a file beside its place and move it there.

        Not flushed to the disk, which at a thousand files a second it could not follow: a kill
        costs nothing, and after a power cut a file of the wrong size is fetched again.
        """
        unfinished = self.scratch / f"{next(self._count)}.unfinished"
        try:
            unfinished.write_bytes(data)
            try:
                os.replace(unfinished, path)
            except FileNotFoundError:
                path.parent.mkdir(parents=True, exist_ok=True)
                os.replace(unfinished, path)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise


def _check_digest(data: bytes, digest: tuple[str, str] | None) -> None:
    if digest is None:
        return
    kind, wanted = digest
    # MD5 is no proof against forgers, but it is what lists have.
    found = hashlib.new(kind, data, usedforsecurity=False).hexdigest()
    if found != wanted:
        raise ImageError(f"other bytes than the list says: {kind} is {found}, not {wanted}")
