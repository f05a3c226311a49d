"""Drawn stand-ins for the paper's benchmarks, so that every table runs offline and end to end.

**These are not the benchmarks.** Nothing in them is photographed, nobody annotated them, and what
a model reaches on them says nothing about what it reaches on the real ones. They have the real
layouts, so that the code that reads, trains on and scores the real ones is the code that runs.
Name them in a result as "drawn DeepEmotion" and so on, never by the benchmark's name alone; each
folder has a `drawn.json` that says so.

They are drawn by the generative model of the sample (see the docstring of
`emotionnet_hf.data.sample`), from random numbers that no sample uses: no picture is in a sample
and in a benchmark, nor in two benchmarks.

**Classes.** A picture's class is decided first, in turn; then one of the class's latent emotions
(uniform) and the intensity (uniform in the range given there), see `benchmark_latents`: Mikels'
amusement is happiness, awe is surprise, contentment peace or love, sadness also loneliness;
UnBiasedEmotion's joy is happiness or excitement; AffectNet's neutral is any emotion at the
intensity at which all faces are alike; in SE30K8 strong surprise is negative and faint one
positive, faint peace and loneliness are neutral. The category is drawn as in the sample.

**DeepEmotion** is `<class>/*.jpg`. **UnBiasedEmotion** is `images/<emotion>/<object>/*.jpg`, the
object being the category. **EmoSet** is `{train,val,test}.json` with pictures and annotations.

**AffectNet** is `training.csv` and `validation.csv`: one face each in front of a landscape that
means nothing, in a picture 1.5 times the size, with the face's box. The classes of the training
part are unbalanced, and a few rows have an expression that the protocol drops.

**EMOTIC** is `Annotations.mat`: one or two people with coats and arms in a landscape, in a picture
twice the size. The landscape shows the first person's emotion with probability 0.6, else any. Each
annotator names 1 to 3 categories from p(category | emotion, intensity), of which 5 % are careless,
and rates valence, arousal and dominance around the emotion's, with a standard deviation of 0.8 of
10. Gender and age mean nothing.

**SE30K8** is a release: a pickle of five workers' votes and an uploader's tags for each picture. A
worker selects the class with probability 0.65, one it is taken for with 0.25, else any of the
eight; and with 0.15 once more. The tags come from the sample's uploader at its default noise.

**Near copies.** 4 % of the pictures of each benchmark are near copies of an earlier picture of the
same class, whatever its split, as on the web. `drawn.json` lists them. Boxes are those of the
original, which lie off by at most 2.5 % of the picture.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from emotionnet_hf.data.sample.benchmark_emotic import write_emotic
from emotionnet_hf.data.sample.benchmark_folders import (
    write_affectnet,
    write_deepemotion,
    write_emoset,
    write_unbiasedemotion,
)
from emotionnet_hf.data.sample.benchmark_latents import benchmark_seed
from emotionnet_hf.data.sample.benchmark_pictures import Order, Written
from emotionnet_hf.data.sample.benchmark_se30k8 import write_se30k8
from emotionnet_hf.files import whole_folder, write_json, write_text
from emotionnet_hf.lock import one_run

_WRITERS: Mapping[str, Callable[[Order], Written]] = {
    "DeepEmotion": write_deepemotion,
    "UnBiasedEmotion": write_unbiasedemotion,
    "AffectNet": write_affectnet,
    "SE30K8": write_se30k8,
    "EMOTIC": write_emotic,
    "EmoSet": write_emoset,
}

NAMES: tuple[str, ...] = tuple(_WRITERS)
"""The benchmarks that can be drawn; each is a folder of that name."""

NOTE = "drawn by emotionnet_hf, not the benchmark"
"""What every `drawn.json` says."""

_README = f"""\
These folders have the names and layouts of public benchmarks. Each is {NOTE}:
no picture in them is a photograph, and no person annotated one. Scores on them say that the code
runs, and nothing about scores on the benchmarks.
"""

MIN_IMAGES = 60
"""With fewer pictures a split or class of some benchmark would be empty."""


@dataclass(frozen=True)
class DrawnBenchmarks:
    """What `generate_benchmarks` wrote.

    Attributes:
        path: the folder.
        num_images: number of pictures of each benchmark.
        num_near_copies: how many of them are near copies of another.
    """

    path: Path
    num_images: Mapping[str, int]
    num_near_copies: Mapping[str, int]


def generate_benchmarks(
    out: Path,
    *,
    num_images: int = 600,
    image_size: int = 96,
    seed: int = 1,
    names: Sequence[str] | None = None,
    progress: bool = True,
) -> DrawnBenchmarks:
    """Draws stand-ins for the paper's benchmarks in the real layouts; see the module.

    Each benchmark is a folder of its name in `out`, with a `drawn.json` (`note`, `stands_in_for`,
    `seed`, `num_images`, `image_size`, `labels`: pictures by class, for EMOTIC by the emotion of
    the first person, `near_copies`: path -> path of the original). `out` appears whole or not at
    all. Repeated calls write the same bytes, and a benchmark does not change with the others that
    are asked for.

    Args:
        out: the folder to write; it must not exist.
        num_images: number of pictures of each benchmark, at least `MIN_IMAGES`.
        image_size: width and height of a picture in pixels, at least 16; those of AffectNet are
            1.5 times as large and those of EMOTIC twice.
        seed: chooses the pictures.
        names: which of `NAMES`; all where None.
        progress: whether to show a progress bar.

    Returns:
        Counts.

    Raises:
        ValueError: an argument is out of range, or a name is none of `NAMES`.
        FileExistsError: `out` exists.
        AnotherRunError: another run writes `out`.
    """
    chosen = NAMES if names is None else tuple(names)
    _check(num_images, image_size, seed, chosen)
    out = Path(out)
    with one_run(out):
        if out.exists():
            raise FileExistsError(
                f"{out} exists; delete it or choose another folder for benchmarks"
            )
        images, copies = {}, {}
        with (
            whole_folder(out) as folder,
            tqdm(total=num_images * len(chosen), unit="image", disable=not progress) as bar,
        ):
            write_text(folder / "README.txt", _README)
            for name in chosen:
                bar.set_description(f"drawing {name}")
                (folder / name).mkdir()
                number = benchmark_seed(name, seed)
                order = Order(folder / name, number, num_images, image_size, bar)
                written = _WRITERS[name](order)
                story = _story(name, seed, image_size, written)
                write_json(folder / name / "drawn.json", story)
                images[name], copies[name] = len(written), len(story["near_copies"])
    return DrawnBenchmarks(out, images, copies)


def _check(num_images: int, image_size: int, seed: int, names: Sequence[str]) -> None:
    if num_images < MIN_IMAGES:
        raise ValueError(f"num_images must be at least {MIN_IMAGES}, not {num_images}")
    if image_size < 16:
        raise ValueError(f"image_size must be at least 16 pixels, not {image_size}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, but is {seed}")
    if unknown := [name for name in names if name not in NAMES]:
        raise ValueError(f"names has {unknown[0]!r}, but there are {', '.join(NAMES)}")
    if not names or len(set(names)) < len(names):
        raise ValueError(f"names must be one or more of {', '.join(NAMES)}, each once")


def _story(name: str, seed: int, image_size: int, written: Written) -> dict[str, Any]:
    """What `drawn.json` says."""
    paths = [path for path, _ in written]
    near_copies = {
        path: paths[drawing.latent.root]
        for path, drawing in written
        if drawing.latent.root != drawing.index
    }
    return {
        "note": NOTE,
        "stands_in_for": name,
        "seed": seed,
        "num_images": len(written),
        "image_size": image_size,
        "labels": dict(Counter(drawing.label for _, drawing in written)),
        "near_copies": near_copies,
    }
