import numpy as np
import pytest
import torch
from datasets import Dataset, load_dataset

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


def test_the_text_target_is_the_mean_over_the_whole_list(task, make_emotionnet):
    """f_t of Eq. 3 averages all keywords: here 300, the second half of them other ones."""
    split = load_dataset(make_emotionnet().data)["train"].select([0])
    known = [name for name in task.tokenizer.get_vocab() if name not in ("[PAD]", "[UNK]")]
    names = [known[0]] * 150 + [known[1]] * 150
    rows = Dataset.from_dict({**split[:], "keywords": [names]}, features=split.features)
    batch = task._rows(rows).text(np.array([0]))
    found = task.model.text_tower(batch["keyword_ids"], batch["keyword_mask"])[0]
    table = task.model.text_tower.keyword_embedding.weight
    vectors = [table[task.tokenizer.get_vocab()[name]] for name in known[:2]]
    torch.testing.assert_close(found, (vectors[0] + vectors[1]) / 2)
