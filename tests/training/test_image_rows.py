import numpy as np
import pytest
import torch
from datasets import load_dataset

from emotionnet_hf.training.batches import MicroBatch
from emotionnet_hf.training.emotionnet import EmotionNetTask


@pytest.fixture
def task(make_emotionnet):
    return EmotionNetTask(make_emotionnet())


def test_augmentation_depends_on_seed_epoch_and_row_alone(task):
    rows = task.train_rows
    both = rows.__getitems__(MicroBatch(1, np.array([4, 7])))["pixels"]
    alone = rows.__getitems__(MicroBatch(1, np.array([7])))["pixels"]
    later = rows.__getitems__(MicroBatch(2, np.array([7])))["pixels"]
    assert both.dtype == torch.uint8
    assert both.shape == (2, 3, 32, 32)
    assert torch.equal(both[1], alone[0])
    assert not torch.equal(alone, later)


def test_evaluation_pixels_are_those_of_the_saved_processor(task, make_emotionnet):
    split = load_dataset(make_emotionnet().data)["validation"]
    pixels = task.rows["validation"].for_evaluation(np.array([0, 3]))["pixel_values"]
    expected = task.train_rows.processor(
        [split[0]["image"], split[3]["image"]], return_tensors="pt"
    )["pixel_values"]
    assert torch.equal(pixels, expected)
