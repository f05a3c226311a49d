import shutil

import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoTokenizer

from emotionnet_hf.data import build_dataset
from emotionnet_hf.data.sources import SourceNotFoundError
from emotionnet_hf.emotions import SE30K8
from emotionnet_hf.models import (
    TextCNNConfig,
    TextCNNForSequenceClassification,
    keyword_tokenizer,
)
from emotionnet_hf.training import pseudo_labels
from emotionnet_hf.training.pseudo_labels import PseudoLabelError, write_pseudo_labels

WORDS = ["awe", "fear", "joy", "tree", "sea", "rare word"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A TextCNN whose classes stand in another order than the release's."""
    torch.manual_seed(0)
    config = TextCNNConfig(
        vocab_size=len(WORDS) + 2,
        embedding_dim=8,
        hidden_size=8,
        id2label=dict(enumerate(reversed(SE30K8))),
    )
    folder = tmp_path_factory.mktemp("model")
    classifier = TextCNNForSequenceClassification(config)
    for weight in classifier.parameters():
        weight.data.normal_()
    classifier.save_pretrained(folder)
    keyword_tokenizer(WORDS).save_pretrained(folder)
    return folder


def naive_scores(model, keywords):
    """One list at a time, class by name."""
    classifier = TextCNNForSequenceClassification.from_pretrained(model).eval()
    tokens = AutoTokenizer.from_pretrained(model)(", ".join(keywords), return_tensors="pt")
    with torch.inference_mode():
        values = classifier(tokens["input_ids"], tokens["attention_mask"]).logits[0].softmax(-1)
    named = {classifier.config.id2label[i]: float(value) for i, value in enumerate(values)}
    return [named[name] for name in SE30K8]


def test_release_and_what_was_built_of_it_get_the_same_labels(release, model, tmp_path):
    report = write_pseudo_labels(release, model, tmp_path / "a.parquet", progress=False)
    built = tmp_path / "built"
    build_dataset(release, built, basic8=tmp_path / "a.parquet", progress=False)
    again = write_pseudo_labels(built, model, tmp_path / "b.parquet", progress=False)
    assert sum(report.rows.values()) == 60
    assert report.rejected == {"stock id given before": 2, "no such image file": 1}
    assert again.rows == report.rows
    rows = {r["image_id"]: r["scores"] for r in pq.read_table(tmp_path / "a.parquet").to_pylist()}
    other = {r["image_id"]: r["scores"] for r in pq.read_table(tmp_path / "b.parquet").to_pylist()}
    assert other.keys() == rows.keys()
    lists = pq.read_table(built / "data", columns=["image_id", "keywords", "basic8"]).to_pylist()
    for row in lists:
        scores = rows[row["image_id"]]
        assert scores == pytest.approx(naive_scores(model, row["keywords"]), abs=1e-6)
        assert other[row["image_id"]] == pytest.approx(scores, abs=1e-6)
        assert row["basic8"] == scores.index(max(scores))
    assert len({tuple(scores) for scores in rows.values()}) > 5


def test_model_of_other_classes_is_refused_and_nothing_is_written(release, model, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    text = (folder / "config.json").read_text(encoding="utf-8").replace('"neutral"', '"boredom"')
    (folder / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(PseudoLabelError, match=r"boredom.*not those of SE30K8"):
        write_pseudo_labels(release, folder, tmp_path / "out.parquet", progress=False)
    with pytest.raises(FileNotFoundError, match="There is no folder runs/no/model"):
        write_pseudo_labels(release, "runs/no/model", tmp_path / "out.parquet", progress=False)
    with pytest.raises(SourceNotFoundError):
        write_pseudo_labels(tmp_path / "none", model, tmp_path / "out.parquet", progress=False)
    assert not [path for path in tmp_path.iterdir() if "out.parquet" in path.name]


def test_long_lists_are_read_whole(model, monkeypatch):
    monkeypatch.setattr(pseudo_labels, "_BATCH", 3)  # in three parts, one of a single row
    classifier = TextCNNForSequenceClassification.from_pretrained(model).eval()
    lists = [["awe"], ["joy"] * 150 + ["fear"] * 150, ["tree", "sea"], ["sea"]]
    found = pseudo_labels._scores(classifier, AutoTokenizer.from_pretrained(model), lists)
    order = [classifier.config.label2id[name] for name in SE30K8]
    for scores, keywords in zip(found[:, order].tolist(), lists, strict=True):
        assert scores == pytest.approx(naive_scores(model, keywords), abs=1e-6)
