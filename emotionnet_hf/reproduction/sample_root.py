"""A DATA_ROOT of drawn pictures, for which nothing need be downloaded."""

from __future__ import annotations

from pathlib import Path

from emotionnet_hf.data.sample import generate_sample
from emotionnet_hf.data.sample.benchmarks import generate_benchmarks
from emotionnet_hf.reproduction.data_root import STOCKEMOTION


def draw_data_root(
    folder: Path, *, num_images: int = 3000, benchmark_images: int = 600, progress: bool = True
) -> Path:
    """Draw a stand-in for every data set of the paper, where that is not done.

    Args:
        folder: The DATA_ROOT to be.
        num_images: Of StockEmotion.
        benchmark_images: Of each benchmark.
        progress: Show progress bars.

    Returns:
        The folder.
    """
    if not folder.is_dir():
        generate_benchmarks(folder, num_images=benchmark_images, progress=progress)
    if not (folder / STOCKEMOTION).is_dir():
        generate_sample(folder / STOCKEMOTION, num_images=num_images, progress=progress)
    return folder
