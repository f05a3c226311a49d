import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emotionnet_hf.data.load import load_dataset
from emotionnet_hf.loading.release import ReleaseError, ReleaseNotFoundError
from emotionnet_hf.loading.stockemotion import SUBSETS, Basic8, subset_point

SCORES = [[0.0, 0.0, 0.125, 0.5, 0.125, 0.125, 0.125, 0.0], [1.0] + [0.0] * 7]


def test_subsets_of_table_5_are_nested_and_as_large_as_they_say():
    points = [subset_point(str(i)) for i in range(20_000)]
    assert all(0 <= point < 1 for point in points)
    for percent in SUBSETS:
        share = sum(point < percent / 100 for point in points) / len(points)
        assert share == pytest.approx(percent / 100, abs=0.012)
    assert len(set(points)) == len(points)
    # Written down, so that nobody's subsets move.
    assert subset_point("1000") == pytest.approx(0.729299083283741, abs=1e-15)


def test_subset_cuts_the_training_images_and_nothing_else(release, tmp_path):
    whole = load_dataset("stockemotion", data_dir=release, cache_dir=tmp_path)
    half = load_dataset("stockemotion", "subset_50", data_dir=release, cache_dir=tmp_path)
    expected = [i for i in whole["train"]["image_id"] if subset_point(i) < 0.5]
    assert half["train"]["image_id"] == expected
    assert half["test"]["image_id"] == whole["test"]["image_id"]


def write(path, ids, scores):
    pq.write_table(pa.table({"image_id": ids, "scores": scores}), path)
    return path


def test_basic8_gives_the_most_probable_class_and_the_scores(tmp_path):
    basic8 = Basic8(write(tmp_path / "basic8.parquet", ["5", "6"], SCORES))
    assert basic8.columns("5") == {"basic8": 3, "basic8_scores": SCORES[0]}
    assert basic8.columns("6")["basic8"] == 0
    with pytest.raises(ReleaseError, match="no row for the image 7"):
        basic8.columns("7")


def test_basic8_file_that_does_not_fit_is_named(tmp_path):
    with pytest.raises(ReleaseNotFoundError, match="pseudo-label"):
        Basic8(tmp_path / "none.parquet")
    with pytest.raises(ReleaseError, match="does not have 8 scores"):
        Basic8(write(tmp_path / "short.parquet", ["5"], [[0.5, 0.5]]))
    pq.write_table(pa.table({"id": [1]}), tmp_path / "other.parquet")
    with pytest.raises(ReleaseError, match="lacks image_id or scores"):
        Basic8(tmp_path / "other.parquet")


def test_basic8_configuration_joins_the_scores(release, tmp_path):
    with pytest.raises(ReleaseNotFoundError, match=r"basic8\.parquet"):
        load_dataset("stockemotion", "basic8", data_dir=release, cache_dir=tmp_path / "none")
    ids = load_dataset("stockemotion", data_dir=release, cache_dir=tmp_path)["test"]["image_id"]
    folder = tmp_path / "release"
    folder.mkdir()
    for part in release.iterdir():
        (folder / part.name).symlink_to(part)
    scores = [SCORES[i % 2] for i in range(len(ids))]
    write(folder / "basic8.parquet", list(ids), scores)
    options = {"split": "test", "streaming": True, "cache_dir": tmp_path}
    rows = list(load_dataset("stockemotion", "basic8", data_dir=folder, **options))
    write(folder / "basic8.parquet", list(ids[1:]), scores[1:])
    fewer = list(load_dataset("stockemotion", "basic8", data_dir=folder, **options))
    assert [row["image_id"] for row in fewer] == list(ids[1:])
    assert [row["basic8"] for row in rows] == [[3, 0][i % 2] for i in range(len(ids))]
    assert rows[0]["basic8_scores"] == SCORES[0]
