"""The stock task by keywords; test_checkpoint_folder.py runs it without the package."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoTokenizer,
    CLIPConfig,
    CLIPModel,
    ZeroShotImageClassificationPipeline,
    pipeline,
)

from emotionnet_hf.models import EmotionNetForPreTraining, EmotionNetForZeroShotImageClassification
from emotionnet_hf.models.modeling_words import UnknownCandidatesError
from emotionnet_hf.pipelines import KeywordZeroShotPipeline

TASK = "zero-shot-image-classification"
LOGGER = "emotionnet_hf.models.modeling_words"
TEMPLATES = [
    *("This is a photo of {}.", "{}", "A picture of {}", "a {} scene", "{}, joy and fear"),
    *("tree {} tree", "joy {}", "how {0} it is", "{{curly}} {}", "Das Bild macht {!s}."),
]


def picture(seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((48, 40), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def classify(tagging_checkpoint):
    return pipeline(TASK, model=str(tagging_checkpoint))


def naive(folder, lists: list[list[str]], image) -> list[float]:
    """Softmax of 10 times the cosines with the means of the word vectors; zero for none."""
    model = EmotionNetForPreTraining.from_pretrained(folder).eval()
    vocabulary = AutoTokenizer.from_pretrained(folder).get_vocab()
    table = model.text_tower.keyword_embedding.weight.detach().double()
    pixels = AutoImageProcessor.from_pretrained(folder)(image, return_tensors="pt")
    with torch.no_grad():
        embed = model(**pixels).image_embeds[0].double()
    cosines = torch.zeros(len(lists), dtype=torch.float64)
    for place, words in enumerate(lists):
        if words:
            mean = torch.stack([table[vocabulary[word]] for word in words]).mean(dim=0)
            cosines[place] = torch.dot(embed, mean) / embed.norm() / mean.norm()
    return (10 * cosines).softmax(dim=0).tolist()


def shares(tags, words) -> list[float]:
    assert sorted(tag["label"] for tag in tags) == sorted(words)
    return [next(tag["score"] for tag in tags if tag["label"] == word) for word in words]


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_words_of_a_template_do_not_count(classify, tagging_checkpoint, template):
    words = ["joy", "candy cane", "tree"]
    expected = naive(tagging_checkpoint, [[word] for word in words], picture())
    assert np.std(expected) > 0.05
    tags = classify(picture(), candidate_labels=words, hypothesis_template=template)
    assert shares(tags, words) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("template", ["{}", "{} of joy", "happy {}"])
def test_a_candidate_keeps_its_words_that_the_template_has_too(
    classify, tagging_checkpoint, template
):
    words = ["joyful tree", "calm tree", "joy, tree, fear"]
    known = [["joy", "tree"], ["calm", "tree"], ["joy", "tree", "fear"]]
    tags = classify(picture(), candidate_labels=words, hypothesis_template=template)
    assert shares(tags, words) == pytest.approx(
        naive(tagging_checkpoint, known, picture()), abs=1e-5
    )


@pytest.mark.parametrize("template", ["{}", "a picture of {}"])
def test_a_single_candidate_has_all_there_is(classify, template):
    tags = classify(picture(), candidate_labels=["fear"], hypothesis_template=template)
    assert tags == [{"label": "fear", "score": 1.0}]
    with pytest.raises(UnknownCandidatesError, match="zzz"):
        classify(picture(), candidate_labels=["zzz"], hypothesis_template=template)


@pytest.mark.parametrize("template", ["a picture", "", "{mood}", "{", "{1}", "{{}}", 7])
def test_a_template_without_a_place_is_refused(classify, template):
    with pytest.raises(ValueError, match=r"no place for the candidate.*a picture of {}"):
        classify(picture(), candidate_labels=["joy", "fear"], hypothesis_template=template)


@pytest.mark.parametrize("template", ["This is a photo of {}.", "zzz {}", "joy, {}"])
def test_only_unknown_candidates_are_an_error_that_names_them(classify, template):
    words = ["zzz", "nameless", "qqq aaa"]
    with pytest.raises(UnknownCandidatesError, match=r"\['zzz', 'nameless', 'qqq aaa'\].*'joy'"):
        classify(picture(), candidate_labels=words, hypothesis_template=template)


def test_some_unknown_candidates_are_named_once(classify, tagging_checkpoint, caplog):
    words = ["joy", "zzz", "awe", "nameless"]
    with caplog.at_level(logging.WARNING):
        several = classify([picture(i) for i in range(3)], candidate_labels=words)
        classify(picture(), candidate_labels=words, hypothesis_template="a {} day")
    assert [record.message for record in caplog.records] == [
        "no word vector for ['zzz', 'nameless']: they get cosine 0"
    ]
    for i, tags in enumerate(several):
        expected = naive(tagging_checkpoint, [["joy"], [], ["awe"], []], picture(i))
        assert shares(tags, words) == pytest.approx(expected, abs=1e-5)


def test_lost_words_of_a_phrase_are_named(classify, caplog):
    with caplog.at_level(logging.WARNING, logger=LOGGER):
        classify(picture(), candidate_labels=["joy", "calm zzz"])
    assert "'calm zzz' is compared by ['calm']; no word vector for ['zzz']" in caplog.text


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_batches_change_nothing(classify, batch_size):
    images, words = [picture(i) for i in range(5)], ["joy", "Fears", "awe"]
    options = {"candidate_labels": words, "hypothesis_template": "so much {}"}
    several = classify(images, batch_size=batch_size, **options)
    assert len(several) == 5 and len({tags[0]["score"] for tags in several}) == 5
    for tags, image in zip(several, images, strict=True):
        expected = shares(classify(image, **options), words)
        assert shares(tags, words) == pytest.approx(expected, abs=1e-5)


def test_a_generator_of_images_is_taken(classify):
    tags = list(classify((picture(i) for i in range(3)), candidate_labels=["joy", "fear"]))
    assert [len(one) for one in tags] == [2, 2, 2]


@pytest.mark.parametrize("kind", [tuple, np.array, iter])
def test_candidates_may_be_of_any_kind(classify, kind):
    words = ["joy", "fear"]
    tags = classify(picture(), candidate_labels=kind(words))
    assert tags == classify(picture(), candidate_labels=words)
    assert all(type(tag["label"]) is str for tag in tags)


@pytest.mark.parametrize("labels", ["joy", "joy, fear", [], "", None, [1, 2], ["joy", None]])
def test_what_are_no_candidates_is_refused(classify, labels):
    with pytest.raises(ValueError, match="candidate_labels must be a list of words"):
        classify(picture(), candidate_labels=labels)


def test_the_class_of_its_own_folder_and_a_given_model_work_the_same(
    classify, tagging_checkpoint, tmp_path
):
    options = {"candidate_labels": ["joys", "awe"], "hypothesis_template": "a {} thing"}
    model = EmotionNetForZeroShotImageClassification.from_pretrained(tagging_checkpoint)
    parts = {
        "tokenizer": AutoTokenizer.from_pretrained(tagging_checkpoint),
        "image_processor": AutoImageProcessor.from_pretrained(tagging_checkpoint),
    }
    given = pipeline(TASK, model=model, **parts)
    given.save_pretrained(tmp_path)
    for again in (given, pipeline(TASK, model=str(tmp_path))):
        assert type(again) is KeywordZeroShotPipeline
        assert again(picture(), **options) == classify(picture(), **options)


def test_nothing_is_said_of_a_model_that_is_not_supported(tagging_checkpoint, caplog):
    with caplog.at_level(logging.INFO):
        pipeline(TASK, model=str(tagging_checkpoint))
    assert "not supported" not in caplog.text


def test_other_models_get_the_stock_pipeline(tagging_checkpoint):
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    config = CLIPConfig(
        text_config={**sizes, "num_attention_heads": 2, "vocab_size": 99},
        vision_config={**sizes, "num_attention_heads": 2, "image_size": 32, "patch_size": 16},
        projection_dim=4,
    )
    other = pipeline(
        TASK,
        model=CLIPModel(config),
        tokenizer=AutoTokenizer.from_pretrained(tagging_checkpoint),
        image_processor=AutoImageProcessor.from_pretrained(tagging_checkpoint),
    )
    assert type(other) is ZeroShotImageClassificationPipeline
    assert len(other(picture(), candidate_labels=["joy", "fear"])) == 2


def test_no_picture_gives_no_scores(classify):
    assert classify([], candidate_labels=["joy", "fear"]) == []
