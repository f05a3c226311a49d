import base64
import io
import itertools
import json
import os
import re
import shutil
import subprocess
import time
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features, Image, List, Value
from PIL import Image as Pictures

from emotionnet_hf.data.audit import draw_sample, write_sheet
from emotionnet_hf.data.built_folder import BuiltFolderError
from emotionnet_hf.data.error_rate import check_marks, error_rate, read_marks
from emotionnet_hf.data.splits import assign_split

EMOTIONS = ["awe", "fear", "joy"]
HOSTILE = [
    "</script><script>document.title = 'gone'</script>",
    "<!-- <script>",
    "\"'&amp; \u2028",
    "größe 喜び",
    "__proto__",
    "x" * 10_000,
]


def jpeg(seed: int, size=(40, 30)) -> bytes:
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    file = io.BytesIO()
    Pictures.fromarray(noise).resize(size).save(file, "JPEG")
    return file.getvalue()


def rows(ids, emotions=EMOTIONS, **more) -> list[dict]:
    return [
        {
            "image": {"bytes": jpeg(i), "path": f"{i}.jpg"},
            "image_id": f"image {i}",
            "keywords": [emotions[i % len(emotions)], "tree", f"word {i}"],
            "emotion_keywords": [i % len(emotions)],
            **more,
        }
        for i in ids
    ]


def write(folder, splits: dict[str, list[list[dict]]], emotions=EMOTIONS):
    """A built folder; each split a list of shards."""
    features = Features(
        {
            "image": Image(),
            "image_id": Value("string"),
            "keywords": List(Value("string")),
            "emotion_keywords": List(ClassLabel(names=emotions)),
        }
    )
    (folder / "data").mkdir(parents=True)
    for split, shards in splits.items():
        for i, shard in enumerate(shards):
            table = pa.Table.from_pylist(shard, schema=features.arrow_schema)
            path = folder / "data" / f"{split}-{i:05d}-of-{len(shards):05d}.parquet"
            pq.write_table(table, path, row_group_size=4)
    return folder


def ids(sample) -> list[str]:
    return [image.image_id for image in sample.images]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("audit") / "small"
    return write(out, {"train": [rows(range(30))], "test": [rows(range(30, 40))]})


def scripts(page: str) -> dict[str, object]:
    """What a browser finds in the page's JSON scripts, read by another HTML parser."""
    found: dict[str, str] = {}

    class Parser(HTMLParser):
        name = None

        def handle_starttag(self, tag, attrs):
            values = dict(attrs)
            if tag == "script" and values.get("type") == "application/json":
                self.name = values["id"]
                found[self.name] = ""

        def handle_endtag(self, tag):
            self.name = None

        def handle_data(self, data):
            if self.name:
                found[self.name] += data

    Parser().feed(page)
    return {name: json.loads(text) for name, text in found.items()}


def test_sample_does_not_depend_on_the_shards(folder, tmp_path):
    shuffled = rows(np.random.default_rng(1).permutation(30).tolist())
    shards = [shuffled[:7], shuffled[7:8], shuffled[8:]]
    other = write(tmp_path / "small", {"test": [rows(range(39, 29, -1))], "train": shards})
    one, two = (draw_sample(place, size=12, seed=5) for place in (folder, other))
    assert ids(one) == ids(two)
    assert one.sheet == two.sheet
    assert ids(draw_sample(folder, size=12, seed=6)) != ids(one)


def test_smaller_sample_is_the_beginning_of_a_larger_one(folder):
    assert ids(draw_sample(folder, size=5)) == ids(draw_sample(folder, size=20))[:5]


def test_sample_is_random_and_has_nothing_to_do_with_the_splits(tmp_path):
    chosen = [
        {"image_id": f"{i}", "keywords": ["joy"], "emotion_keywords": [2], "image": None}
        for i in range(3000)
    ]
    big = write(tmp_path / "big", {"train": [chosen]})
    drawn = ids(draw_sample(big, size=600))
    assert len(set(drawn)) == 600
    # Of a fifth that is "test" by the same seed, a fifth is drawn: 120, give or take 4 sigma.
    test = sum(assign_split(key, validation=0, test=0.2, seed=0) == "test" for key in drawn)
    assert 81 <= test <= 159
    # Not by the order of the rows either.
    assert abs(np.mean([int(key) for key in drawn]) - 1500) < 4 * 3000 / np.sqrt(12 * 600)


def test_sample_of_a_split_and_of_a_small_data_set(folder):
    sample = draw_sample(folder, size=100, split="test")
    assert sorted(ids(sample)) == [f"image {i}" for i in range(30, 40)]
    assert len(draw_sample(folder, size=100).images) == 40
    with pytest.raises(BuiltFolderError, match="no split 'dev'"):
        draw_sample(folder, split="dev")
    with pytest.raises(ValueError, match="at least 1"):
        draw_sample(folder, size=0)


def test_keywords_are_sorted_into_emotional_and_other(folder):
    for image in draw_sample(folder, size=10).images:
        number = int(image.image_id.split()[1])
        assert image.emotions == [EMOTIONS[number % 3]]
        assert image.others == ["tree", f"word {number}"]


def test_sheet_holds_every_picture_in_the_samples_order(folder, tmp_path):
    sample = draw_sample(folder, size=12)
    report = write_sheet(folder, sample, tmp_path / "deep" / "audit.html", progress=False)
    page = (tmp_path / "deep" / "audit.html").read_text()
    assert (report.images, report.keywords, report.unreadable) == (12, 12, 0)
    assert report.num_bytes == len(page.encode())
    found = scripts(page)
    assert [image["image_id"] for image in found["sample"]["images"]] == ids(sample)
    assert found["sample"]["sheet"] == sample.sheet
    for number, image in enumerate(sample.images):
        data = base64.b64decode(found[f"picture-{number}"]["picture"])
        shown = np.asarray(Pictures.open(io.BytesIO(data)).convert("RGB")).astype(int)
        original = jpeg(int(image.image_id.split()[1]))
        wanted = np.asarray(Pictures.open(io.BytesIO(original)).convert("RGB")).astype(int)
        assert shown.shape == wanted.shape
        assert np.abs(shown - wanted).mean() < 8


def test_same_sample_gives_the_same_bytes(folder, tmp_path):
    for name in ("a", "b"):
        write_sheet(folder, draw_sample(folder, size=5), tmp_path / name, progress=False)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_sheet_needs_nothing_from_outside(folder, tmp_path):
    write_sheet(folder, draw_sample(folder, size=3), tmp_path / "audit.html", progress=False)
    page = (tmp_path / "audit.html").read_text()
    assert "default-src 'none'" in page
    assert not re.findall(r"https?://|//[a-z]+\.[a-z]+/|@import|<link(?! rel=\"icon\")", page)


def test_large_pictures_are_made_small(tmp_path):
    sizes = [(1000, 500), (4000, 100), (90, 700)]
    values = rows(range(3))
    for row, size in zip(values, sizes, strict=True):
        row["image"]["bytes"] = jpeg(0, size)
    out = write(tmp_path / "large", {"train": [values]})
    sample = draw_sample(out)
    write_sheet(out, sample, tmp_path / "audit.html", progress=False)
    found = scripts((tmp_path / "audit.html").read_text())
    shown = {
        image.image_id: Pictures.open(
            io.BytesIO(base64.b64decode(found[f"picture-{number}"]["picture"]))
        ).size
        for number, image in enumerate(sample.images)
    }
    assert shown == {"image 0": (512, 256), "image 1": (1024, 26), "image 2": (90, 700)}


def test_picture_that_cannot_be_shown_says_why(tmp_path):
    values = rows(range(3))
    values[1]["image"] = {"bytes": b"hello", "path": None}
    values[2]["image"] = None
    out = write(tmp_path / "bad", {"train": [values]})
    report = write_sheet(out, draw_sample(out), tmp_path / "audit.html", progress=False)
    assert report.unreadable == 2
    found = scripts((tmp_path / "audit.html").read_text())
    reasons = [found[f"picture-{i}"]["reason"] for i in range(3)]
    assert sorted(map(str, reasons)) == ["None", "not an image", "zero bytes"]


def hostile_folder(tmp_path):
    values = rows(range(6), HOSTILE)
    for row in values:
        row["image_id"] = HOSTILE[0] + row["image_id"]
        row["keywords"] += HOSTILE
    return write(tmp_path / "<b>&", {"train": [values]}, HOSTILE)


def test_strangers_text_stays_text(tmp_path):
    out = hostile_folder(tmp_path)
    sample = draw_sample(out)
    write_sheet(out, sample, tmp_path / "audit.html", progress=False)
    page = (tmp_path / "audit.html").read_text()
    found = scripts(page)
    assert [image["emotions"] for image in found["sample"]["images"]] == [
        image.emotions for image in sample.images
    ]
    assert "document.title = 'gone'</script>" not in page
    assert "<title>Audit of &lt;b&gt;&amp;</title>" in page


class Browser:
    """Headless Chromium, spoken to in the DevTools protocol over a pipe."""

    def __init__(self, folder):
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        words = [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ]
        words += [f"--user-data-dir={folder / 'profile'}", "--remote-debugging-pipe"]
        # The protocol wants the pipe's ends as the descriptors 3 and 4.
        shell = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self.process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *words],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.reader, self.writer = os.fdopen(ours_in, "rb"), os.fdopen(ours_out, "wb", buffering=0)
        self.numbers = itertools.count(1)
        self.session = None
        self.rest = b""

    def call(self, method: str, **parameters):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.writer.write(json.dumps(message).encode() + b"\0")
        while (answer := self.next_message()).get("id") != number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def next_message(self) -> dict:
        while b"\0" not in self.rest:
            part = self.reader.read1(65536)
            assert part, "Chromium ended"
            self.rest += part
        text, _, self.rest = self.rest.partition(b"\0")
        return json.loads(text)

    def open(self, path) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        self.call("Page.enable")
        self.call("Page.navigate", url=path.as_uri())
        self.wait("document.readyState === 'complete' && document.getElementById('count')")

    def run(self, script: str):
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, script: str) -> None:
        answer = None
        for _ in range(200):
            try:
                if self.run(f"Boolean({script})"):
                    return
            except AssertionError as error:  # one page is going, the other not yet there
                answer = error
            time.sleep(0.05)
        raise AssertionError(f"never true: {script} ({answer})")

    def press(self, *keys: str) -> None:
        for key in keys:
            text = {"text": key} if len(key) == 1 else {}
            self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def choose_file(self, path) -> None:
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector="#load")["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def close(self) -> None:
        self.session = None
        self.call("Browser.close")
        self.process.wait(20)
        self.reader.close()
        self.writer.close()


@pytest.fixture
def browser(tmp_path):
    if not shutil.which("chromium"):
        pytest.skip("no Chromium on this machine")
    browser = Browser(tmp_path)
    yield browser
    browser.close()


def download(browser, tmp_path):
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    browser.run("document.getElementById('save').click()")
    path = tmp_path / "marks.json"
    for _ in range(200):
        if path.exists() and path.stat().st_size:
            return path
        time.sleep(0.05)
    raise AssertionError("no marks.json was downloaded")


def test_sheet_is_marked_by_keys_saved_and_loaded_in_a_browser(tmp_path, browser):
    out = hostile_folder(tmp_path)
    sample = draw_sample(out)
    write_sheet(out, sample, tmp_path / "audit.html", progress=False)
    browser.open(tmp_path / "audit.html")
    shown = "document.querySelector('.name').textContent"
    assert browser.run(shown) == sample.images[0].emotions[0]
    browser.press("1", "ArrowRight", "2", "ArrowRight", "3", "ArrowRight", "1", "0")
    assert browser.run("document.getElementById('count').textContent").startswith("3 of 6 keywords")
    marks = read_marks(download(browser, tmp_path))
    check_marks(marks, sample)
    given = [mark for image in marks.images for _, mark in image.marks]
    assert given == ["correct", "wrong", "unsure", None, None, None]
    assert error_rate(marks)["keywords"]["wrong"] == 1

    # The browser remembers marks and place.
    browser.run("window.before = true")
    browser.call("Page.reload")
    browser.wait("!window.before && document.readyState === 'complete' && typeof marks == 'object'")
    browser.wait("document.getElementById('number')?.value === '4'")
    assert browser.run("JSON.stringify(marks.flat())") == json.dumps(given).replace(" ", "")
    browser.press("ArrowLeft")
    pressed = "document.querySelector('[aria-pressed=true]').textContent"
    assert browser.run(pressed) == "3 unsure"

    # A file of marks is loaded, another sheet's is refused, and so is what is no marks at all.
    value = json.loads((tmp_path / "marks.json").read_text())
    value["images"][5]["keywords"][0]["mark"] = "wrong"
    (tmp_path / "mine.json").write_text(json.dumps(value))
    (tmp_path / "other.json").write_text(json.dumps(value | {"sheet": "0", "data_set": "x"}))
    (tmp_path / "no.json").write_text("[")
    for name, answer in (("mine", "loaded"), ("other", "another sheet (x"), ("no", "not JSON")):
        browser.choose_file(tmp_path / f"{name}.json")
        browser.wait(f"document.getElementById('status').textContent.includes({answer!r})")
        assert browser.run("marks[5][0]") == "wrong"
    # Nothing that a stranger wrote was run, and the page fits its window.
    assert browser.run("document.title") == "Audit of <b>&"
    assert browser.run("document.documentElement.scrollWidth <= window.innerWidth")
