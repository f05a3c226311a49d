import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from emotionnet_hf.evaluation.linear_probe import features as module
from emotionnet_hf.evaluation.linear_probe.arguments import LinearProbeError
from emotionnet_hf.evaluation.linear_probe.features import (
    FeatureExtractor,
    fingerprint,
)
from emotionnet_hf.evaluation.linear_probe.rows import Pool
from emotionnet_hf.models.encoders import open_encoder

REPOSITORY = Path(__file__).resolve().parents[3]


def extractor(encoder, cache=None, **changes):
    return FeatureExtractor(encoder, cache, progress=False, **changes)


def everything(pool):
    return np.arange(len(pool))


@pytest.fixture
def counted(encoder, monkeypatch):
    """How many pictures have passed through the trunk."""
    seen = []
    embed = module.embed
    monkeypatch.setattr(
        module, "embed", lambda e, pixels: seen.append(len(pixels)) or embed(e, pixels)
    )
    return seen


def test_features_are_those_of_the_encoder(pooled, encoder):
    pool, parts = pooled
    found = extractor(encoder, batch_size=7).run(pool, everything(pool))
    expected = encoder.encode([pool.open(place) for place in range(len(pool))])["features"]
    np.testing.assert_allclose(found.of(everything(pool)), expected, atol=1e-6)
    assert found.features.dtype == torch.float32 and not found.unreadable
    place = parts["test"].place
    np.testing.assert_allclose(found.of(place), expected[place], atol=1e-6)


def test_only_what_is_asked_for_is_computed(pooled, encoder, counted):
    pool, parts = pooled
    found = extractor(encoder).run(pool, parts["test"].place)
    assert sum(counted) == len(parts["test"]) == (found.row >= 0).sum()


def test_second_call_computes_nothing(pooled, encoder, counted, tmp_path):
    pool, _ = pooled
    first = extractor(encoder, tmp_path / "cache").run(pool, everything(pool))
    assert sum(counted) == len(pool)
    second = extractor(encoder, tmp_path / "cache").run(pool, everything(pool))
    assert sum(counted) == len(pool)
    np.testing.assert_array_equal(first.of(everything(pool)), second.of(everything(pool)))


def test_other_splits_share_the_cache(benchmark, encoder, counted, tmp_path):
    pool = Pool()
    pool.add(benchmark)
    extractor(encoder, tmp_path).run(pool, everything(pool)[:20])
    names = {"train": "test", "validation": "train", "test": "validation"}
    other = benchmark.with_splits({new: benchmark.splits[old] for new, old in names.items()})
    turned = Pool()
    turned.add(other)
    found = extractor(encoder, tmp_path).run(turned, everything(turned))
    assert sum(counted) == len(pool)
    expected = encoder.encode([turned.open(p) for p in range(len(turned))])["features"]
    np.testing.assert_allclose(found.of(everything(turned)), expected, atol=1e-6)


def test_a_changed_picture_is_computed_again(pooled, benchmark, encoder, counted, tmp_path, making):
    pool, _ = pooled
    extractor(encoder, tmp_path / "cache").run(pool, everything(pool))
    path = Path(benchmark.splits["train"][0]["image"]["path"])
    making.draw(path, 1, 99)
    again = Pool()
    again.add(benchmark)
    extractor(encoder, tmp_path / "cache").run(again, everything(again))
    assert sum(counted) == len(pool) + 1


def test_unreadable_pictures_are_set_aside_and_looked_at_again(
    pooled, benchmark, encoder, tmp_path
):
    _, _ = pooled
    path = Path(benchmark.splits["test"][2]["image"]["path"])
    good = path.read_bytes()
    path.write_bytes(good[:90])
    pool = Pool()
    parts = pool.add(benchmark)
    found = extractor(encoder, tmp_path / "cache").run(pool, everything(pool))
    place = parts["test"].place[2]
    assert list(found.unreadable) == [place] and path.name in found.unreadable[place]
    assert found.row[place] == -1 and (found.row >= 0).sum() == len(pool) - 1
    path.write_bytes(good)
    found = extractor(encoder, tmp_path / "cache").run(pool, everything(pool))
    assert not found.unreadable


def test_a_damaged_part_is_computed_again(pooled, encoder, counted, tmp_path, caplog):
    pool, _ = pooled
    first = extractor(encoder, tmp_path).run(pool, everything(pool))
    (part,) = tmp_path.glob("*/part-*.safetensors")
    part.write_bytes(part.read_bytes()[:1000])
    again = extractor(encoder, tmp_path).run(pool, everything(pool))
    np.testing.assert_array_equal(first.features, again.features)
    assert "is damaged" in caplog.text and sum(counted) == 2 * len(pool)


def test_stream_goes_past_the_cache(pooled, encoder, counted, tmp_path):
    pool, parts = pooled
    one = extractor(encoder, tmp_path)
    values = one.stream(pool, parts["test"].place)
    known = one.run(pool, parts["test"].place).of(parts["test"].place)
    np.testing.assert_allclose(values, known, atol=1e-6)
    assert sum(counted) == 2 * len(parts["test"])


def test_a_preprocessing_that_fails_is_the_models_fault(pooled, encoder, monkeypatch):
    pool, _ = pooled

    def fails(images):
        raise RuntimeError("no such size")

    broken = module.Encoder(**{**vars(encoder), "preprocess": fails})
    with pytest.raises(LinearProbeError, match="preprocessing of timm:test_resnet=none fails"):
        extractor(broken).run(pool, everything(pool))


def test_fingerprint_tells_models_and_preprocessing_apart(encoder, checkpoint):
    same = fingerprint(encoder)
    assert same == fingerprint(encoder) != fingerprint(open_encoder(checkpoint, "cpu"))
    blurred = module.Encoder(
        **{**vars(encoder), "preprocess": lambda images: encoder.preprocess(images) * 0.5}
    )
    assert fingerprint(blurred) != same
    weight = next(encoder.model.parameters())
    weight[0] += 1e-3
    assert fingerprint(encoder) != same


SCRIPT = """
import sys, time
from pathlib import Path
import numpy as np
import torch
from tests.evaluation.linear_probe import conftest as drawn
from emotionnet_hf.evaluation.linear_probe import features
from emotionnet_hf.evaluation.linear_probe.rows import Pool
from emotionnet_hf.models.encoders import open_encoder

folder, cache, slow = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "slow"
features._PART = 8
paths = sorted(folder.glob("*.png"))
rows = [drawn.row(path, 0) for path in paths]
pool = Pool()
pool.add(drawn.make_benchmark({"train": rows, "test": rows}))
torch.manual_seed(1)
encoder = open_encoder("timm:test_resnet=none", "cpu")
seen, embed = [], features.embed
def counted(encoder, pixels):
    seen.append(len(pixels))
    time.sleep(0.3 * slow)
    return embed(encoder, pixels)
features.embed = counted
extractor = features.FeatureExtractor(encoder, cache, batch_size=4, progress=False)
found = extractor.run(pool, np.arange(len(pool)))
np.save(sys.argv[4], found.of(np.arange(len(pool))).numpy())
print(sum(seen))
"""


@pytest.mark.slow
def test_killed_extraction_goes_on_behind_its_last_part(tmp_path, making):
    for number in range(40):
        making.draw(tmp_path / "pictures" / f"{number:02}.png", number % 3, number)
    environ = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}

    def words(cache, speed, out):
        names = (tmp_path / "pictures", tmp_path / cache, speed, tmp_path / out)
        return [sys.executable, "-c", SCRIPT, *map(str, names)]

    process = subprocess.Popen(words("cache", "slow", "never.npy"), env=environ, cwd=REPOSITORY)
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "cache").glob("*/part-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "never.npy").exists()
    parts = list((tmp_path / "cache").glob("*/part-*.safetensors"))
    assert 2 <= len(parts) < 5
    for part in parts:
        load_file(part)
    seen = {}
    for cache in ("cache", "fresh"):
        ran = subprocess.run(
            words(cache, "fast", f"{cache}.npy"),
            env=environ,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        )
        seen[cache] = int(ran.stdout)
    assert seen == {"cache": 40 - 8 * len(parts), "fresh": 40}
    np.testing.assert_array_equal(np.load(tmp_path / "cache.npy"), np.load(tmp_path / "fresh.npy"))


def test_features_that_are_no_numbers_are_refused(pooled, encoder):
    pool, _ = pooled
    next(iter(encoder.model.parameters())).data[0] = float("nan")
    with pytest.raises(LinearProbeError, match="features that are NaN or infinite"):
        extractor(encoder).run(pool, everything(pool))
