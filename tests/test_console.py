import io
import logging
import os
import subprocess
import sys

import datasets
import huggingface_hub.utils as hub
import pytest
import transformers
from tqdm import tqdm

from emotionnet_hf.console import bars, one_line, speak


def settings():
    names = ("HF_DATASETS_DISABLE_PROGRESS_BARS", "HF_HUB_DISABLE_PROGRESS_BARS")
    return (
        datasets.are_progress_bars_disabled(),
        hub.are_progress_bars_disabled(),
        transformers.utils.logging.is_progress_bar_enabled(),
        *(os.environ.get(name) for name in names),
    )


@pytest.mark.parametrize("wanted", [True, False])
def test_bars_are_as_wanted_inside_and_as_before_outside(wanted):
    before = settings()
    hub.enable_progress_bars()
    try:
        with bars(wanted):
            of_datasets, of_hub, of_transformers, *environ = settings()
            assert (of_datasets or of_hub) == (not wanted)
            assert not of_transformers
            assert environ == ([None, None] if wanted else ["1", "1"]) or before[3:] != (None, None)
    finally:
        if before[1]:
            hub.disable_progress_bars()
    assert settings() == before


def test_error_is_one_line_of_a_length_that_people_read():
    assert one_line(ValueError("a\n  b\r\nc")) == "a b c"
    assert one_line(KeyboardInterrupt()) == "KeyboardInterrupt"
    line = one_line(ValueError("word " * 1000))
    assert len(line) < 700 and line.endswith("4,399 more characters: --debug)")


SCRIPT = """
import logging, sys
import torch
from tqdm import tqdm
from emotionnet_hf.console import complain, speak, write
speak()
logging.getLogger("httpx2").info("HTTP Request: GET https://hub.example")
logging.getLogger("gensim.models.word2vec").info("EPOCH 0")
logging.getLogger("torch.utils.cpp_extension").warning("No CUDA runtime is found")
with tqdm(total=3, mininterval=0, desc="working") as bar:
    bar.update()
    logging.getLogger("emotionnet_hf.x").info("a line")
    logging.getLogger("transformers.models").warning("a warning")
    complain("a complaint")
    write("a name \\U0001f600 \\udcff")
    bar.update()
"""


@pytest.fixture(scope="module")
def shown():
    """What a process shows that logs, complains and prints below a bar, on one terminal."""
    environ = os.environ | {"PYTHONIOENCODING": "cp1252", "PYTHONPATH": os.getcwd()}
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environ,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    return ran.stdout.decode("cp1252")


def test_name_that_the_encoding_lacks_is_written_with_escapes(shown):
    assert "a name \\U0001f600 \\udcff\n" in shown.replace("\r\n", "\n")


def test_lines_stand_above_the_bar_and_once(shown):
    for said in ("a line", "a warning", "a complaint"):
        assert shown.count(said) == 1
        # Alone on its line: the bar was cleared before it.
        line = next(line for line in shown.splitlines() if said in line)
        assert line.split("\r")[-1] == said


def test_what_is_no_news_is_not_told(shown):
    for noise in ("HTTP Request", "EPOCH 0", "No CUDA runtime"):
        assert noise not in shown


def test_a_stream_of_any_kind_will_do(monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    speak()
    tqdm.write("x", file=sys.stdout)
    assert sys.stdout.getvalue() == "x\n"
    assert logging.getLogger("gensim").level == logging.WARNING
