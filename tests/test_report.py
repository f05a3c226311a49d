import base64
import json
import re
import warnings
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image

from emotionnet_hf.evaluation import Features
from emotionnet_hf.evaluation.clean_labels import SoftLabels, keyword_scores, restoration
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.loading.schema import stockemotion_features
from emotionnet_hf.report import Findings, write_report

NAMES = ["joy", "<b>&fear", "cash $$ x $", "calm", "candy cane", 'a "quoted" word']
FIGURES = {"losses", "validation", "examples", "neighbours"}
SECONDS = {"draw & build": 1.0}


def make_findings(rows=20, names=NAMES, missing=True, mode="RGB") -> Findings:
    random = np.random.default_rng(rows)
    clean = random.random((rows, len(names))) < 0.5
    clean[:, 0] = True
    listed = clean & (random.random(clean.shape) < 0.6) if missing else clean
    features = stockemotion_features(Vocabulary(names))
    pixels = random.integers(0, 256, (rows, 24, 24, 3), dtype=np.uint8)
    table = [
        {
            "image": Image.fromarray(values).convert(mode),
            "image_id": str(i),
            "keywords": [],
            "emotion_keywords": [],
            "phash": "",
            "source": None,
        }
        for i, values in enumerate(pixels)
    ]
    logits, pooled = random.normal(size=clean.shape), random.normal(size=(rows, 7))
    labels = SoftLabels(*random.dirichlet(np.ones(len(names)), size=(3, rows)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a share of nothing
        numbers = {
            "rows": {"train": 1000, "test": rows},
            "emotionnet": keyword_scores(logits, clean, listed),
            "textcnn": keyword_scores(labels.predicted, clean, listed),
            "soft_labels": restoration(labels, clean, listed),
            "reloaded": {"largest_feature_difference": 1e-7},
        }
    test = Dataset.from_list(table, features=features)
    return Findings(numbers, test, Features(pooled, pooled, logits), clean, listed, labels)


def write(out, findings, records=None) -> str:
    if records is None:
        losses = {"classification_loss": 2.0, "embedding_loss": 0.5}
        metrics = {"hit_at_1": 0.1, "mean_average_precision": 0.2}
        records = [{"step": i, "train": losses} for i in (10, 20)]
        records += [{"step": 20, "epoch": 1, "validation": metrics}]
    (out / "emotionnet").mkdir()
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (out / "emotionnet" / "metrics.jsonl").write_text(lines)
    return write_report(out, findings, SECONDS).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report on twenty pictures: its folder and its page."""
    out = tmp_path_factory.mktemp("report")
    return out, write(out, make_findings())


class Balanced(HTMLParser):
    """Knows which elements are open, what the page links to, and what it says."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open, self.sources, self.elements, self.text = [], [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href")]
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_figures_are_pictures_with_something_on_them(report):
    paths = list((report[0] / "figures").iterdir())
    assert {path.stem for path in paths} == FIGURES
    for path in paths:
        with Image.open(path) as figure:
            assert figure.format == "PNG"
            assert min(figure.size) > 200
            assert len(figure.convert("RGB").getcolors(10**6)) > 20


def test_page_needs_nothing_from_outside(report):
    parsed = Balanced(report[1])
    assert parsed.sources
    assert all(source.startswith("data:") for source in parsed.sources)
    assert "script" not in parsed.elements


def test_page_is_closed_html_without_foreign_elements(report):
    parsed = Balanced(report[1])
    assert parsed.open == []
    assert "b" not in parsed.elements


def test_curves_are_in_the_page(report):
    out, page = report
    for name in ("losses", "validation"):
        data = (out / "figures" / f"{name}.png").read_bytes()
        assert base64.b64encode(data).decode() in page


def test_embedded_pictures_open(report):
    _, page = report
    found = re.findall(r"data:image/(\w+);base64,([^\"]+)", page)
    # Two curves, twelve examples, five queries with six neighbours.
    assert len(found) == 2 + 12 + 5 * 7
    for kind, data in found:
        with Image.open(BytesIO(base64.b64decode(data))) as image:
            assert image.format == kind.upper()
            image.load()


def test_names_are_shown_as_they_are(report):
    _, page = report
    assert "<b>" not in page
    text = Balanced(page).text
    assert all(name in text for name in NAMES)
    assert "draw & build" in text


def test_ticked_tags_are_those_that_are_true(tmp_path):
    findings = make_findings(rows=1)
    page = write(tmp_path, findings)
    ticked = re.findall(r"<li class=(\w+)>([^<]*)</li>", page)
    best = np.argsort(-findings.features.logits[0], kind="stable")[:5]
    kinds = ["right" if findings.clean[0, i] else "wrong" for i in best]
    assert [kind for kind, _ in ticked] == kinds


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("rows", [1, 2, 7, 13])
def test_small_test_splits_are_shown_whole(tmp_path, rows):
    page = write(tmp_path, make_findings(rows=rows))
    assert page.count("<p class=quiet>truth:") == min(rows, 12)
    assert page.count("class=near>") == min(rows, 5)
    assert page.count('class="query"') == min(rows, 5)


def test_no_picture_is_tagged_twice(report):
    _, page = report
    cards = page[page.index("class=cards>") : page.index("What the soft labels")]
    sources = re.findall(r'src="([^"]+)"', cards)
    assert len(set(sources)) == len(sources) == 12


@pytest.mark.filterwarnings("error")
def test_nothing_left_out_is_said_in_words(tmp_path):
    page = write(tmp_path, make_findings(missing=False))
    assert "left no keyword out" in page
    assert "nan" not in Balanced(page).text


def test_textcnn_is_not_said_to_add_what_is_listed(tmp_path):
    findings = make_findings(names=["joy", "fear", "calm"])
    page = write(tmp_path, findings)
    rows = re.findall(r"<tr><td>([^<]*)</td><td>([^<]*)</td><td>(.*?)</td></tr>", page)
    assert rows
    for listed, _, added in rows:
        assert not {*listed.split(", ")} & {*re.findall(r">([^<]+)</span>", added)}


@pytest.mark.filterwarnings("error")
def test_vocabulary_of_one_keyword_is_enough(tmp_path):
    write(tmp_path, make_findings(names=["joy"]))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "records",
    [
        [],
        [{"step": 1, "train": {"classification_loss": 1.0}}],
        [{"step": 1, "epoch": 1, "validation": {"hit_at_1": 0.5}}],
    ],
    ids=["nothing", "no embedding loss", "no training"],
)
def test_curves_of_a_short_run_are_drawn(tmp_path, records):
    write(tmp_path, make_findings(rows=2), records)
    assert (tmp_path / "figures" / "losses.png").stat().st_size > 1000


def test_grey_pictures_are_shown(tmp_path):
    write(tmp_path, make_findings(rows=2, mode="L"))


def test_words_of_both_lines_stay_on_the_figure_of_examples(report):
    with Image.open(report[0] / "figures" / "examples.png") as figure:
        edge = np.asarray(figure.convert("L"))[-4:]
    assert edge.min() == 255
