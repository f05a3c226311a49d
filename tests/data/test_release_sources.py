import pytest

from emotionnet_hf.data.release_sources import SE30K8Source, StockEmotionSource, open_source
from emotionnet_hf.data.sources import FolderSource, Record, SourceNotFoundError
from emotionnet_hf.loading.release import ReleaseNotFoundError


def test_source_is_told_by_what_is_in_the_folder(release, se30k8_release, tmp_path):
    assert isinstance(open_source(release), StockEmotionSource)
    assert isinstance(open_source(se30k8_release), SE30K8Source)
    (tmp_path / "metadata.csv").write_text("file_name,keywords\n")
    assert isinstance(open_source(tmp_path), FolderSource)


def test_folder_that_is_neither_is_refused(tmp_path, release_parts):
    with pytest.raises(SourceNotFoundError, match="no folder"):
        open_source(tmp_path / "nowhere")
    with pytest.raises(SourceNotFoundError, match=r"metadata\.jsonl.*no pickle of a release"):
        open_source(tmp_path)
    release_parts.write_vocabularies(tmp_path)
    with pytest.raises(ReleaseNotFoundError, match="neither an annotation list"):
        open_source(tmp_path)


def test_stockemotion_gives_every_row_its_split_and_ids(release, release_parts):
    source = open_source(release)
    rows = list(source)
    good = [row for row in rows if isinstance(row, Record)]
    assert [row.split for row in good] == ["train"] * 40 + ["validation"] * 8 + ["test"] * 12
    assert source.emotions.names == tuple(release_parts.emotions)
    for row in good:
        assert row.image_path.is_file()
        known = [word for word in row.keywords if word != "rare word"]
        normal = [name.lower() for name in release_parts.tags]
        assert [normal[i] for i in row.columns["keyword_ids"]] == known
    assert {row.reason.split(" (")[0] for row in rows if not isinstance(row, Record)} == {
        "no such image file",
        "stock id given before: 1000",
        "stock id given before: 1007",
    }
    assert list(source) == rows


def test_se30k8_gives_votes_and_a_split_to_each(se30k8_release):
    source = open_source(se30k8_release)
    good = [row for row in source if isinstance(row, Record)]
    assert len(good) == 60
    assert {row.split for row in good} == set(source.splits)
    assert all((row.split == "no_majority") == (row.columns["label"] < 0) for row in good)
    other = [row.split for row in open_source(se30k8_release, seed=1) if isinstance(row, Record)]
    assert other != [row.split for row in good]


def test_pictures_that_no_row_is_about_are_told(tmp_path, release_parts):
    release_parts.write_vocabularies(tmp_path)
    release_parts.write_pickle(tmp_path / "train.pkl", [["a/1.jpg", [0]], ["a/2.jpg", [99]]])
    for name in ("a/1.jpg", "a/2.jpg", "b/3.jpg", "b/x.PNG", "fetched.jsonl"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).touch()
    record, bad, *left = open_source(tmp_path)
    assert record.image_id == "1"
    assert "outside of the vocabulary" in bad.reason
    assert [(row.row, row.file_name, row.reason) for row in left] == [
        (-1, f"images/{name}", "image without annotation") for name in ("b/3.jpg", "b/x.PNG")
    ]
