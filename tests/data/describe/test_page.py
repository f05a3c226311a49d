import json

import pyarrow.parquet as pq
import pytest

from emotionnet_hf.data.built_folder import BuiltFolderError
from emotionnet_hf.data.describe import describe_dataset

ROWS = [
    {
        "keywords": ["joy", "tree"],
        "emotion_keywords": [3, 0],
        "people": i % 2,
        "faces": 0,
        "annotations": [[0], [0], [0, 1], [2], [2]],
        "label": 0,
    }
    for i in range(20)
]
PLAIN = [{"keywords": ["joy", "a|b", "<b>"], "emotion_keywords": [3]}]


def content(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def described(write_built, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    write_built(folder / "data set", {"train": ROWS[:15], "test": ROWS[15:]})
    statistics = describe_dataset(folder / "data set", folder / "out", progress=False)
    return folder, statistics


def test_folder_holds_numbers_figures_and_page(described):
    folder, statistics = described
    assert set(content(folder / "out")) == {
        "statistics.json",
        "statistics.md",
        "co_occurrence.parquet",
        "keyword_frequency.png",
        "keywords_per_image.png",
        "co_occurrence_top.png",
        "agreement.png",
    }
    assert json.loads((folder / "out" / "statistics.json").read_text()) == statistics


def test_same_folder_gives_the_same_bytes(described):
    folder, _ = described
    describe_dataset(folder / "data set", folder / "again", progress=False)
    assert content(folder / "again") == content(folder / "out")


def test_page_shows_every_figure_and_the_paper_beside_us(described):
    folder, _ = described
    text = (folder / "out" / "statistics.md").read_text()
    for path in (folder / "out").glob("*.png"):
        assert f"]({path.name})" in text
    assert "| train | 15 | 1,060,000 |" in text
    assert "| all | 20 | 1,170,000 | 2.00 | 2 | 48.90 | 2.00 | 2 | 7.04 |" in text
    assert "| images with any people | 10 (50.0%) | 20 | 600,000 (51.3%) |" in text
    assert "85%" in text
    # Every table has as many cells in each row as in its head.
    for table in text.split("\n\n"):
        if table.startswith("|"):
            assert len({line.count("|") for line in table.splitlines()}) == 1


def test_pairs_are_written_for_other_programs(described):
    folder, _ = described
    (pair,) = pq.read_table(folder / "out" / "co_occurrence.parquet").to_pylist()
    assert pair == {
        "a": "awe",
        "b": "joy",
        "images": 20,
        "npmi": 0.0,
        "jaccard": 1.0,
        "b_given_a": 1.0,
        "a_given_b": 1.0,
    }


def test_plain_data_set_and_strange_names_make_a_page(write_built, tmp_path):
    folder = write_built(tmp_path / "a|b <i>", {"train": PLAIN, "test": []})
    statistics = describe_dataset(folder, tmp_path / "out", progress=False)
    text = (tmp_path / "out" / "statistics.md").read_text()
    assert "# Statistics of a\\|b \\<i\\>" in text
    assert "Agreement" not in text
    assert statistics["splits"]["test"]["images"] == 0


def test_other_files_of_the_folder_stay(write_built, tmp_path):
    folder = write_built(tmp_path / "data set", {"train": PLAIN})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    describe_dataset(folder, tmp_path / "out", progress=False)
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep"


def test_nothing_is_written_for_a_folder_that_is_no_data_set(tmp_path):
    with pytest.raises(BuiltFolderError, match="emotionnet build"):
        describe_dataset(tmp_path, tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()
