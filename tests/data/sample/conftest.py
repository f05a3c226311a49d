"""One sample on disk, shared by the tests that only read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from emotionnet_hf.data.sample import generate_sample


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a folder with 400 pictures at the default noise."""
    out = tmp_path_factory.mktemp("generated") / "sample"
    generate_sample(out, num_images=400, image_size=32, near_duplicates=0.1, progress=False)
    return out
