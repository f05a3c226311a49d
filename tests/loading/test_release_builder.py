import json
import logging

import pytest

from emotionnet_hf.data.load import load_dataset
from emotionnet_hf.loading.release import ReleaseNotFoundError
from emotionnet_hf.loading.stockemotion import StockEmotion


def test_rows_left_out_are_counted_and_listed(se30k8_release, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        load_dataset("se30k8", data_dir=se30k8_release, cache_dir=tmp_path)
    (told,) = [r.message for r in caplog.records if "left out" in r.message]
    assert told.startswith("3 rows of train were left out: ")
    assert "unknown class (1)" in told
    (report,) = tmp_path.rglob("quarantine-*.jsonl")
    rows = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
    assert [row["file_name"] for row in rows] == ["1", "2", "x"]


def test_streaming_tells_and_writes_nothing(release, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        stream = load_dataset(
            "stockemotion", data_dir=release, cache_dir=tmp_path, streaming=True, split="train"
        )
        assert sum(1 for _ in stream) == 40
    assert "2 rows of train were left out: " in caplog.text
    assert not list(tmp_path.rglob("quarantine*"))


def test_folder_has_to_be_given(tmp_path):
    with pytest.raises(ReleaseNotFoundError, match=r"StockEmotion is not on the net.*data_dir="):
        StockEmotion(cache_dir=str(tmp_path))
