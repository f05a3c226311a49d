import ast
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard, ModelCard
from PIL import Image

from emotionnet_hf.hub import CardError, dataset_card, model_card, open_dataset, open_model
from emotionnet_hf.hub.cards import DEFAULT_LICENSE, EXAMPLE_KEYWORDS, example_picture
from emotionnet_hf.hub.results import PAPER, Measured
from tests.hub_server.cards import complaints

REPOSITORY = Path(__file__).resolve().parents[2]
NAME = "alice/emotions"


def card_of(folder, **options):
    return model_card(open_model(folder), NAME, **{"license": "apache-2.0", **options})


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def code(card):
    """The Python that a card shows."""
    return re.findall(r"```python\n(.*?)```", card.text, re.DOTALL)


def table(card, heading):
    """Rows of the first table after a text, as lists of cells."""
    lines = card.text.split(heading)[1].split("\n")
    first = next(i for i, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows[2:]


@pytest.fixture
def cards(run_folder, textcnn, built):
    return {
        "emotionnet": card_of(run_folder),
        "textcnn": card_of(textcnn),
        "dataset": dataset_card(open_dataset(built), "alice/words", license="cc-by-4.0"),
    }


def test_metadata_are_valid_and_survive_a_reading(cards):
    for name, card in cards.items():
        kind = "dataset" if name == "dataset" else "model"
        assert complaints(str(card), kind) == []
        again = (DatasetCard if kind == "dataset" else ModelCard)(str(card))
        assert again.data.to_dict() == card.data.to_dict()
        assert str(again) == str(card)


def test_nothing_of_a_template_is_left(cards):
    for card in cards.values():
        assert not re.search(r"\{\{|\{%|None|nan\b", card.text)
        assert "\n\n\n" not in card.text.strip()
        for line in card.text.splitlines():
            assert line.count("|") == 0 or line.startswith("|"), line


def test_every_card_says_what_it_must_not_be_used_for(cards):
    for card in cards.values():
        text = " ".join(card.text.split())
        for said in (
            *("must not be used for", "hiring", "policing", "what a person feels", "employees"),
            *("Stock photography", "Western", "Culture", "15 %", "differ between groups"),
            *("2024/1689", "Article 5(1)(f)", "Annex III", "Article 50(3)", "not legal advice"),
            "Learning Visual Emotion Representations from Web Data",
        ):
            assert said in text, said


def test_use_is_shown_in_ten_lines_that_are_python(cards):
    for name in ("emotionnet", "textcnn"):
        (shown,) = code(cards[name])
        ast.parse(shown)
        assert len([line for line in shown.splitlines() if line]) <= 10
        assert f'"{NAME}"' in shown


def test_widget_has_an_example(cards):
    (example,) = cards["emotionnet"].data.widget
    assert example["src"].endswith(f"/{NAME}/resolve/main/example.jpg")
    assert cards["textcnn"].data.widget == [{"text": EXAMPLE_KEYWORDS, "example_title": "Keywords"}]
    picture = Image.open(io.BytesIO(example_picture()))
    assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (256, 256))
    assert example_picture() == example_picture()


def test_widget_shows_the_picture_of_the_branch_that_is_pushed(model):
    for revision, branch in ((None, "main"), ("v2", "v2"), ("refs/pr/1", "main")):
        (example,) = card_of(model, revision=revision).data.widget
        assert example["src"].endswith(f"/{NAME}/resolve/{branch}/example.jpg")


def saved(model, kind, **changes):
    """The same folder with the weights and the configuration of another class."""
    from emotionnet_hf import models

    config = models.EmotionNetConfig.from_pretrained(model)
    for name, value in changes.items():
        setattr(config, name, value)
    getattr(models, kind)(config).save_pretrained(model)
    for path in model.glob("tokenizer*"):
        path.unlink()
    return model


def test_card_promises_only_what_the_weights_have(model):
    whole = card_of(model).text
    for said in ("into one space of 6 dimensions", "zero-shot", "emotion-tagging", "5 emotion key"):
        assert said in whole
    # As `emotionnet convert` leaves a fine-tuned model, and a released one without word vectors.
    fine_tuned = saved(model, "EmotionNetForImageClassification", projection_dim=0, vocab_size=None)
    (model.parent / "arguments.json").unlink()
    text = card_of(fine_tuned).text
    for said in ("space", "zero-shot", "emotion-tagging", "word vectors", "uploaders", "None"):
        assert said not in text.split("## Intended use")[0]
    assert "scores 5 classes" in text
    assert not re.search(r"[^\n]\n{3,}", text)


def test_card_of_a_joint_space_without_words(model):
    folder = saved(model, "EmotionNetModel", vocab_size=None)
    card = card_of(folder)
    first = card.text.split("## Intended use")[0]
    assert "into a space of 6 dimensions, whose words are not part" in first
    assert "zero-shot" not in first
    assert "scores" not in first
    assert card.data.pipeline_tag == "image-feature-extraction"
    (shown,) = code(card)
    ast.parse(shown)
    assert "image-classification" not in shown


def before_limits(card):
    return " ".join(card.text.split("## Intended use")[0].split())


def test_fine_tuned_model_is_not_said_to_be_trained_on_keywords(fine_tuned):
    with pytest.raises(CardError, match=r"fine-tuned by transformers' Trainer.*--license"):
        card_of(fine_tuned, license=None)
    card = card_of(fine_tuned)
    first = before_limits(card)
    assert "scores 6 classes (*anger*" in first
    for said in ("uploaders", "emotion keywords", "alice/words"):
        assert said not in first and said not in card.text.split("## Training")[1]
    assert "Fine-tuned by transformers' `Trainer`" in card.text
    assert "On what data, and from which weights, is not recorded." in " ".join(card.text.split())
    assert "What these weights have seen last is not recorded here" in card.text
    assert card.data.eval_results is None and card.data.datasets is None


def test_model_of_unknown_training_is_said_to_be_that(model):
    (model.parent / "arguments.json").unlink()
    with pytest.raises(CardError, match=r"not recorded beside it.*--license"):
        card_of(model, license=None)
    card = card_of(model)
    assert "scores 5 classes" in before_limits(card) and "uploaders" not in before_limits(card)
    assert "Whether they still meet there after the last training" in before_limits(card)
    assert "zero-shot" not in before_limits(card)
    assert "How these weights were trained is not recorded" in card.text


def test_trained_model_is_told_by_its_arguments(run_folder):
    def first(**arguments):
        edit(run_folder / "arguments.json", **arguments)
        return before_limits(card_of(run_folder))

    said = first()
    assert "trained on pictures with the keywords of their uploaders" in said
    assert "scores 5 emotion keywords" in said and "zero-shot" in said
    assert "5 keywords (" in first(classes="all_keywords")
    assert "5 classes of SE30K8 (" in first(classes="basic8")
    said = first(classes="emotion_keywords", embedding_weight=0.0)
    assert "without the embedding loss and do not meet there" in said and "zero-shot" not in said


def test_quickstart_is_said_to_have_seen_drawn_pictures(run_folder):
    (run_folder.parent / "quickstart.json").write_text("{}")
    card = card_of(run_folder)
    assert "trained on drawn pictures and drawn keyword lists" in before_limits(card)
    assert "say nothing of photographs" in " ".join(card.text.split())


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("two-branch", "5 emotion keywords"),
        ("joint", "5 emotion keywords"),
        ("fine-tuned", "5 classes"),
    ],
)
def test_converted_model_is_told_by_its_kind(converted, kind, said):
    edit(converted / "conversion.json", kind=kind)
    first = before_limits(card_of(converted))
    assert f"scores {said} (" in first
    assert ("keywords of their uploaders" in first) == (kind != "fine-tuned")


@pytest.mark.parametrize("space", [None, "unknown", "word_vectors"])
def test_card_of_a_converted_model_says_that_its_joint_space_is_not_known(converted, space):
    edit(converted / "config.json", joint_space=space)  # None: as conversions of before have it
    first = before_limits(card_of(converted))
    doubted = space != "word_vectors"
    assert ("It is not known whether they meet there" in first) == doubted
    assert ("`zero-shot-image-classification` compares" in first) != doubted


def test_text_model_is_told_by_its_classes(textcnn):
    def first(text):
        if text is not None:
            (textcnn.parent / "arguments.json").write_text(text)
        return before_limits(card_of(textcnn))

    assert "soft labels" not in first(None) and "3 classes (" in first(None)
    assert "soft labels" not in first('{"classes": "se30k8"}')
    said = first('{"classes": "emotion_keywords"}')
    assert "which emotion keywords go with" in said and "soft labels that EmotionNet" in said


@pytest.fixture
def converted(model):
    record = {
        **{"checkpoint": "best.pth.tar", "sha256": "ab" * 32, "kind": "two-branch"},
        **{"tensors": 323, "arch": "resnet50", "epoch": 29, "emotionnet_hf": "0.1"},
    }
    (model / "conversion.json").write_text(json.dumps(record))
    return model


def test_licence_of_converted_weights_has_to_be_said(converted):
    with pytest.raises(CardError, match=r"was converted.*their authors'.*--license"):
        card_of(converted, license=None)
    assert card_of(converted, license="other").data.license == "other"
    (converted / "README.md").write_text("---\nlicense: mit\n---\n\n# Mine\n")
    assert card_of(converted, license=None).data.license == "mit"


def test_card_of_a_timm_export(timm_export, checkpoint):
    with pytest.raises(CardError, match=r"was exported.*--license"):
        card_of(timm_export, license=None)
    card = card_of(timm_export, license="cc-by-4.0")
    data = card.data
    assert (data.license, data.library_name, data.pipeline_tag) == (
        *("cc-by-4.0", "timm"),
        "image-classification",
    )
    assert data.widget[0]["src"].endswith(f"/{NAME}/resolve/main/example.jpg")
    assert complaints(str(card), "model") == []
    for said in (
        *("must not be used for", "Published under `cc-by-4.0`", "emotionnet export timm"),
        *(f"EmotionNet `{checkpoint.name}`", "not measured", "with the 5 classes"),
    ):
        assert said in card.text
    (shown,) = code(card)
    ast.parse(shown)
    assert f'"hf-hub:{NAME}"' in shown
    assert "REPO_ID" not in card.text
    assert "trust_remote_code" not in card.text
    assert not re.search(r"\{\{|\{%|None|nan\b|\n\n\n", card.text.strip())
    # Its own README, when somebody wrote one, is kept.
    (timm_export / "README.md").write_text("---\nlicense: mit\n---\n\n# Mine\n")
    assert card_of(timm_export, license=None).text.strip() == "# Mine"


def test_licence_of_what_was_trained_here_has_a_default(run_folder):
    assert card_of(run_folder, license=None).data.license == DEFAULT_LICENSE == "apache-2.0"


@pytest.mark.parametrize(
    ("rows", "category"),
    [
        *((0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (10**6, "1M<n<10M")),
        *((10**7, "10M<n<100M"), (10**8, "100M<n<1B"), (10**12, "n>1T")),
    ],
)
def test_size_category(built, rows, category):
    opened = replace(open_dataset(built), build={"rows": {"train": rows}})
    assert dataset_card(opened, "alice/words", license="mit").data.size_categories == [category]


def test_metadata_of_a_model(cards, run_folder):
    data = cards["emotionnet"].data
    assert (data.license, data.library_name, data.language) == ("apache-2.0", "transformers", "en")
    assert data.pipeline_tag == "image-classification"
    assert cards["textcnn"].data.pipeline_tag == "text-classification"
    assert data.datasets is None
    assert card_of(run_folder, datasets=["alice/words"]).data.datasets == ["alice/words"]


def test_results_are_the_kept_epoch_and_nothing_else(cards, run_folder):
    card = cards["emotionnet"]
    assert table(card, "## Results") == [
        ["stockemotion", "validation", "best of 3 epochs", "hit@1", "0.250"],
        ["stockemotion", "validation", "best of 3 epochs", "mAP", "0.375"],
    ]
    assert {r.metric_type: r.metric_value for r in card.data.eval_results} == {
        "hit_at_1": 0.25,
        "mean_average_precision": 0.375,
    }
    rows = table(card, "What the paper measured")
    assert len(rows) == len(PAPER["emotionnet"])
    assert {row[-1] for row in rows} == {"not measured"}


def test_measured_numbers_stand_beside_the_papers(model):
    number = Measured("DeepEmotion", "test", "accuracy", 0.6, 0.01, "linear-probe")
    card = card_of(model, measured=[number])
    rows = table(card, "What the paper measured")
    (row,) = [row for row in rows if row[0] == "DeepEmotion"]
    assert row == ["DeepEmotion", "linear-probe", "accuracy", "0.658 (Table 2)", "0.600 ± 0.010"]
    assert sum(row[-1] == "not measured" for row in rows) == 8


def test_nothing_is_known_of_a_model_without_a_run(model):
    (model.parent / "arguments.json").unlink()
    card = card_of(model)
    assert "## Results\n\nNot measured.\n" in card.text
    assert "How these weights were trained is not recorded" in card.text
    assert "model-index" not in card.data.to_dict()


def test_recipe_has_names_and_no_paths(cards, run_folder):
    recipe = dict(table(cards["emotionnet"], "## Training"))
    assert recipe["`backbone`"] == "`test_resnet`"
    assert recipe["`text_model`"] == "`textcnn`"
    assert recipe["`lr_drop_epochs`"] == "`[10, 20]`"
    assert recipe["`seed`"] == "`7`"
    assert not {"`output_dir`", "`data`"} & recipe.keys()
    text = str(cards["emotionnet"])
    assert "Kept: epoch 2 of 3" in text
    assert "torch 2.15.0" in text
    assert "/secret" not in text
    assert str(run_folder.parent) not in text


def test_sizes_come_from_the_data_set_where_it_is_at_hand(run_folder, built):
    path = run_folder / "arguments.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data": str(built)}))
    rows = json.loads((built / "build.json").read_text())["rows"]
    expected = ", ".join(f"{count} {split}" for split, count in rows.items())
    assert f'Data: local folder "{built.name}" ({expected}).' in card_of(run_folder).text


def test_readme_of_ones_own_is_kept_and_its_metadata_completed(run_folder, model):
    (model / "README.md").write_text("---\nlicense: mit\ntags:\n- mine\n---\n\n# Mine\n")
    card = card_of(run_folder, license=None)
    assert card.text.strip() == "# Mine"
    assert (card.data.license, card.data.tags) == ("mit", ["mine"])
    # What was said now goes before what a file says.
    assert card_of(run_folder, license="cc-by-4.0").data.license == "cc-by-4.0"
    assert card.data.library_name == "transformers"
    assert len(card.data.eval_results) == 2
    assert complaints(str(card), "model") == []


@pytest.mark.parametrize(
    "written",
    [
        "model-index: [{name: x, results: [{task: {type: a}, dataset: {name: d, type: d}, "
        "metrics: [{type: hit_at_1, value: 0.99}]}]}]",
        "model-index: nonsense",
        "eval_results: [{value: 0.99}]",
    ],
)
@pytest.mark.parametrize("with_run", [True, False])
def test_results_that_somebody_wrote_into_the_readme_do_not_survive(
    run_folder, model, written, with_run
):
    (model / "README.md").write_text(f"---\nlicense: mit\n{written}\n---\n\n# Mine\n")
    if not with_run:
        (run_folder / "arguments.json").unlink()
    card = card_of(model)
    assert "0.99" not in str(card)
    assert "nonsense" not in str(card)
    again = ModelCard(str(card)).data.eval_results or []
    assert sorted(r.metric_value for r in again) == ([0.25, 0.375] if with_run else [])


def test_data_set_card_keeps_what_the_build_wrote(built):
    before = DatasetCard.load(built / "README.md")
    card = dataset_card(open_dataset(built), "alice/words", license="cc-by-4.0")
    for read in (MetadataConfigs, DatasetInfosDict):
        assert read.from_dataset_card_data(card.data) == read.from_dataset_card_data(before.data)
    assert 'load_dataset("alice/words")' in card.text
    assert "path/of/this/folder" not in str(card)
    assert (card.data.license, card.data.pretty_name) == ("cc-by-4.0", "words")
    assert card.data.size_categories == ["n<1K"]
    assert "Published under `cc-by-4.0`" in card.text
    assert before.text.split("```")[0].strip() in card.text


def test_licence_of_a_data_set_has_to_be_said(built):
    opened = open_dataset(built)
    with pytest.raises(CardError, match=r"names no licence.*rights.*--license"):
        dataset_card(opened, "alice/words")
    card = dataset_card(opened, "alice/words", license="mit")
    (built / "README.md").write_text(str(card))
    # A second card of the same folder: the licence is known, and no section comes twice.
    again = dataset_card(open_dataset(built), "alice/words")
    assert str(again) == str(card)
    assert dataset_card(open_dataset(built), "alice/words", license="other").data.license == "other"


@pytest.mark.parametrize("license", ["CC BY 4.0", "", "-", "Apache-2.0"])
def test_licence_that_is_no_identifier(model, license):
    with pytest.raises(CardError, match="no identifier of a licence"):
        card_of(model, license=license)


def test_folder_of_templates_links_to_the_package():
    links = {path.name: path for path in (REPOSITORY / "model_cards").iterdir()}
    assert {"emotionnet.md", "textcnn.md", "timm.md", "dataset.md", "limits.md"} <= links.keys()
    for name, path in links.items():
        assert path.resolve() == REPOSITORY / "emotionnet_hf" / "hub" / name
        assert path.read_text()
