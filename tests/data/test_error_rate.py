import json

import numpy as np
import pytest
from scipy import stats

from emotionnet_hf.data.audit import MARKS_FORMAT, Sample, SampledImage
from emotionnet_hf.data.error_rate import (
    MarkedImage,
    Marks,
    MarksError,
    check_marks,
    design_effect,
    error_rate,
    read_marks,
    summary,
    wilson_interval,
)

LETTERS = {"c": "correct", "w": "wrong", "u": "unsure", "-": None}


def marked(*images: str, names="abcdefgh") -> Marks:
    """Marks from a string an image: c, w, u or - for each keyword."""
    found = [
        MarkedImage(f"i{n}", [(names[k], LETTERS[letter]) for k, letter in enumerate(text)])
        for n, text in enumerate(images)
    ]
    return Marks("", "small", 0, len(images), None, found)


def sample_of(marks: Marks, **changes) -> Sample:
    images = [
        SampledImage(image.image_id, None, [keyword for keyword, _ in image.marks], [])
        for image in marks.images
    ]
    values = {"data_set": "small", "seed": 0, "size": len(images), "split": None, "images": images}
    return Sample(**(values | changes))


def as_json(marks: Marks, **changes) -> dict:
    value = {
        "format": MARKS_FORMAT,
        "sheet": sample_of(marks).sheet,
        "data_set": marks.data_set,
        "seed": marks.seed,
        "sample": marks.sample,
        "split": marks.split,
        "images": [
            {
                "image_id": image.image_id,
                "keywords": [{"keyword": word, "mark": mark} for word, mark in image.marks],
            }
            for image in marks.images
        ],
    }
    return value | changes


@pytest.mark.parametrize(("wrong", "total"), [(0, 1), (1, 1), (3, 20), (150, 1000), (0, 500)])
def test_wilson_interval_is_scipys(wrong, total):
    wanted = stats.binomtest(wrong, total).proportion_ci(method="wilson")
    assert wilson_interval(wrong, total) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def clustered(rng, images: int, spread: float) -> list[tuple[int, int]]:
    """Wrong and judged keywords; each image has an error rate of its own around 0.15."""
    judged = rng.integers(1, 15, images)
    rate = rng.beta(0.15 / spread, 0.85 / spread, images)
    return list(zip(rng.binomial(judged, rate).tolist(), judged.tolist(), strict=True))


def test_design_effect_is_what_resampling_the_images_finds():
    rng = np.random.default_rng(0)
    images = np.array(clustered(rng, 400, 0.5))
    wrong, total = images.sum(axis=0)
    draws = rng.integers(0, 400, (4000, 400))
    rates = images[draws, 0].sum(axis=1) / images[draws, 1].sum(axis=1)
    rate = wrong / total
    wanted = rates.var() / (rate * (1 - rate) / total)
    effect = design_effect([tuple(row) for row in images.tolist()])
    assert effect == pytest.approx(wanted, rel=0.1)
    assert effect > 2


def test_interval_by_image_covers_and_the_plain_one_does_not():
    rng = np.random.default_rng(1)
    plain = by_image = 0
    for _ in range(400):
        images = clustered(rng, 100, 0.5)
        wrong, total = (sum(image[i] for image in images) for i in (0, 1))
        effect = design_effect(images)
        low, high = wilson_interval(wrong, total)
        plain += low <= 0.15 <= high
        low, high = wilson_interval(wrong / effect, total / effect)
        by_image += low <= 0.15 <= high
    assert plain / 400 < 0.85
    assert by_image / 400 > 0.92


def test_design_effect_of_independent_keywords_is_about_one():
    rng = np.random.default_rng(2)
    effects = [design_effect(clustered(rng, 300, 1e-6)) for _ in range(20)]
    assert np.mean(effects) < 1.1
    assert min(effects) >= 1


def test_design_effect_that_cannot_be_estimated_takes_an_image_as_one_keyword():
    assert design_effect([(0, 5), (0, 3)]) == 4
    assert design_effect([(2, 2)]) == 2
    assert design_effect([(1, 3)]) == 3


def test_rates_are_those_by_hand():
    result = error_rate(marked("ccw", "ww", "cu-", "c", "--", "u", ""))
    assert result["images"] == {"on_the_sheet": 7, "judged": 4}
    assert result["keywords"] == {
        "on_the_sheet": 12,
        "correct": 4,
        "wrong": 3,
        "unsure": 2,
        "not_marked": 3,
    }
    rate = result["error_rate"]
    assert rate["rate"] == pytest.approx(3 / 7, abs=1e-6)
    assert rate["wilson_95"] == pytest.approx(wilson_interval(3, 7), abs=1e-6)
    assert rate["if_unsure_are_correct"] == pytest.approx(3 / 9, abs=1e-6)
    assert rate["if_unsure_are_wrong"] == pytest.approx(5 / 9, abs=1e-6)
    low, high = rate["wilson_95_by_image"]
    assert low <= rate["wilson_95"][0] < rate["wilson_95"][1] <= high
    # Finished: ccw, ww, c and u; two of them have a wrong keyword.
    images = result["images_with_a_wrong_keyword"]
    assert (images["images"], images["of_finished_images"], images["rate"]) == (2, 4, 0.5)
    assert result["paper"]["error_rate"] == 0.15
    json.dumps(result, allow_nan=False)


def test_worst_keywords_are_those_one_can_be_sure_of():
    lines = ["w" + "c" * (i % 2 == 0) for i in range(40)] + ["-w"]
    worst = error_rate(marked(*lines))["worst_keywords"]
    assert [(row["keyword"], row["wrong"], row["judged"]) for row in worst] == [
        ("a", 40, 40),
        ("b", 1, 21),
    ]
    lines = ["--w"] + ["ww"] * 3 + ["cw"] * 5
    worst = error_rate(marked(*lines))["worst_keywords"]
    assert [row["keyword"] for row in worst] == ["b", "c", "a"]


def test_nothing_judged_gives_no_rate():
    with pytest.raises(MarksError, match="nothing to estimate"):
        error_rate(marked("uu", "--"))


def test_summary_tells_rate_intervals_and_paper():
    text = summary(error_rate(marked("ccw", "ww", "cu-", "c")))
    assert "42.9% of the emotion keywords are wrong (3 of 7 on 4 images)" in text
    assert "paper: about 15%" in text
    assert "1 unsure (all correct: 37.5%, all wrong: 50.0%), 1 not marked" in text
    assert "most often wrong: " in text


def test_summary_of_unfinished_images_without_a_fault():
    text = summary(error_rate(marked("c-")))
    assert "finished images" not in text
    assert "most often wrong" not in text


def test_marks_are_read_as_they_were_saved(tmp_path):
    marks = marked("cw", "u-", "")
    (tmp_path / "marks.json").write_text(json.dumps(as_json(marks)))
    read = read_marks(tmp_path / "marks.json")
    assert read.images == marks.images
    check_marks(read, sample_of(marks))


DAMAGED = [
    ("[", "is not JSON"),
    ("[" * 100_000, "is not JSON"),
    (b"\xff\xfe\x00", "is not JSON"),
    ([], "holds no marks"),
    ({"format": "else"}, "holds no marks"),
    ({"seed": "0"}, "seed missing or of the wrong type"),
    ({"sheet": None, "split": 3}, "sheet, split missing"),
    ({"images": {}}, "images is not a list"),
    ({"images": ["a"]}, "image 0 has no image_id"),
    ({"images": [{"image_id": "a"}]}, "image 0 has no image_id or no keywords"),
    ({"images": [{"image_id": "a", "keywords": {"a": "wrong"}}]}, "image 0 has no image_id"),
    ({"images": [{"image_id": 1, "keywords": []}]}, "a name in image 0 is not text"),
    (
        {"images": [{"image_id": "a", "keywords": [{"keyword": "a", "mark": "bad"}]}]},
        "the mark 'bad' in image 0",
    ),
    (
        {"images": [{"image_id": "a", "keywords": [{"keyword": "a", "mark": [1]}]}]},
        r"the mark \[1\] in image 0",
    ),
    (
        {"images": [{"image_id": "a", "keywords": [{"keyword": None, "mark": None}]}]},
        "a name in image 0 is not text",
    ),
]


@pytest.mark.parametrize(("value", "complaint"), DAMAGED)
def test_what_is_no_file_of_marks_is_one_clear_error(tmp_path, value, complaint):
    if isinstance(value, dict):
        value = as_json(marked("c")) | value
    if not isinstance(value, bytes):
        value = (value if isinstance(value, str) else json.dumps(value)).encode()
    (tmp_path / "marks.json").write_bytes(value)
    with pytest.raises(MarksError, match=complaint) as caught:
        read_marks(tmp_path / "marks.json")
    assert "marks.json" in str(caught.value)


def test_marks_of_another_sheet_are_refused(tmp_path):
    marks = marked("cw", "u")
    path = tmp_path / "marks.json"
    path.write_text(json.dumps(as_json(marks)))
    read = read_marks(path)
    other = sample_of(marked("cw", "uu"))
    with pytest.raises(MarksError, match="1 images that differ"):
        check_marks(read, other)
    with pytest.raises(MarksError, match=r"seed 0, split all.*'big' gives another sheet"):
        check_marks(read, sample_of(marks, data_set="big", images=other.images))
    # A file that only claims to be of the sheet.
    path.write_text(json.dumps(as_json(marks, sheet=other.sheet)))
    with pytest.raises(MarksError, match="another sheet"):
        check_marks(read_marks(path), other)
    # The folder's name is not what makes a sheet.
    check_marks(read, sample_of(marks, data_set="renamed"))
