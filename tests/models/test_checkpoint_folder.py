"""One saved folder opens as everything, in processes that know nothing but the folder.

Each process runs all there is to run once, and writes what it saw; the tests look at that.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from emotionnet_hf.models import (
    EmotionNetConfig,
    EmotionNetForImageClassification,
    EmotionNetForPreTraining,
    EmotionNetForZeroShotImageClassification,
    EmotionNetModel,
    TextCNNConfig,
    TextCNNForSequenceClassification,
    build_image_processor,
    keyword_tokenizer,
)

KEYWORDS = ["joy", "fear", "candy cane", "awe", "calm", "tree", "unheard of"]

# Shuts our package out, wherever and however it is installed.
BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "emotionnet_hf":
            raise ModuleNotFoundError("No module named 'emotionnet_hf'", name="emotionnet_hf")

sys.meta_path.insert(0, Blocker())
try:
    import emotionnet_hf
except ModuleNotFoundError:
    pass
else:
    raise SystemExit("the package is importable, so this process proves nothing")
trust = {"trust_remote_code": True}
"""
IMPORTER = """
import emotionnet_hf
trust = {}
"""

SCRIPT = """
import json
import sys
from pathlib import Path

import torch
import transformers
from PIL import Image
from safetensors.torch import save_file

transformers.utils.logging.disable_progress_bar()
net, text, out = map(Path, sys.argv[1:4])
image = Image.open(out / "image.png")
tensors, facts = {}, {}

processor = transformers.AutoImageProcessor.from_pretrained(net, **trust)
tokenizer = transformers.AutoTokenizer.from_pretrained(net)
pixels = processor(image, return_tensors="pt")
tokens = tokenizer(["joy, candy cane", "zzz"], padding=True, return_tensors="pt")
tensors["pixel_values"] = pixels["pixel_values"]
tensors["input_ids"] = tokens["input_ids"]

inputs = {
    "AutoModel": pixels,
    "AutoModelForImageClassification": pixels,
    "AutoModelForZeroShotImageClassification": {**pixels, **tokens},
    "AutoModelForPreTraining": {**pixels, **tokens},
}
for name, given in inputs.items():
    model = getattr(transformers, name).from_pretrained(net, **trust)
    facts[name] = [type(model).__name__, type(model).__module__.split(".")[0]]
    for file in ("first", "again"):
        with torch.no_grad():
            output = model(**given)
        tensors |= {f"{name}.{file}.{key}": value.clone() for key, value in output.items()}
        if file == "first":
            model.save_pretrained(out / name)
            model = getattr(transformers, name).from_pretrained(out / name, **trust)

def pipe(task, folder, *args, **kwargs):
    facts[task] = transformers.pipeline(task, model=str(folder), **trust)(*args, **kwargs)

pipe("image-classification", net, image, top_k=4)
pipe("image-feature-extraction", net, image, pool=True)
pipe("zero-shot-image-classification", net, image, candidate_labels=["joy", "candy cane", "zzz"])
zero_shot = transformers.pipeline("zero-shot-image-classification", model=str(net), **trust)
facts["zero-shot pipeline"] = [type(zero_shot).__module__.split(".")[0], type(zero_shot).__name__]
words = ["joys", "Candy-Cane!", "zzz"]
templates = ["This is a photo of {}.", "{}", "A picture of {}", "how {} it is, joy", "{} art"]
facts["templates"] = [
    zero_shot(image, candidate_labels=words, hypothesis_template=template) for template in templates
]
facts["batch"] = zero_shot([image, image, image], candidate_labels=words, batch_size=2)
try:
    zero_shot(image, candidate_labels=["zzz", "qqq"], hypothesis_template="joy {}")
except ValueError as error:
    facts["all unknown"] = str(error)
# Made by hand, and so of the stock class.
stock = transformers.ZeroShotImageClassificationPipeline(
    model=zero_shot.model, tokenizer=tokenizer, image_processor=processor
)
facts["stock class"] = [stock(image, candidate_labels=["joy", "candy cane", "zzz"])]
try:
    stock(image, candidate_labels=["joy", "candy cane"], hypothesis_template="a drawing of {}")
except ValueError as error:
    facts["stock class"] += [str(error)]
pipe("text-classification", text, ["joy, tree", "Candy  Cane"], top_k=None)

facts["with candidates"] = transformers.pipeline("emotion-tagging", model=str(net), **trust)(
    [str(out / "image.png"), str(out / "clear.png")], candidates=["candy cane", "joy", "zzz"]
)
tagger = transformers.pipeline("emotion-tagging", model=str(net), **trust)
facts["pipeline"] = type(tagger).__module__.split(".")[0]
tagger.save_pretrained(out / "tagger")
alone = out / "AutoModelForZeroShotImageClassification"
for part in (processor, tokenizer):
    part.save_pretrained(alone)
facts["from its own folder"] = transformers.pipeline(
    "zero-shot-image-classification", model=str(alone), **trust
)(image, candidate_labels=words, hypothesis_template="a drawing of {}")
for again in ("tagger", "AutoModelForPreTraining"):
    for part in (processor, tokenizer):
        part.save_pretrained(out / again)
    pipe("emotion-tagging", out / again, image)
    facts[again + " again"] = facts.pop("emotion-tagging")
pipe("emotion-tagging", "someone/net", image)
facts["from the Hub"] = facts.pop("emotion-tagging")
pipe("emotion-tagging", net, image)
files = lambda folder: sorted(p.name for p in folder.iterdir() if "pycache" not in p.name)
facts["files"] = {folder.name: files(folder) for folder in (net, out / "tagger")}
try:
    transformers.pipeline("emotion-tagging", model=str(net), trust_remote_code=False)
except ValueError as error:
    facts["untrusted"] = str(error)

for name in inputs:
    config = json.loads((out / name / "config.json").read_text())
    wanted = {target.split(".")[0] + ".py" for target in config["auto_map"].values()}
    facts["missing code of " + name] = sorted(wanted - {p.name for p in (out / name).iterdir()})

textcnn = transformers.AutoModelForSequenceClassification.from_pretrained(text, **trust)
with torch.no_grad():
    tensors["textcnn.logits"] = textcnn(**tokens).logits
    tensors["textcnn.features"] = transformers.AutoModel.from_pretrained(text, **trust)(
        **tokens
    ).pooler_output
facts["loaded"] = sorted({name.split(".")[0] for name in sys.modules} & {"emotionnet_hf"})
save_file({k: v.contiguous() for k, v in tensors.items()}, out / "tensors.safetensors")
(out / "facts.json").write_text(json.dumps(facts))
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    """A whole EmotionNet and a whole TextCNN, saved from here."""
    torch.manual_seed(7)
    root = tmp_path_factory.mktemp("folders")
    labels = {0: "joy", 1: "fear", 2: "awe", 3: "calm"}
    tokenizer = keyword_tokenizer(KEYWORDS)
    config = EmotionNetConfig(
        backbone="test_resnet", projection_dim=6, vocab_size=len(tokenizer), id2label=labels
    )
    net = EmotionNetForPreTraining(config)
    net.text_tower.keyword_embedding.weight.data[:2] = 0
    net.save_pretrained(root / "net")
    build_image_processor("test_resnet", image_size=64).save_pretrained(root / "net")
    config = TextCNNConfig(
        vocab_size=len(tokenizer), embedding_dim=5, hidden_size=4, id2label=labels
    )
    TextCNNForSequenceClassification(config).save_pretrained(root / "text")
    for name in ("net", "text"):
        tokenizer.save_pretrained(root / name)
    return root / "net", root / "text"


def picture() -> Image.Image:
    # 95 x 73 once resized: torchvision's crop of 64 leaves 16 of the 31 pixels on the left.
    pixels = torch.randint(256, (70, 92, 3), generator=torch.Generator().manual_seed(2))
    return Image.fromarray(pixels.to(torch.uint8).numpy())


def in_cache(folder: Path, repository: Path) -> None:
    """Lay a folder into huggingface_hub's cache as if it had been downloaded."""
    commit = "0123456789" * 4
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    shutil.copytree(folder, repository / "snapshots" / commit)


def clear_picture() -> Image.Image:
    """Half of it cannot be seen, and is black for who does not look at the transparency."""
    clear = picture().convert("RGBA")
    clear.paste((0, 0, 0, 0), (0, 0, 46, 70))
    return clear


@pytest.fixture(scope="module", params=["without our package", "with our package imported"])
def seen(request, folders, tmp_path_factory) -> tuple[dict, dict]:
    """What a fresh process saw: tensors, and plain facts."""
    out = tmp_path_factory.mktemp("process")
    picture().save(out / "image.png")
    clear_picture().save(out / "clear.png")
    in_cache(folders[0], out / "home" / "hub" / "models--someone--net")
    without = request.param == "without our package"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "HF_"))}
    environment |= {
        "HF_HOME": str(out / "home"),
        "HF_MODULES_CACHE": str(out / "modules"),
        "HF_HUB_OFFLINE": "1",
    }
    if not without:
        environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", (BLOCKER if without else IMPORTER) + SCRIPT, *folders, out],
        cwd=out,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads((out / "facts.json").read_text())
    facts["home"] = "transformers_modules" if without else "emotionnet_hf"
    return load_file(out / "tensors.safetensors"), facts


@pytest.fixture(scope="module")
def expected(folders) -> dict:
    """The same, computed here."""
    net, _ = folders
    pixels = build_image_processor("test_resnet", image_size=64)(picture(), return_tensors="pt")
    tokens = keyword_tokenizer(KEYWORDS)(
        ["joy, candy cane", "zzz"], padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        return {
            "pixels": pixels["pixel_values"],
            "ids": tokens["input_ids"],
            "AutoModel": EmotionNetModel.from_pretrained(net)(**pixels),
            "AutoModelForImageClassification": EmotionNetForImageClassification.from_pretrained(
                net
            )(**pixels),
            "AutoModelForZeroShotImageClassification": (
                EmotionNetForZeroShotImageClassification.from_pretrained(net)(**pixels, **tokens)
            ),
            "AutoModelForPreTraining": EmotionNetForPreTraining.from_pretrained(net)(
                **pixels, **tokens
            ),
        }


AUTO_CLASSES = {
    "AutoModel": "EmotionNetModel",
    "AutoModelForImageClassification": "EmotionNetForImageClassification",
    "AutoModelForZeroShotImageClassification": "EmotionNetForZeroShotImageClassification",
    "AutoModelForPreTraining": "EmotionNetForPreTraining",
}


def test_our_package_was_there_only_where_it_should_be(seen):
    _, facts = seen
    assert facts["loaded"] == (["emotionnet_hf"] if facts["home"] == "emotionnet_hf" else [])


@pytest.mark.parametrize("name", AUTO_CLASSES)
def test_an_auto_class_finds_the_class(seen, name):
    _, facts = seen
    assert facts[name] == [AUTO_CLASSES[name], facts["home"]]


@pytest.mark.parametrize("moment", ["first", "again"])
@pytest.mark.parametrize("name", AUTO_CLASSES)
def test_outputs_are_those_of_here_and_survive_another_saving(seen, expected, name, moment):
    tensors, _ = seen
    for key, value in expected[name].items():
        assert torch.equal(tensors[f"{name}.{moment}.{key}"], value), key


@pytest.mark.parametrize("name", AUTO_CLASSES)
def test_another_saving_brings_all_of_the_code(seen, name):
    _, facts = seen
    assert facts[f"missing code of {name}"] == []


def test_processor_and_tokenizer_are_those_of_here(seen, expected):
    tensors, _ = seen
    assert torch.equal(tensors["pixel_values"], expected["pixels"])
    assert torch.equal(tensors["input_ids"], expected["ids"])


def test_image_classification_runs(seen, expected):
    _, facts = seen
    logits = expected["AutoModelForImageClassification"].logits[0]
    scores = {tag["label"]: tag["score"] for tag in facts["image-classification"]}
    for i, label in enumerate(["joy", "fear", "awe", "calm"]):
        assert scores[label] == pytest.approx(logits.softmax(-1)[i].item(), abs=1e-5)


def test_image_feature_extraction_gives_the_feature(seen, expected):
    _, facts = seen
    feature = torch.tensor(facts["image-feature-extraction"])
    torch.testing.assert_close(feature, expected["AutoModel"].pooler_output)


@pytest.fixture(scope="module")
def zero_shot_shares(folders) -> list[float]:
    """Scores of joy, candy cane and something unknown, by the model's own numbers."""
    net = EmotionNetForZeroShotImageClassification.from_pretrained(folders[0])
    pixels = build_image_processor("test_resnet", image_size=64)(picture(), return_tensors="pt")
    with torch.no_grad():
        logits = net(torch.tensor([[2], [4], [1]]), **pixels).logits_per_image[0]
    assert logits[2] == 0 and logits.std() > 0.1
    return logits.softmax(-1).tolist()


def shares(tags, words) -> list[float]:
    assert {tag["label"] for tag in tags} == set(words)
    assert [tag["score"] for tag in tags] == sorted((t["score"] for t in tags), reverse=True)
    return [next(tag["score"] for tag in tags if tag["label"] == word) for word in words]


def test_zero_shot_classification_runs_by_the_code_it_should(seen, zero_shot_shares):
    _, facts = seen
    assert facts["zero-shot pipeline"] == [facts["home"], "KeywordZeroShotPipeline"]
    words = ["joy", "candy cane", "zzz"]
    for tags in (facts["zero-shot-image-classification"], facts["stock class"][0]):
        assert shares(tags, words) == pytest.approx(zero_shot_shares, abs=1e-5)


def test_zero_shot_classification_does_not_mind_templates_and_batches(seen, zero_shot_shares):
    _, facts = seen
    words = ["joys", "Candy-Cane!", "zzz"]
    assert (len(facts["templates"]), len(facts["batch"])) == (5, 3)
    for tags in (*facts["templates"], *facts["batch"], facts["from its own folder"]):
        assert shares(tags, words) == pytest.approx(zero_shot_shares, abs=1e-5)


def test_zero_shot_classification_refuses_what_it_does_not_know(seen):
    _, facts = seen
    assert "knows none of the candidates ['zzz', 'qqq']" in facts["all unknown"]
    assert "no word of the 2 texts" in facts["stock class"][1]


def tags_of(outputs, net: Path, words=("joy", "fear", "awe", "calm")) -> dict[str, list[float]]:
    """Probability and cosine of words, from the outputs of both branches."""
    model = EmotionNetForPreTraining.from_pretrained(net)
    probabilities = outputs.logits[0].softmax(-1).tolist()
    table = model.text_tower.keyword_embedding.weight
    tags = {}
    for word in words:
        vector = table[KEYWORDS.index(word) + 2] if word in KEYWORDS else torch.zeros(6)
        cosine = torch.nn.functional.cosine_similarity(outputs.image_embeds[0], vector, dim=0)
        ids = model.config.label2id
        tags[word] = [probabilities[ids[word]] if word in ids else None, cosine.item()]
    return tags


def seen_tags(tags) -> dict[str, list[float]]:
    return {tag["label"]: [tag["probability"], tag["cosine"]] for tag in tags}


def close(tags, others) -> bool:
    return tags.keys() == others.keys() and all(
        tags[word] == pytest.approx(others[word], abs=1e-5) for word in tags
    )


def test_emotion_tagging_runs_by_the_code_it_should(seen, expected, folders):
    _, facts = seen
    assert facts["pipeline"] == facts["home"]
    tags = seen_tags(facts["emotion-tagging"])
    assert close(tags, tags_of(expected["AutoModelForPreTraining"], folders[0]))


def test_emotion_tagging_ranks_candidates_and_sees_transparency_on_white(seen, folders):
    _, facts = seen
    white = Image.new("RGBA", (92, 70), "white")
    seen_white = Image.alpha_composite(white, clear_picture()).convert("RGB")
    model = EmotionNetForPreTraining.from_pretrained(folders[0])
    processor = build_image_processor("test_resnet", image_size=64)
    for tags, image in zip(facts["with candidates"], (picture(), seen_white), strict=True):
        with torch.no_grad():
            outputs = model(**processor(image, return_tensors="pt"))
        words = ("candy cane", "joy", "zzz")
        assert close(seen_tags(tags), tags_of(outputs, folders[0], words))
        assert [tag["score"] for tag in tags] == sorted([t["cosine"] for t in tags], reverse=True)


@pytest.mark.parametrize("where", ["tagger again", "AutoModelForPreTraining again", "from the Hub"])
def test_emotion_tagging_survives_another_saving_and_the_hub(seen, expected, folders, where):
    _, facts = seen
    tags = seen_tags(facts[where])
    assert close(tags, tags_of(expected["AutoModelForPreTraining"], folders[0]))


def test_a_saved_pipeline_is_the_folder_that_a_run_saves(seen):
    _, facts = seen
    assert facts["files"]["tagger"] == facts["files"]["net"]
    assert "pipeline_emotion_tagging.py" in facts["files"]["net"]


def test_without_trust_only_the_package_tags(seen):
    _, facts = seen
    if facts["home"] == "emotionnet_hf":
        assert "untrusted" not in facts
    else:
        assert "trust_remote_code=True" in facts["untrusted"]


def test_textcnn_opens_and_text_classification_runs(seen, folders):
    tensors, facts = seen
    model = TextCNNForSequenceClassification.from_pretrained(folders[1])
    tokens = keyword_tokenizer(KEYWORDS)(
        ["joy, candy cane", "zzz"], padding=True, return_tensors="pt"
    )
    with torch.no_grad():
        assert torch.equal(tensors["textcnn.logits"], model(**tokens).logits)
        features = model.textcnn(**tokens).pooler_output
        assert torch.equal(tensors["textcnn.features"], features)
        for tags, ids in zip(facts["text-classification"], ([[2, 7]], [[4]]), strict=True):
            probabilities = model(torch.tensor(ids)).logits[0].softmax(-1)
            for tag in tags:
                probability = probabilities[model.config.label2id[tag["label"]]].item()
                assert tag["score"] == pytest.approx(probability, abs=1e-5)
