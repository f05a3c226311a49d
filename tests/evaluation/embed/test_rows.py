import zipfile

import pytest
from datasets import Image, Value

from emotionnet_hf.evaluation.embed.rows import (
    EmbedSourceError,
    bytes_of,
    id_column,
    image_column,
)
from emotionnet_hf.loading.images import ImageError


def test_columns_are_found_or_asked_for():
    columns = {"name": Value("string"), "left": Image()}
    assert image_column(columns, None) == "left" and id_column(columns, None) is None
    assert id_column({**columns, "image_id": Value("string")}, None) == "image_id"
    assert id_column(columns, "name") == "name"
    both = {**columns, "right": Image()}
    assert image_column(both, "right") == "right"
    assert image_column({**both, "image": Image()}, None) == "image"
    with pytest.raises(EmbedSourceError, match="name one of left, right"):
        image_column(both, None)
    with pytest.raises(EmbedSourceError, match="no column 'x'"):
        id_column(both, "x")


def test_bytes_are_stored_or_in_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"there")
    assert bytes_of({"bytes": b"here", "path": "nowhere"}) == b"here"
    assert bytes_of({"bytes": None, "path": str(tmp_path / "a")}) == b"there"
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.write(tmp_path / "a", "a")
    assert bytes_of({"bytes": None, "path": f"zip://a::{tmp_path}/z.zip"}) == b"there"
    for nothing in (None, {"bytes": None, "path": None}):
        with pytest.raises(ImageError, match="no picture"):
            bytes_of(nothing)
    for place in (str(tmp_path / "b"), f"zip://b::{tmp_path}/z.zip"):
        with pytest.raises(ImageError, match="cannot be read"):
            bytes_of({"bytes": None, "path": place})
