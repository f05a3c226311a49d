import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoTokenizer, pipeline

from emotionnet_hf.emotions import EMOTIC
from emotionnet_hf.evaluation.zero_shot import CategoryError, ZeroShotError, evaluate_zero_shot
from emotionnet_hf.hub.results import read_results
from emotionnet_hf.models import EmotionNetForPreTraining, TextCNNForSequenceClassification

CATEGORIES = {"joy": ["joy", "candy cane", "sweet"], "fear": ["fear"], "awe": ["awe", "tree"]}
FAST = {"samples": 20, "progress": False}


@pytest.fixture(scope="module")
def folder(make_emotionnet):
    return make_emotionnet()


@pytest.fixture(scope="module")
def several(toy, rows):
    """Two people a picture: each with classes of their own."""
    people = [
        {**row, "image_id": f"{row['image_id']}#{person}", "label": -1, "labels": labels}
        for row in rows
        for person, labels in enumerate([row["labels"], [0, 1]])
    ]
    return toy.benchmark(people, "multi-label")


def outputs(folder, rows):
    model = EmotionNetForPreTraining.from_pretrained(folder).eval()
    processor = AutoImageProcessor.from_pretrained(folder)
    images = [Image.open(row["image"]["path"]) for row in rows]
    with torch.no_grad():
        return model(processor(images=images, return_tensors="pt")["pixel_values"])


def test_default_classes_are_scored_as_the_stock_zero_shot_pipeline_does(folder, toy, rows):
    report = evaluate_zero_shot(toy.benchmark(rows), folder, **FAST)
    tagger = pipeline("emotion-tagging", model=str(folder))
    hits = 0
    for row, scores in zip(rows, report.scores, strict=True):
        tags = tagger(row["image"]["path"], candidates=list(toy.classes))
        cosines = {tag["label"]: tag["cosine"] for tag in tags}
        np.testing.assert_allclose(scores, [cosines[name] for name in toy.classes], atol=1e-4)
        hits += tags[0]["label"] == toy.classes[row["label"]]
    assert report.metrics["accuracy"]["mean"] == pytest.approx(hits / len(rows))
    assert report.settings["space"] == "word_vectors" and report.settings["pooling"] == "mean"
    assert report.settings["image_embedding"] == "image_embeds"


def test_keywords_that_are_found_by_other_forms_are_told(folder, toy, rows):
    given = {"joy": ["joys"], "fear": ["fear"], "awe": ["trees of awe", "zzz"]}
    as_known = {"joy": ["joy"], "fear": ["fear"], "awe": ["tree", "awe"]}
    names = dict(zip(toy.classes, given, strict=True))
    found, expected = (
        evaluate_zero_shot(
            toy.benchmark(rows),
            folder,
            categories={name: words[short] for name, short in names.items()},
            **FAST,
        )
        for words in (given, as_known)
    )
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)
    (note,) = [note for note in found.notes if "other forms" in note]
    assert note.startswith("2 keywords") and "joys by joy, trees of awe by tree and awe." in note
    assert not any("other forms" in note for note in expected.notes)


def test_a_word_vector_model_that_knows_the_answer_is_always_right(toy, rows, folder, tmp_path):
    """Word vectors set to what the images have: every image is nearest to its own class."""
    whole = shutil.copytree(folder, tmp_path / "model")
    embeds = outputs(folder, rows).image_embeds
    centred = torch.nn.functional.normalize(embeds, dim=-1)
    order = (centred @ centred.T)[0].argsort(descending=True).tolist()
    chosen = [order[0], order[len(order) // 2], order[-1]]
    model = EmotionNetForPreTraining.from_pretrained(whole)
    model.text_tower.keyword_embedding.weight.data[[2, 3, 5]] = embeds[chosen]
    model.save_pretrained(whole)
    picked = [{**rows[n], "label": c, "labels": [c]} for c, n in enumerate(chosen)]
    report = evaluate_zero_shot(toy.benchmark(picked), whole, **FAST)
    assert report.metrics["accuracy"]["mean"] == 1 and report.by_class == dict.fromkeys(
        toy.classes, 1.0
    )


@pytest.mark.parametrize(
    ("space", "told"),
    [
        ("unknown", "may mean nothing: it is not known in which space W lives"),
        ("untrained", "may mean nothing: W was not trained"),
        ("text_model", "In place of word vectors this model has a text model's features"),
        ("word_vectors", None),
    ],
)
def test_the_report_says_what_the_joint_space_is_worth(toy, rows, make_emotionnet, space, told):
    folder = make_emotionnet(joint_space=space)
    notes = " ".join(evaluate_zero_shot(toy.benchmark(rows), folder, **FAST).notes)
    assert ("may mean nothing" in notes) == (space in ("unknown", "untrained"))
    assert told is None or told in notes
    assert ("In place of word vectors" in notes) == (space == "text_model")


def naive_text_scores(folder, text_folder, rows, embedding, output):
    text = TextCNNForSequenceClassification.from_pretrained(text_folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(text_folder)
    known = [["joy", "candy cane"], ["fear"], ["awe", "tree"]]
    images = outputs(folder, rows)[embedding]
    columns = []
    for words in known:
        if output == "last_hidden_state":
            tokens = [tokenizer(word, return_tensors="pt") for word in words]
            vectors = [text.textcnn(**token).last_hidden_state[0, :1] for token in tokens]
        else:
            vectors = [text(**tokenizer(", ".join(words), return_tensors="pt"))[output]]
        cosines = [torch.nn.functional.cosine_similarity(images, v) for v in vectors]
        columns.append(torch.stack(cosines).mean(dim=0))
    return torch.stack(columns, dim=1).detach().numpy()


VARIANTS = [
    # representation, config of the EmotionNet, embedding of the image, output of the text model
    (None, {"auxiliary_dim": 6, "projection_dim": 5}, "auxiliary_embeds", "pooler_output"),
    ("category", {}, "image_embeds", "pooler_output"),
    ("keywords", {}, "image_embeds", "last_hidden_state"),
    # As wide as the text model's features, which this head was trained towards; keywords are not.
    ("keywords", {"auxiliary_dim": 6}, "image_embeds", "last_hidden_state"),
    ("logits", {"auxiliary_dim": 8}, "auxiliary_embeds", "logits"),
]


@pytest.mark.parametrize(("representation", "config", "embedding", "output"), VARIANTS)
def test_text_model_variants_equal_the_naive_oracle(
    toy, rows, make_emotionnet, make_text_model, representation, config, embedding, output
):
    folder, text_folder = make_emotionnet(**config), make_text_model()
    report = evaluate_zero_shot(
        toy.benchmark(rows),
        folder,
        text_model=text_folder,
        representation=representation,
        categories=CATEGORIES,
        **FAST,
    )
    expected = naive_text_scores(folder, text_folder, rows, embedding, output)
    np.testing.assert_allclose(report.scores, expected, atol=1e-4)
    assert report.settings["image_embedding"] == embedding
    assert report.settings["representation"] == (representation or "category")
    assert report.coverage["joy"] == {"known": ["joy", "candy cane"], "unknown": ["sweet"]}


def test_several_classes_are_measured_by_map_over_pictures(several, folder):
    report = evaluate_zero_shot(several, folder, categories=CATEGORIES, pooling="max", **FAST)
    assert list(report.metrics) == ["mean_average_precision"]
    assert report.counts == {
        "rows": 24,
        "scored": 24,
        "pictures": 12,
        "groups": 12,
        "unreadable": 0,
        "without_class": 0,
    }
    assert report.chance["mean_average_precision"]["random"] == pytest.approx(36 / 72)
    assert [*report.by_class] == ["joy", "fear", "awe"]
    # Both people of a picture are the same picture here.
    np.testing.assert_array_equal(report.scores[::2], report.scores[1::2])


def test_emotic_takes_its_own_lists(toy, rows, make_emotionnet):
    """A model that knows one keyword of most categories, and none of one."""
    names = tuple(EMOTIC)
    folder = make_emotionnet()
    people = [
        {**row, "labels": [n], "label": -1, "target": [1.0] + [0.0] * 25}
        for n, row in enumerate(rows)
    ]
    benchmark = toy.benchmark(people, "multi-label", "EMOTIC-B", names)
    with pytest.raises(CategoryError, match=r"Peace \(peace, relaxed, satisfied\); Affection"):
        evaluate_zero_shot(benchmark, folder, **FAST)
    report = evaluate_zero_shot(benchmark, folder, uncovered="chance", **FAST)
    empty = [name for name, words in report.coverage.items() if not words["known"]]
    assert "Peace" in empty and any(
        n.endswith(f"chance: {', '.join(empty)}.") for n in report.notes
    )
    labels = np.asarray([[c in row["labels"] for c in range(26)] for row in people])
    for place, name in enumerate(names):
        if name in empty and report.by_class[name] is not None:
            assert report.by_class[name] == pytest.approx(labels[:, place].mean())
    with pytest.raises(ZeroShotError, match="uncovered is None; choose from refuse, chance"):
        evaluate_zero_shot(benchmark, folder, uncovered=None, **FAST)


def test_the_report_is_a_file_of_results(several, folder, tmp_path):
    report = evaluate_zero_shot(several, folder, **FAST)
    path = tmp_path / "zero_shot.json"
    path.write_text(json.dumps(report.as_dict(), allow_nan=False))
    (number,) = read_results(path, "emotionnet")
    assert (number.dataset, number.split, number.protocol) == ("Toy", "test", "zero-shot")
    assert number.metric == "mean_average_precision"
    assert number.value == report.metrics["mean_average_precision"]["mean"]
    written = json.loads(path.read_text())
    assert {"chance", "coverage", "by_class", "counts", "notes", "environment"} <= written.keys()
    assert "scores" not in written and len(written["notes"]) == 4


def test_rows_that_cannot_be_judged_are_counted_and_named(toy, rows, folder, tmp_path):
    gone = toy.row(tmp_path / "gone.png", [1])
    unsure = {**rows[0], "label": -1, "image_id": "unsure"}
    report = evaluate_zero_shot(toy.benchmark([gone, *rows, unsure]), folder, **FAST)
    assert report.counts["rows"] == 14 and report.counts["scored"] == 12
    assert report.counts["unreadable"] == 1 and report.counts["without_class"] == 1
    (named,) = report.unreadable
    assert named["image_id"] == "gone.png" and "cannot be read" in named["reason"]
    clean = evaluate_zero_shot(toy.benchmark(rows), folder, **FAST)
    assert report.metrics == clean.metrics and report.image_ids == clean.image_ids


def test_what_the_numbers_leave_out_is_told(toy, rows, folder):
    some = [row for row in rows if row["label"] != 1]
    benchmark = toy.benchmark(some).with_splits(
        toy.benchmark(some).splits, dropped={"no picture on disk": 9}
    )
    report = evaluate_zero_shot(benchmark, folder, **FAST)
    assert report.by_class["fear"] is None
    assert "Rows of the benchmark that are not used: no picture on disk (9)." in report.notes
    assert report.notes[-1].endswith("in no mean over classes: fear.")


def test_absent_pictures_of_a_published_split_are_told(toy, rows, folder):
    benchmark = replace(toy.benchmark(rows), absent={"test": ["a/gone.jpg"] * len(rows)})
    told = [n for n in evaluate_zero_shot(benchmark, folder, **FAST).notes if "on disk" in n]
    assert (
        told and told[0].startswith("50.0 % of the published test rows") and "gone.jpg" in told[0]
    )


def test_nothing_to_judge_is_an_error(toy, rows, folder, tmp_path):
    gone = toy.benchmark([toy.row(tmp_path / "gone.png", [1])])
    with pytest.raises(ZeroShotError, match=r"No picture of Toy can be used.*gone\.png"):
        evaluate_zero_shot(gone, folder, **FAST)
    unsure = toy.benchmark([{**rows[0], "label": -1}])
    with pytest.raises(ZeroShotError, match="no row has a class"):
        evaluate_zero_shot(unsure, folder, **FAST)
    with pytest.raises(ZeroShotError, match="no rows for 'train'; choose from test"):
        evaluate_zero_shot(toy.benchmark(rows), folder, split="train", **FAST)


def test_models_without_a_common_space_are_refused(
    toy, rows, make_emotionnet, make_text_model, folder, tmp_path
):
    benchmark = toy.benchmark(rows)
    text_folder = make_text_model(hidden_size=7)
    with pytest.raises(ZeroShotError, match=r"gives 7 numbers .* auxiliary head 0 .* projection 6"):
        evaluate_zero_shot(benchmark, folder, text_model=text_folder, **FAST)
    with pytest.raises(ZeroShotError, match="no joint space"):
        evaluate_zero_shot(benchmark, make_emotionnet(projection_dim=0), **FAST)
    bare = shutil.copytree(folder, tmp_path / "bare", ignore=shutil.ignore_patterns("token*"))
    with pytest.raises(ZeroShotError, match="has no tokenizer"):
        evaluate_zero_shot(benchmark, bare, **FAST)


def test_missing_models_are_named(toy, rows, folder):
    for models in ({"model": "runs/no/model"}, {"model": folder, "text_model": "runs/no/model"}):
        with pytest.raises(FileNotFoundError, match="There is no folder runs/no/model"):
            evaluate_zero_shot(toy.benchmark(rows), **models, **FAST)


def test_the_users_file_must_fit_the_classes(toy, rows, folder, tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"joy": ["joy"], "fear": ["fear"]}))
    with pytest.raises(CategoryError, match=r"mine\.json lacks awe"):
        evaluate_zero_shot(toy.benchmark(rows), folder, categories=path, **FAST)
    path.write_text(json.dumps(CATEGORIES))
    report = evaluate_zero_shot(toy.benchmark(rows), folder, categories=path, **FAST)
    assert "user's own" in report.notes[-1]
    assert report.coverage["joy"]["unknown"] == ["sweet"]
