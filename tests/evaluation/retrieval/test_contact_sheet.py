import base64
import io
import re

import pytest
from PIL import Image

from emotionnet_hf.evaluation.retrieval import (
    SheetError,
    ask,
    build_index,
    open_searcher,
    write_sheet,
)

pytest.importorskip("faiss")


@pytest.fixture(scope="module")
def searchers(index, folder, tmp_path_factory):
    """A network of random weights, and the small EmotionNet."""
    other = tmp_path_factory.mktemp("other") / "index"
    build_index(folder, "timm:test_resnet=none", other, progress=False)
    return [open_searcher(other), open_searcher(index)]


@pytest.fixture(scope="module")
def found(searchers, folder):
    answers = ask(searchers, ["01.png", str(folder / "02.png")], 4)
    return [answer.found for answer in answers]


def test_page_has_the_query_and_both_lines_of_neighbours(searchers, found, tmp_path):
    write_sheet(tmp_path / "s.html", searchers, found)
    page = (tmp_path / "s.html").read_text()
    assert page.count("<section>") == 2
    assert page.count('class="line"') == 4
    assert page.count('class="score"') == 2 * 2 * 4
    assert re.findall(r"<h2>(.*?)</h2>", page) == ["test_resnet", "EmotionNet (model)"] * 2
    images = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(images) == 2 * (1 + 8)
    for image in images:
        assert Image.open(io.BytesIO(base64.b64decode(image))).size == (224, 224)
    assert "http" not in page


def test_what_a_neighbour_shares_with_the_query_is_marked(searchers, found, tmp_path):
    write_sheet(tmp_path / "s.html", searchers, found[:1])
    page = (tmp_path / "s.html").read_text()
    shared = sum("joy" in hit.labels for lines in found[0] for hit in lines.hits)
    assert page.count("<b>joy</b>") == shared == page.count('<figure class="hit">') > 0


def test_picture_is_as_wide_as_its_neighbours(searchers, found, tmp_path):
    write_sheet(tmp_path / "s.png", searchers, found)
    write_sheet(tmp_path / "one.png", searchers[1:], [lines[1:] for lines in found])
    whole, one = (Image.open(tmp_path / name) for name in ("s.png", "one.png"))
    assert whole.width == one.width
    assert whole.height > one.height


def test_words_and_names_of_strangers_are_text(searchers, tmp_path):
    (answer,) = ask(searchers[1:], ["joy, <b>, $x$, fear"], 2)
    write_sheet(tmp_path / "s.html", searchers[1:], [answer.found])
    assert "<b>, " not in (tmp_path / "s.html").read_text()
    write_sheet(tmp_path / "s.png", searchers[1:], [answer.found])
    assert Image.open(tmp_path / "s.png").format == "PNG"


def test_sheet_that_cannot_be_drawn_is_named(searchers, found, tmp_path):
    with pytest.raises(SheetError, match=r"\.png or \.html"):
        write_sheet(tmp_path / "s.pdf", searchers, found)
    with pytest.raises(SheetError, match="no query"):
        write_sheet(tmp_path / "s.png", searchers, [])
    assert not list(tmp_path.iterdir())
