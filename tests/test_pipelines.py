import base64
import json
import logging
import math
import sys

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    TextClassificationPipeline,
    pipeline,
)

from emotionnet_hf.loading.images import ImageError
from emotionnet_hf.models import (
    EmotionNetForPreTraining,
    TextCNNConfig,
    TextCNNForSequenceClassification,
    keyword_tokenizer,
)
from emotionnet_hf.pipelines import EmotionTaggingPipeline, UnknownCandidatesError, load_picture

EMOTIONS = ["joy", "fear", "awe", "calm", "nameless"]


def picture(seed: int, size=(48, 40)) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def tagger(checkpoint):
    return pipeline("emotion-tagging", model=str(checkpoint))


@pytest.fixture(scope="module")
def naive(checkpoint):
    """Logits and joint-space vector of one image, and the word vectors by keyword."""
    model = EmotionNetForPreTraining.from_pretrained(checkpoint).eval()
    processor = AutoImageProcessor.from_pretrained(checkpoint)
    ids = AutoTokenizer.from_pretrained(checkpoint).get_vocab()
    table = model.text_tower.keyword_embedding.weight.detach()

    def compute(image):
        with torch.no_grad():
            output = model(processor(images=image, return_tensors="pt")["pixel_values"])
        return output.logits[0].tolist(), output.image_embeds[0].tolist()

    return compute, {name: table[index].tolist() for name, index in ids.items()}


def naive_cosine(one, other) -> float:
    lengths = math.sqrt(sum(a * a for a in one)) * math.sqrt(sum(b * b for b in other))
    return sum(a * b for a, b in zip(one, other, strict=True)) / lengths if lengths else 0.0


def same(tags, others) -> bool:
    return [tag["label"] for tag in tags] == [tag["label"] for tag in others] and all(
        tag[key] == pytest.approx(other[key], abs=1e-5)
        for tag, other in zip(tags, others, strict=True)
        for key in ("score", "probability", "cosine")
    )


def test_task_opens_our_pipeline_with_what_it_needs(tagger):
    assert isinstance(tagger, EmotionTaggingPipeline)
    assert isinstance(tagger.model, EmotionNetForPreTraining)
    assert tagger.tokenizer is not None
    assert tagger.image_processor is not None


def test_without_candidates_the_models_keywords_are_ranked_by_softmax(tagger, naive):
    compute, vectors = naive
    logits, embed = compute(picture(0))
    total = sum(math.exp(value) for value in logits)
    expected = sorted(
        ((name, math.exp(value) / total) for name, value in zip(EMOTIONS, logits, strict=True)),
        key=lambda pair: -pair[1],
    )
    tags = tagger(picture(0))
    assert [tag["label"] for tag in tags] == [name for name, _ in expected]
    for tag, (name, probability) in zip(tags, expected, strict=True):
        assert tag["score"] == tag["probability"] == pytest.approx(probability, abs=1e-5)
        assert tag["cosine"] == pytest.approx(naive_cosine(embed, vectors[name]), abs=1e-5)


def test_candidates_are_ranked_by_cosine(tagger, naive):
    compute, vectors = naive
    _, embed = compute(picture(1))
    words = ["tree", "candy cane", "fear", "joy"]
    expected = {word: naive_cosine(embed, vectors[word]) for word in words}
    tags = tagger(picture(1), candidates=words)
    assert [tag["label"] for tag in tags] == sorted(words, key=lambda word: -expected[word])
    for tag in tags:
        assert tag["score"] == tag["cosine"] == pytest.approx(expected[tag["label"]], abs=1e-5)


def test_candidate_has_a_probability_only_among_the_models_emotions(tagger):
    tags = {tag["label"]: tag for tag in tagger(picture(1), candidates=["tree", "joy"])}
    (own,) = [tag for tag in tagger(picture(1)) if tag["label"] == "joy"]
    assert tags["tree"]["probability"] is None
    assert tags["joy"]["probability"] == pytest.approx(own["probability"])


def test_list_of_keywords_as_a_candidate_is_the_mean_of_its_vectors(tagger, naive):
    compute, vectors = naive
    _, embed = compute(picture(2))
    mean = [(a + b) / 2 for a, b in zip(vectors["candy cane"], vectors["tree"], strict=True)]
    (tag,) = tagger(picture(2), candidates=["candy cane, tree"])
    assert tag["cosine"] == pytest.approx(naive_cosine(embed, mean), abs=1e-5)


def test_candidates_are_brought_to_normal_form_and_shown_as_given(tagger):
    (loud,) = tagger(picture(2), candidates=["  JOY"])
    (plain,) = tagger(picture(2), candidates=["joy"])
    assert loud == {**plain, "label": "  JOY"}


def test_candidates_are_looked_up_by_other_forms_and_parts(tagger):
    pairs = {"Joys!": "joy", "calm trees": "calm, tree", "candy-canes": "candy cane"}
    for text, words in pairs.items():
        (tag,) = tagger(picture(2), candidates=[text])
        (known,) = tagger(picture(2), candidates=[words])
        assert tag["label"] == text and tag["cosine"] == known["cosine"] != 0


def test_top_k_cuts_the_list(tagger):
    assert same(tagger(picture(0), top_k=2), tagger(picture(0))[:2])
    assert len(tagger(picture(0), top_k=99)) == len(EMOTIONS)


def test_path_string_and_picture_give_the_same_tags(tagger, tmp_path):
    path = tmp_path / "a.png"
    picture(3).save(path)
    expected = tagger(picture(3))
    assert same(tagger(str(path)), expected)
    assert same(tagger(path), expected)


def test_bytes_and_base64_give_the_same_tags_transparency_on_white(tagger, tmp_path):
    # Longer than a file's name can be, and black where it is transparent.
    picture(3, (300, 200)).convert("RGBA").resize((350, 200)).save(tmp_path / "a.png")
    clear = Image.open(tmp_path / "a.png")
    clear.paste((0, 0, 0, 0), (0, 0, 200, 200))
    clear.save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    text = base64.b64encode(data).decode()
    expected = tagger(tmp_path / "a.png")
    assert len(text) > 1000
    for source in (data, text, f"data:image/png;base64,{text}"):
        assert same(tagger(source), expected)


def test_pictures_differ_in_their_tags(tagger):
    assert not same(tagger(picture(0)), tagger(picture(1)))


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8])
def test_batches_change_nothing(tagger, batch_size):
    pictures = [picture(i, (40 + i, 60 - i)) for i in range(5)]
    tags = tagger(pictures, batch_size=batch_size)
    assert len(tags) == 5
    assert all(same(ours, tagger(image)) for ours, image in zip(tags, pictures, strict=True))


def test_generator_gives_tags_one_by_one(tagger):
    candidates = ["joy", "fear"]
    tags = list(tagger((picture(i) for i in range(3)), batch_size=2, candidates=candidates))
    assert len(tags) == 3
    assert all(same(ours, tagger(picture(i), candidates=candidates)) for i, ours in enumerate(tags))


def test_unknown_candidate_gets_cosine_zero_and_a_warning(tagger, caplog):
    with caplog.at_level(logging.WARNING, logger="emotionnet_hf.models.modeling_words"):
        tags = tagger(picture(0), candidates=["joy", "zzz", "fear"])
    assert {tag["label"]: tag["cosine"] for tag in tags}["zzz"] == 0
    assert "no word vector for ['zzz']" in caplog.text


def test_warning_comes_once_for_many_pictures(tagger, caplog):
    with caplog.at_level(logging.WARNING, logger="emotionnet_hf.models.modeling_words"):
        tagger([picture(0), picture(1)], candidates=["awe", "nameless"])
    assert len(caplog.records) == 1


def test_models_own_keyword_without_a_vector_is_no_reason_to_warn(checkpoint, caplog):
    with caplog.at_level(logging.WARNING, logger="emotionnet_hf.models.modeling_words"):
        tags = pipeline("emotion-tagging", model=str(checkpoint))(picture(0))
    assert {tag["label"]: tag["cosine"] for tag in tags}["nameless"] == 0
    assert not caplog.records


def test_only_unknown_candidates_is_an_error_that_names_a_known_word(tagger):
    with pytest.raises(UnknownCandidatesError, match=r"zzz.*such as 'joy'"):
        tagger(picture(0), candidates=["zzz", "qqq", ""])


def test_model_without_any_word_vector_still_ranks_its_own_keywords(checkpoint):
    tagger = pipeline("emotion-tagging", model=str(checkpoint))
    tagger.model.text_tower.keyword_embedding.weight.data.zero_()
    tags = tagger(picture(0))
    assert sum(tag["probability"] for tag in tags) == pytest.approx(1)
    assert {tag["cosine"] for tag in tags} == {0}


def test_labels_that_are_not_in_normal_form_keep_their_probability(checkpoint):
    tagger = pipeline("emotion-tagging", model=str(checkpoint))
    tagger.model.config.id2label = {i: name.upper() for i, name in enumerate(EMOTIONS)}
    assert all(tag["probability"] == tag["score"] for tag in tagger(picture(0)))
    assert tagger(picture(0), candidates=["joy"])[0]["probability"] is not None


@pytest.mark.parametrize("candidates", ["joy", "joy, fear", [], (), "", [1]])
def test_candidates_have_to_be_a_filled_list(tagger, candidates):
    with pytest.raises(ValueError, match="list of words"):
        tagger(picture(0), candidates=candidates)


@pytest.mark.parametrize("top_k", [0, -1])
def test_top_k_has_to_be_positive(tagger, top_k):
    with pytest.raises(ValueError, match="at least 1"):
        tagger(picture(0), top_k=top_k)


def test_transparency_is_on_white_as_in_training():
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert load_picture(clear).getpixel((0, 0)) == (255, 255, 255)


def test_picture_that_was_turned_upright_is_not_turned_again(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(0, (48, 20)).save(tmp_path / "a.jpg", exif=exif)
    once = load_picture(tmp_path / "a.jpg")
    assert once.size == load_picture(once).size == (20, 48)


def test_damaged_picture_is_an_error_that_says_so(tagger, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match="not an image"):
        tagger(str(tmp_path / "a.png"))


def test_heic_without_the_extra_is_an_error_that_names_it(tagger, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    with pytest.raises(ImageError, match=r"emotionnet-hf\[heic\]"):
        tagger(str(tmp_path / "a.jpg"))


def test_what_a_url_lacks_is_an_image_error_too():
    with pytest.raises(ImageError, match="cannot be fetched: Invalid IPv6 URL"):
        load_picture("http://[a/b c.png")


def test_what_is_no_picture_at_all_is_refused(tagger):
    with pytest.raises(TypeError):
        tagger(3.5)
    with pytest.raises(ValueError, match="Incorrect image source"):
        tagger("nowhere.png")


def test_saved_pipeline_holds_code_that_runs_without_the_package(tagger, checkpoint, tmp_path):
    tagger.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["custom_pipelines"]["emotion-tagging"] == {
        "impl": "pipeline_emotion_tagging.EmotionTaggingPipeline",
        "pt": ["AutoModelForPreTraining"],
        "type": "image",
    }
    assert {p.name for p in tmp_path.iterdir()} == {p.name for p in checkpoint.iterdir()}
    assert same(pipeline("emotion-tagging", model=str(tmp_path))(picture(0)), tagger(picture(0)))


@pytest.mark.parametrize("task", ["emotion-tagging", "zero-shot-image-classification"])
def test_opening_a_pipeline_asks_nothing_on_the_terminal(checkpoint, monkeypatch, capfd, task):
    asked = []
    monkeypatch.setattr("builtins.input", lambda *words: asked.append(words) or "n")
    pipeline(task, model=str(checkpoint))
    assert not asked and not capfd.readouterr().out


@pytest.mark.parametrize("trust", [None, False, True])
def test_package_needs_no_trust_and_keeps_its_own_pipeline(checkpoint, trust):
    tagger = pipeline("emotion-tagging", model=str(checkpoint), trust_remote_code=trust)
    assert type(tagger) is EmotionTaggingPipeline


def test_an_unknown_option_is_named(checkpoint):
    tagger = pipeline("emotion-tagging", model=str(checkpoint))
    with pytest.raises(TypeError, match="knows no candidate_labels"):
        tagger(Image.new("RGB", (40, 40)), candidate_labels=["joy"])


@pytest.mark.parametrize("images", [[], (), Dataset.from_dict({"image": []})])
def test_no_picture_gives_no_tags(tagger, images):
    assert tagger(images) == []
    assert tagger(images, candidates=["joy"], batch_size=2) == []
    assert list(tagger(image for image in images)) == []


@pytest.mark.parametrize("kind", [np.array, tuple, lambda words: np.array(words, dtype=object)])
def test_candidates_may_be_an_array(tagger, kind):
    words = ["joy", "fear"]
    assert tagger(picture(0), candidates=kind(words)) == tagger(picture(0), candidates=words)


@pytest.mark.parametrize(
    "candidates", [np.array("joy"), np.array([["joy"]]), np.array([]), np.array([1, 2]), 5]
)
def test_an_array_that_is_no_list_of_words_is_refused(tagger, candidates):
    with pytest.raises(ValueError, match="list of words"):
        tagger(picture(0), candidates=candidates)


# --- TextCNN in the stock task


@pytest.fixture(scope="module")
def classify(tmp_path_factory):
    folder = tmp_path_factory.mktemp("textcnn")
    torch.manual_seed(0)
    config = TextCNNConfig(
        vocab_size=4, embedding_dim=5, hidden_size=6, id2label=dict(enumerate(EMOTIONS))
    )
    model = TextCNNForSequenceClassification(config)
    model.textcnn.embedding.weight.data[:2] = 0
    model.save_pretrained(folder)
    keyword_tokenizer(["joy", "sea"]).save_pretrained(folder)
    return pipeline("text-classification", model=str(folder))


def test_a_text_without_a_word_is_classified_as_an_unknown_word(classify):
    unknown, known = classify(["zzz", "joy"], top_k=None)
    assert unknown != known
    for text in ("", " ", ",", "zzz, zzz"):
        assert classify(text, top_k=None) == unknown
        one, other = classify([text, "joy, sea"], top_k=None, batch_size=2)
        assert [tag["label"] for tag in one] == [tag["label"] for tag in unknown]
        scores = [tag["score"] for tag in one]
        assert scores == pytest.approx([tag["score"] for tag in unknown], abs=1e-6)
        assert other != one


@pytest.mark.parametrize("texts", [[], ()])
def test_no_text_gives_no_classes(classify, texts):
    assert classify(texts) == classify(texts, top_k=2, batch_size=2) == []


def test_other_text_models_get_the_stock_pipeline():
    config = BertConfig(
        vocab_size=9, hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=4
    )
    other = pipeline(
        "text-classification",
        model=BertForSequenceClassification(config),
        tokenizer=keyword_tokenizer(["joy", "sea"]),
    )
    assert type(other) is TextClassificationPipeline
    assert other("joy")[0]["label"] in ("LABEL_0", "LABEL_1")
