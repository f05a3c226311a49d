"""Features of a benchmark's pictures, computed once and, where a cache is given, kept on disk.

    CACHE/<model>/part-<rows>.safetensors   features of up to 512 pictures, and which these are

`<model>` stands for weights, architecture, preprocessing, device type and library versions; each
picture for its file and box (`picture_key`). A part is written whole or not at all, so a run that
was killed goes on behind its last part, and other splits or seeds of a benchmark share the parts.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from tqdm import tqdm

from emotionnet_hf.data.writing import ordered_map
from emotionnet_hf.evaluation.features import in_batches
from emotionnet_hf.evaluation.linear_probe.arguments import LinearProbeError
from emotionnet_hf.evaluation.linear_probe.rows import Pool
from emotionnet_hf.files import explained_full_disk, whole_file
from emotionnet_hf.loading.images import ImageError
from emotionnet_hf.models.encoders import FEATURES, Encoder

logger = logging.getLogger(__name__)

_LIBRARIES = ("torch", "torchvision", "timm", "transformers", "pillow")
_PART = 512

_Tick = Callable[[int], object]


@dataclass(frozen=True)
class PictureFeatures:
    """Features of some pictures of a pool.

    Attributes:
        features: Float32, (M, D).
        row: Row of each picture of the pool in ``features``, -1 where there is none, int64, (P,).
        unreadable: Why pictures have no features, by their number in the pool.
    """

    features: torch.Tensor
    row: np.ndarray
    unreadable: Mapping[int, str]

    def of(self, places: np.ndarray) -> torch.Tensor:
        """Return the features of pictures, float32, (N, D)."""
        return self.features[torch.from_numpy(self.row[places])]


@dataclass(frozen=True)
class FeatureExtractor:
    """Computes features of pictures.

    Attributes:
        encoder: The frozen model.
        cache: Folder of features of any models; None keeps nothing.
        batch_size: Pictures at a time.
        num_workers: Threads that open pictures.
        progress: Show a bar.
    """

    encoder: Encoder
    cache: Path | None = None
    batch_size: int = 32
    num_workers: int = 2
    progress: bool = True

    def run(self, pool: Pool, places: np.ndarray) -> PictureFeatures:
        """Compute features, or read them where the cache has them.

        Args:
            pool: The pictures.
            places: Which of them, int64, (M,).

        Returns:
            The features; pictures that cannot be opened are set aside.

        Raises:
            LinearProbeError: The model's preprocessing fails on a picture.
            DiskFullError: The cache cannot be written.
        """
        places = np.unique(places)
        features = torch.zeros(len(places), self.encoder.dims[FEATURES])
        row = np.full(len(pool), -1, dtype=np.int64)
        known = self._known(pool, places, features, row)
        missing = [int(place) for place in places if row[place] < 0]
        unreadable: dict[int, str] = {}
        bar = tqdm(
            total=len(places), initial=known, disable=not self.progress, desc=self.encoder.name
        )
        with bar:
            for part in in_batches(missing, _PART):
                found, values = self._part(pool, part, unreadable, bar.update)
                features[known : known + len(found)] = values
                row[found] = np.arange(known, known + len(found))
                known += len(found)
                if self.folder and found:
                    _store(self.folder, [pool.keys[place] for place in found], values.numpy())
        return PictureFeatures(features, row, unreadable)

    def stream(self, pool: Pool, places: np.ndarray) -> torch.Tensor:
        """Compute features with the trunk as it is now, past the cache.

        Args:
            pool: The pictures, all of them readable.
            places: Which of them, int64, (N,).

        Returns:
            Float32, (N, D).
        """
        unreadable: dict[int, str] = {}
        wanted = [int(place) for place in places]
        _, values = self._part(pool, wanted, unreadable, lambda _: None)
        if unreadable:
            raise ImageError(next(iter(unreadable.values())))
        return values

    def _part(
        self, pool: Pool, places: Sequence[int], unreadable: dict[int, str], tick: _Tick
    ) -> tuple[list[int], torch.Tensor]:
        """Features of those pictures that can be opened, and which these are."""
        found: list[int] = []
        parts = [torch.zeros(0, self.encoder.dims[FEATURES])]
        for batch in in_batches(self._opened(pool, places), self.batch_size):
            good = [(place, p) for place, p in batch if isinstance(p, torch.Tensor)]
            unreadable.update({place: p for place, p in batch if isinstance(p, str)})
            found.extend(place for place, _ in good)
            if good:
                parts.append(embed(self.encoder, torch.stack([pixels for _, pixels in good])).cpu())
            tick(len(batch))
        return found, torch.cat(parts)

    def _opened(
        self, pool: Pool, places: Iterable[int]
    ) -> Iterator[tuple[int, torch.Tensor | str]]:
        """Each picture as pixel values (3, H, W), or why it cannot be opened."""

        def job(place: int) -> tuple[int, torch.Tensor | str]:
            try:
                image = pool.open(place)
            except ImageError as error:
                return place, str(error)
            return place, preprocessed(self.encoder, image)

        with ThreadPoolExecutor(self.num_workers) as threads:
            yield from ordered_map(threads, job, places, 2 * self.num_workers + self.batch_size)

    @cached_property
    def folder(self) -> Path | None:
        """Folder of this model in the cache, None without one."""
        if self.cache is None:
            return None
        folder = self.cache / fingerprint(self.encoder)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _known(
        self,
        pool: Pool,
        places: np.ndarray,
        features: torch.Tensor,
        row: np.ndarray,
    ) -> int:
        """Fill in what the cache has; the number of pictures."""
        wanted = {pool.keys[place]: int(place) for place in places}
        known = 0
        for path in sorted(self.folder.glob("part-*.safetensors")) if self.folder else ():
            for key, values in _stored(path):
                place = wanted.pop(key, None)
                if place is not None:
                    features[known] = torch.from_numpy(values)
                    row[place] = known
                    known += 1
        return known


@torch.no_grad()
def embed(encoder: Encoder, pixels: torch.Tensor) -> torch.Tensor:
    """Compute features of pixel values (B, 3, H, W): float32, (B, D), on the model's device.

    Raises:
        LinearProbeError: They are no numbers, so nothing can be learnt from them.
    """
    values: torch.Tensor = encoder.model(pixels.to(encoder.device))[FEATURES].float()
    if not values.isfinite().all():
        raise LinearProbeError(
            f"{encoder.name} gives features that are NaN or infinite: its weights are broken."
        )
    return values


def preprocessed(encoder: Encoder, image: Image.Image) -> torch.Tensor:
    """Preprocess one picture as the model wants it: float32, (3, H, W).

    Raises:
        LinearProbeError: It fails, which says more of the model than of the picture.
    """
    try:
        return encoder.preprocess([image])[0]
    except (ValueError, RuntimeError, TypeError, OSError) as error:
        raise LinearProbeError(
            f"The preprocessing of {encoder.name} fails on a picture of {image.width} x "
            f"{image.height} pixels: {' '.join(str(error).split())[:200]}"
        ) from error


def fingerprint(encoder: Encoder) -> str:
    """Digest all that features depend on, the pictures apart.

    Args:
        encoder: The model.

    Returns:
        32 hex digits: weights and buffers, architecture, preprocessing (what it makes of two
        fixed pictures), kind of device, and versions of the libraries.
    """
    digest = hashlib.blake2b(digest_size=16)
    # Some activations are functions, which are told with their address.
    architecture = re.sub(r" at 0x[0-9a-f]+", "", repr(encoder.model))
    facts = [encoder.kind, architecture, encoder.device.type]
    digest.update(json.dumps([facts, {name: version(name) for name in _LIBRARIES}]).encode())
    digest.update(encoder.weights_digest.encode())
    noise = np.random.default_rng(0)
    for size in ((300, 400), (90, 70)):
        picture = Image.fromarray(noise.integers(0, 256, (*size, 3), np.uint8))
        digest.update(encoder.preprocess([picture]).contiguous().numpy().data)
    return digest.hexdigest()


def _store(folder: Path, keys: Sequence[str], features: np.ndarray) -> None:
    """Write a part, whole or not at all; processes that share a cache do not meet."""
    name = hashlib.blake2b("".join(keys).encode(), digest_size=16).hexdigest()
    path = folder / f"part-{name}.safetensors"
    content = save({"features": np.ascontiguousarray(features)}, {"keys": json.dumps(list(keys))})
    with explained_full_disk(folder), whole_file(path) as file:
        file.write(content)


def _stored(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Keys and features of a part; a damaged one counts as not there."""
    try:
        with safe_open(path, "numpy") as file:
            keys = json.loads((file.metadata() or {})["keys"])
            features = file.get_tensor("features")
    except (SafetensorError, KeyError, ValueError) as error:
        logger.warning("%s is damaged (%s) and is computed again", path, error)
        return
    yield from zip(keys, features, strict=True)
