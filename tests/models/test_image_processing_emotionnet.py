import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2
from transformers import AutoImageProcessor, CLIPImageProcessor, pipeline

from emotionnet_hf.models import EmotionNetImageProcessor, build_image_processor

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def picture(width: int, height: int) -> Image.Image:
    """A smooth picture with some noise, as photographs are."""
    rng = np.random.default_rng(width)
    y, x = np.mgrid[:height, :width] / max(width, height)
    waves = [np.sin(2 * np.pi * (a * x + b * y)) for a, b in ((1, 2), (3, 1), (2, 4))]
    pixels = 127 + 90 * np.stack(waves, -1) + rng.normal(0, 8, (height, width, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("size", [(640, 480), (300, 500), (224, 224), (100, 80), (256, 1024)])
def test_pixels_equal_those_of_torchvision(size):
    image = picture(*size)
    steps = v2.Compose(
        [
            v2.ToImage(),
            v2.Resize(256, antialias=True),
            v2.CenterCrop(224),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )
    given = build_image_processor("resnet50")(image, return_tensors="pt")["pixel_values"][0]
    assert given.dtype == torch.float32
    assert given.shape == (3, 224, 224)
    torch.testing.assert_close(given, steps(image), rtol=0, atol=1e-5)


def places(width: int, height: int) -> Image.Image:
    """A picture whose pixels tell where they are."""
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(
        np.stack([x % 256, y % 256, (x // 256) * 16 + y // 256], -1).astype("u1")
    )


def cropped(processor, image: Image.Image, **kwargs) -> torch.Tensor:
    """What a processor cuts out, as uint8, (3, H, W)."""
    kwargs |= {"do_rescale": False, "do_normalize": False, "return_tensors": "pt"}
    return processor(image, **kwargs)["pixel_values"][0]


@pytest.mark.parametrize("crop", [224, 33])
def test_the_crop_of_every_size_is_torchvisions(crop, tmp_path):
    build_image_processor("resnet50", crop).save_pretrained(tmp_path)
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    beside = 0
    for spare in range(-3, 10):  # smaller ones are padded
        for other in (0, 1, 3, 4):
            image = places(crop + spare, crop + other)
            wanted = v2.functional.pil_to_tensor(v2.functional.center_crop(image, [crop, crop]))
            assert torch.equal(cropped(processor, image, do_resize=False), wanted), image.size
            stock = cropped(CLIPImageProcessor(**processor.to_dict()), image, do_resize=False)
            beside += not torch.equal(stock, wanted)
    assert beside > 10  # so these sizes tell the two crops apart


@pytest.mark.parametrize("size", [(s, 200) for s in range(201, 261, 4)] + [(301, 997), (777, 333)])
def test_resize_and_crop_of_odd_sizes_are_torchvisions(size):
    image = picture(*size)
    steps = v2.Compose([v2.ToImage(), v2.Resize(256, antialias=True), v2.CenterCrop(224)])
    assert torch.equal(cropped(build_image_processor("resnet50"), image), steps(image))


def test_pixels_come_close_to_those_of_pil():
    image = picture(640, 480)
    steps = v2.Compose([v2.Resize(256), v2.CenterCrop(224), v2.PILToTensor()])
    given = build_image_processor("resnet50")(image, return_tensors="pt")["pixel_values"][0]
    std, mean = torch.tensor(STD)[:, None, None], torch.tensor(MEAN)[:, None, None]
    assert ((given * std + mean) * 255 - steps(image)).abs().max() <= 1.5


@pytest.mark.parametrize(("crop", "edge"), [(224, 256), (160, 183), (112, 128), (64, 73)])
def test_other_sizes_keep_the_ratio(crop, edge):
    processor = build_image_processor("resnet50", image_size=crop)
    assert processor.size["shortest_edge"] == edge
    assert processor(picture(90, 120), return_tensors="pt")["pixel_values"].shape[2:] == (
        crop,
        crop,
    )


def test_images_of_several_sizes_become_one_batch():
    images = [picture(50, 300), picture(224, 224), picture(1, 1)]
    batch = build_image_processor("resnet50")(images, return_tensors="pt")["pixel_values"]
    assert batch.shape == (3, 3, 224, 224)
    assert torch.isfinite(batch).all()


def test_grey_images_become_rgb():
    grey = build_image_processor("resnet50")(picture(40, 30).convert("L"), return_tensors="pt")
    assert grey["pixel_values"].shape == (1, 3, 224, 224)


def test_a_backbone_with_statistics_of_its_own_gets_them():
    processor = build_image_processor("vit_base_patch16_224")
    assert list(processor.image_mean) == [0.5] * 3
    assert list(processor.image_std) == [0.5] * 3


def test_a_backbone_that_timm_has_no_statistics_for_gets_those_of_imagenet():
    processor = build_image_processor("a_net_of_my_own")
    assert tuple(processor.image_mean) == MEAN
    assert tuple(processor.image_std) == STD


def test_a_saved_processor_brings_its_code(tmp_path):
    processor = build_image_processor("resnet50", image_size=64)
    processor.save_pretrained(tmp_path)
    files = {"preprocessor_config.json", "image_processing_emotionnet.py"}
    assert {path.name for path in tmp_path.iterdir()} == files
    loaded = AutoImageProcessor.from_pretrained(tmp_path)
    assert type(loaded) is EmotionNetImageProcessor
    image = picture(120, 90)
    assert torch.equal(
        loaded(image, return_tensors="pt")["pixel_values"],
        processor(image, return_tensors="pt")["pixel_values"],
    )


@pytest.mark.parametrize("task", ["image-classification", "emotion-tagging"])
def test_pipelines_ask_nobody_whether_to_run_code(checkpoint, task, capsys):
    pipeline(task, model=str(checkpoint))
    assert "custom code" not in capsys.readouterr().out
