import io

import numpy as np
import pytest
from PIL import Image

from emotionnet_hf.data.built_folder import open_built
from emotionnet_hf.data.describe.co_occurrence import CoOccurrence
from emotionnet_hf.data.describe.counting import tally_dataset
from emotionnet_hf.data.describe.figures import draw_figures, short
from emotionnet_hf.data.describe.statistics import make_statistics


def figures_of(folder) -> dict[str, bytes]:
    tally = tally_dataset(open_built(folder), progress=False)
    together = None
    if tally.together is not None:
        images = sum(split.images for split in tally.splits.values())
        together = CoOccurrence.of(tally.emotions, tally.together, images)
    return draw_figures(tally, together, make_statistics("x", tally, together))


@pytest.fixture(scope="module")
def folder(write_built, tmp_path_factory):
    rng = np.random.default_rng(0)
    rows = [
        {
            "keywords": ["joy", "fear", f"w{i % 5}"],
            "emotion_keywords": rng.permutation(4)[:2].tolist(),
            "annotations": [[int(rng.integers(3))] for _ in range(5)],
            "label": -1,
        }
        for i in range(30)
    ]
    splits = {"train": rows[:20], "dev": rows[20:]}
    return write_built(tmp_path_factory.mktemp("figures") / "out", splits)


def test_figures_are_pictures_and_the_same_each_time(folder):
    figures = figures_of(folder)
    assert set(figures) == {
        "keyword_frequency.png",
        "keywords_per_image.png",
        "co_occurrence_top.png",
        "agreement.png",
    }
    for data in figures.values():
        image = Image.open(io.BytesIO(data))
        assert min(image.size) >= 600
        ink = np.asarray(image.convert("L")) < 250
        assert 0.01 < ink.mean() < 0.6
    assert figures_of(folder) == figures


def test_many_keywords_get_the_whole_matrix_too(write_built, tmp_path, monkeypatch):
    monkeypatch.setattr("emotionnet_hf.data.describe.figures._NAMED_KEYWORDS", 3)
    rows = [{"keywords": ["joy"], "emotion_keywords": [0, 1, 2, 3]}]
    figures = figures_of(write_built(tmp_path / "out", {"train": rows}))
    assert {"co_occurrence.png", "co_occurrence_top.png"} <= set(figures)


def test_strangers_keywords_do_no_harm(write_built, tmp_path):
    names = ["$\\frac{1}{2}$", "a" * 10_000, "b\nc\x07", "<b>&amp;", "50 % $"]
    rows = [{"keywords": names, "emotion_keywords": [0, 1, 2, 3, 4]}] * 3
    folder = write_built(tmp_path / "out", {"train": rows})
    tally = tally_dataset(open_built(folder), progress=False)
    tally.emotions = names
    together = CoOccurrence.of(names, tally.together, 3)
    figures = draw_figures(tally, together, make_statistics("x", tally, together))
    assert Image.open(io.BytesIO(figures["co_occurrence_top.png"])).size == (1800, 1650)


def test_empty_split_and_no_keywords_still_draw(write_built, tmp_path):
    rows = [{"keywords": [], "emotion_keywords": []}]
    figures = figures_of(write_built(tmp_path / "out", {"train": rows, "test": []}))
    assert set(figures) == {"keywords_per_image.png"}


@pytest.mark.parametrize(
    ("name", "shown"), [("joy", "joy"), ("a" * 30, "a" * 21 + "…"), ("b\nc\x07", "b?c?")]
)
def test_names_are_cut_and_printable(name, shown):
    assert short(name) == shown
