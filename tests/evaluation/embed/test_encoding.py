import threading

import numpy as np
import pytest
import torch

from emotionnet_hf.evaluation.embed.encoding import Encoding, encoding_threads
from emotionnet_hf.evaluation.embed.engines import open_engine
from emotionnet_hf.evaluation.embed.rows import DataSetOptions, EmbedSourceError
from emotionnet_hf.evaluation.embed.sources import open_source
from emotionnet_hf.loading.images import open_image
from emotionnet_hf.models.encoders import open_encoder


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return open_encoder("timm:test_resnet=none", "cpu")


def items(pictures):
    return open_source(pictures, DataSetOptions()).items()


def test_batches_come_in_order_without_the_pictures_that_cannot_be_used(encoder, pictures):
    with encoding_threads(3) as pool:
        encoding = Encoding(encoder, pool, 3, 2, 10**6)
        batches = list(encoding.encode(open_engine(encoder), items(pictures)))
    names = [name for batch in batches for name in batch.ids]
    assert [name for name, _ in (row for batch in batches for row in batch.rejected)] == [
        "03-empty.png",
        "07-text.jpg",
        "zz-cut.jpg",
    ]
    vectors = np.concatenate([batch.vectors["features"] for batch in batches if batch.ids])
    images = [open_image(pictures / name) for name in names]
    assert len(names) == 20
    np.testing.assert_allclose(vectors, encoder.encode(images)["features"], rtol=1e-4, atol=1e-6)


def test_few_pictures_wait_in_memory(encoder, pictures):
    taken = []

    def watched():
        for item in items(pictures):
            taken.append(item.id)
            yield item

    with encoding_threads(1) as pool:
        encoding = Encoding(encoder, pool, 1, 2, 10**6)
        next(encoding.encode(open_engine(encoder), watched()))
        assert len(taken) <= 2 * 2


def test_each_thread_uses_one_core_and_the_process_gets_its_number_back():
    before = torch.get_num_threads()
    with encoding_threads(2) as pool:
        gate = threading.Barrier(2)

        def ask(_):
            gate.wait()
            return torch.get_num_threads()

        assert list(pool.map(ask, range(2))) == [1, 1]
    assert torch.get_num_threads() == before


def test_sample_passes_over_bad_pictures_and_says_why_there_is_none(encoder, pictures):
    with encoding_threads(2) as pool:
        encoding = Encoding(encoder, pool, 2, 2, 10**6)
        assert encoding.sample(items(pictures), 5).shape == (5, 3, *encoder.size)
        bad = open_source([pictures / "03-empty.png"], DataSetOptions())
        with pytest.raises(EmbedSourceError, match="zero bytes"):
            encoding.sample(bad.items(), 5)
