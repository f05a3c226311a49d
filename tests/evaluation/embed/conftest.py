import numpy as np
import pytest
from PIL import Image


def draw(path, seed, size=(60, 50)):
    noise = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise).resize(size).save(path)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A folder of 20 pictures, one of them deep, and three files that are none."""
    folder = tmp_path_factory.mktemp("embed") / "pictures"
    for number in range(19):
        draw(folder / f"{number:02d}.png", number, (60 + number, 50))
    draw(folder / "deep" / "last.jpg", 19)
    (folder / "03-empty.png").write_bytes(b"")
    (folder / "07-text.jpg").write_text("no picture")
    (folder / "zz-cut.jpg").write_bytes((folder / "deep" / "last.jpg").read_bytes()[:-200])
    return folder
