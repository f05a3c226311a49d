import base64
import io
import re
import shutil

import pytest
import timm
from PIL import Image
from safetensors.torch import save_file

from emotionnet_hf.evaluation.retrieval import (
    GalleryError,
    SheetError,
    ask,
    build_index,
    open_searcher,
    write_sheet,
)
from emotionnet_hf.evaluation.retrieval.contact_sheet import _block, _draw

pytest.importorskip("faiss")


@pytest.fixture(scope="module")
def searchers(index, folder, tmp_path_factory):
    """A network of random weights, and the small EmotionNet."""
    other = tmp_path_factory.mktemp("other")
    network = timm.create_model("test_resnet", num_classes=0)
    save_file(network.state_dict(), other / "w.safetensors")
    model = f"timm:test_resnet={other / 'w.safetensors'}"
    build_index(folder, model, other / "index", progress=False)
    return [open_searcher(other / "index"), open_searcher(index)]


@pytest.fixture(scope="module")
def found(searchers, folder):
    answers = ask(searchers, ["01.png", str(folder / "02.png")], 4)
    return [answer.found for answer in answers]


def test_page_has_the_query_and_both_lines_of_neighbours(searchers, found, checkpoint, tmp_path):
    write_sheet(tmp_path / "s.html", searchers, found)
    page = (tmp_path / "s.html").read_text()
    assert page.count("<section>") == 2
    assert page.count('class="line"') == 4
    assert page.count('class="score"') == 2 * 2 * 4
    assert (
        re.findall(r"<h2>(.*?)</h2>", page)
        == [*("test_resnet", f"EmotionNet ({checkpoint.parent.name})")] * 2
    )
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


def test_queries_of_one_index_have_room_for_themselves(searchers, found, tmp_path):
    """Nothing is drawn outside of the picture, nor over the next query."""
    blocks = [_block(searchers[1:], answers) for answers in [lines[1:] for lines in found]]
    figure = _draw(blocks)
    figure.draw_without_rendering()
    lowest = [text.get_window_extent().y0 for text in figure.texts]
    assert min(lowest) > 0
    queries = sorted(t.get_window_extent().y1 for t in figure.texts if t.get_text() == "Query")
    captions = [t for t in figure.texts if t.get_fontsize() == 10.5]
    assert len(queries) == 2 and len(captions) >= 2
    assert sum(text.get_window_extent().y0 > queries[0] for text in captions) >= 1
    crossing = [
        t for t in captions if t.get_window_extent().y0 <= queries[0] <= t.get_window_extent().y1
    ]
    assert not crossing


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
    with pytest.raises(SheetError, match=r"do not fit into one PNG; write \.html"):
        write_sheet(tmp_path / "s.png", searchers, found * 100)
    assert not list(tmp_path.iterdir())


def test_picture_that_is_gone_leaves_its_tile_empty(folder, checkpoint, tmp_path):
    """Without keywords and with a single neighbour."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in ("00.png", "01.png"):
        shutil.copy(folder / name, pictures)
    build_index(pictures, checkpoint, tmp_path / "index", progress=False)
    searcher = open_searcher(tmp_path / "index")
    (answer,) = ask([searcher], ["00.png"], 5)
    assert len(answer.found[0].hits) == 1
    (pictures / "01.png").unlink()
    for name in ("s.png", "s.html"):
        write_sheet(tmp_path / name, [searcher], [answer.found])
    page = (tmp_path / "s.html").read_text()
    assert "<figcaption>00.png</figcaption>" in page
    images = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    gone = Image.open(io.BytesIO(base64.b64decode(images[-1]))).getcolors()
    assert gone is not None and len(gone) == 1
    (pictures / "00.png").unlink()
    pictures.rmdir()
    with pytest.raises(GalleryError, match="--pictures"):
        write_sheet(tmp_path / "s.png", [searcher], [answer.found])


def test_index_of_one_picture_has_no_neighbours_to_draw(folder, checkpoint, tmp_path):
    (tmp_path / "one").mkdir()
    shutil.copy(folder / "00.png", tmp_path / "one")
    build_index(tmp_path / "one", checkpoint, tmp_path / "index", progress=False)
    searcher = open_searcher(tmp_path / "index")
    (answer,) = ask([searcher], ["00.png"], 5)
    assert answer.found[0].hits == []
    write_sheet(tmp_path / "s.png", [searcher], [answer.found])
    assert Image.open(tmp_path / "s.png").format == "PNG"
