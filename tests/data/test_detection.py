import sys

import matplotlib.cbook
import numpy as np
import pytest
from PIL import Image

from emotionnet_hf.data.detection import DetectorError, FrontalFaces, ModelDetector


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """A detector that learned nothing: seven boxes a picture, of three labels."""
    import torch
    from transformers import YolosConfig, YolosForObjectDetection, YolosImageProcessor

    torch.manual_seed(0)
    config = YolosConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=[64, 64],
        patch_size=16,
        num_detection_tokens=7,
        id2label={0: "cat", 1: "Person", 2: "face"},
    )
    model = YolosForObjectDetection(config)
    # Large weights, so that the boxes of a picture have labels and scores of their own.
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.7)
    folder = tmp_path_factory.mktemp("detector") / "model"
    model.save_pretrained(folder)
    YolosImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


def pictures(count: int) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [
        Image.fromarray(rng.integers(0, 256, (40 + i, 60, 3), dtype=np.uint8)) for i in range(count)
    ]


def plain_counts(folder, images, label: str, threshold: float) -> list[int]:
    """The same counts without a pipeline: scores of the model, box by box."""
    import torch
    from transformers import AutoImageProcessor, AutoModelForObjectDetection

    processor = AutoImageProcessor.from_pretrained(folder)
    model = AutoModelForObjectDetection.from_pretrained(folder).eval()
    counts = []
    for image in images:
        with torch.no_grad():
            logits = model(**processor(images=image, return_tensors="pt")).logits[0]
        scores, ids = logits.softmax(-1)[:, :-1].max(-1)
        names = [model.config.id2label[int(i)] for i in ids]
        kept = (scores > threshold).tolist()
        counts.append(sum(keep and name == label for keep, name in zip(kept, names, strict=True)))
    return counts


@pytest.mark.parametrize(("asked", "label"), [("person", "Person"), ("face", "face")])
def test_model_counts_the_boxes_of_its_label(model_folder, asked, label):
    images = pictures(6)
    wanted = plain_counts(model_folder, images, label, 0.4)
    detector = ModelDetector(str(model_folder), asked, threshold=0.4, batch_size=4, device="cpu")
    assert detector.count(images) == wanted
    assert sum(wanted) > 0
    strict = ModelDetector(str(model_folder), asked, threshold=0.9999, device="cpu")
    assert sum(strict.count(images)) < sum(wanted)


def test_one_picture_is_no_special_case(model_folder):
    detector = ModelDetector(str(model_folder), "person", threshold=0.1, device="cpu")
    images = pictures(3)
    assert [detector.count([image])[0] for image in images] == detector.count(images)


def test_detector_without_the_label_names_those_it_has(model_folder):
    with pytest.raises(DetectorError, match="no label 'dog', only cat, Person, face;"):
        ModelDetector(str(model_folder), "dog")


def test_settings_tell_what_decides_the_counts(model_folder):
    detector = ModelDetector(str(model_folder), "Person", threshold=0.3)
    settings = detector.settings()
    assert settings.pop("transformers")
    assert settings == {"model": str(model_folder), "label": "person", "threshold": 0.3}


def test_faces_of_real_photographs_are_counted():
    pytest.importorskip("dlib")
    # A portrait that matplotlib brings; scikit-learn brings a flower and a temple.
    portrait = Image.open(matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    from sklearn.datasets import load_sample_image

    flower = Image.fromarray(load_sample_image("flower.jpg"))
    double = Image.new("RGB", (portrait.width * 2, portrait.height))
    for place in (0, portrait.width):
        double.paste(portrait, (place, 0))
    detector = FrontalFaces()
    images = [image.convert("RGB").resize((320, 240)) for image in (flower, double)]
    images.append(portrait.convert("RGB"))
    images.append(Image.new("RGB", (1, 1)))
    assert detector.count(images) == [0, 2, 1, 0]
    assert FrontalFaces(threshold=9.0).count(images) == [0, 0, 0, 0]
    assert detector.settings()["doublings"] == 1


def test_missing_dlib_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(DetectorError, match=r"pip install 'emotionnet-hf\[detect\]'"):
        FrontalFaces()
