"""UnBiasedEmotion: 3,000 pictures of the same objects with six emotions (Panda et al. 2018)."""

from __future__ import annotations

from pathlib import Path

from emotionnet_hf.data.benchmarks.benchmark import Benchmark, LayoutError
from emotionnet_hf.data.benchmarks.dropped import Dropped
from emotionnet_hf.data.benchmarks.listing import check_folder, found_in
from emotionnet_hf.data.benchmarks.rows import (
    class_rows,
    drop_outside,
    has_class_folders,
    single_label_benchmark,
)
from emotionnet_hf.data.benchmarks.splits import HOW, TEST_SHARE, VALIDATION_SHARE, draw
from emotionnet_hf.emotions import UBE

NAME = "UnBiasedEmotion"

LAYOUTS = ("images/EMOTION/OBJECT/*.jpg, or the folder images itself",)
"""Layouts that `read` knows."""

_ORIGIN = (
    "The authors of 'Contemplating Visual Emotions: Understanding and Overcoming Dataset Bias' "
    "(Panda et al., ECCV 2018) give it out on the home page of their project."
)


def read(folder: Path, *, seed: int = 0) -> Benchmark:
    """Read UnBiasedEmotion.

    The lists of Panda et al., which the paper follows, are not released; we draw 80 % and 20 %.

    Args:
        folder: With ``images``, or that folder itself.
        seed: Of the splits.

    Returns:
        The benchmark.

    Raises:
        BenchmarkNotFoundError: There is no such folder.
        LayoutError: It is in no known layout.
        BenchmarkError: A folder is not named as a class, or pictures are missing.
    """
    folder = check_folder(Path(folder), NAME, _ORIGIN)
    start = next((s for s in ("images", "") if has_class_folders(folder / s, UBE)), None)
    if start is None:
        raise LayoutError(NAME, folder, LAYOUTS, found_in(folder))
    rows, dropped = class_rows(folder, UBE, start), Dropped()
    drop_outside(folder, [rows], dropped)
    test, rest = draw(rows, TEST_SHARE, seed=seed)
    validation, train = draw(rest, VALIDATION_SHARE, seed=seed)
    return single_label_benchmark(
        NAME,
        folder,
        UBE,
        {"train": train, "validation": validation, "test": test},
        release="Panda et al. 2018",
        layout=LAYOUTS[0],
        dropped=dropped,
        notes=(
            "The authors' lists are not released: the split is ours.",
            f"Test is 20 %, validation 10 % of the rest, {HOW.format(seed=seed)}.",
        ),
        validation_drawn=True,
    )
