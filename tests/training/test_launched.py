"""The training scripts: what cannot be done is one line and a status."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from emotionnet_hf.training import (
    RecipeError,
    TextCNNArguments,
    TrainingError,
    run_script,
    train_textcnn,
)

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("script", ["train_textcnn.py", "train_emotionnet.py"])
def test_a_bad_recipe_is_one_line_not_a_traceback(tmp_path, script):
    (tmp_path / "recipe.yaml").write_text("learning_rat: 0.1\n")
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "scripts" / script), str(tmp_path / "recipe.yaml")],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Did you mean 'learning_rate'?" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("error", [RecipeError, TrainingError, FileNotFoundError, PermissionError])
def test_what_a_person_can_mend_is_one_line(capsys, error):
    def train(arguments):
        raise error("choose another one")

    with pytest.raises(SystemExit) as ending:
        run_script(train, TextCNNArguments, ["a/train_it.py", "--data", "d", "--output_dir", "o"])
    assert ending.value.code == 1
    assert capsys.readouterr().err == "train_it: choose another one\n"


def test_bad_usage_and_help_are_told(capsys):
    for words, code in ((["--epochs", "many"], 2), (["--help"], 0)):
        with pytest.raises(SystemExit) as ending:
            run_script(train_textcnn, TextCNNArguments, ["train_textcnn.py", *words])
        assert ending.value.code == code
        told = capsys.readouterr()
        assert (told.err if code else told.out).startswith("usage: ")
        assert (told.out if code else told.err) == ""


@pytest.mark.parametrize("place", ["file", "file/run"])
def test_a_run_folder_that_cannot_be_is_one_line(capsys, tmp_path, place):
    (tmp_path / "file").touch()
    words = ["train_textcnn.py", "--data", "d", "--output_dir", str(tmp_path / place)]
    with pytest.raises(SystemExit) as ending:
        run_script(train_textcnn, TextCNNArguments, words)
    assert ending.value.code == 1
    assert capsys.readouterr().err == (
        f"train_textcnn: {tmp_path / 'file'} is a file: choose another folder.\n"
    )


def test_a_fault_of_ours_keeps_its_traceback():
    def train(arguments):
        raise KeyError("ours")

    with pytest.raises(KeyError):
        run_script(train, TextCNNArguments, ["train_it.py", "--data", "d", "--output_dir", "o"])


def test_the_command_line_reaches_the_training(make_textcnn):
    arguments = make_textcnn(epochs=1)
    words = [
        *("--data", arguments.data, "--output_dir", arguments.output_dir, "--epochs", "1"),
        *("--batch_size", "16", "--embedding_dim", "8", "--word_vector_epochs", "1"),
    ]
    run_script(train_textcnn, TextCNNArguments, ["train_textcnn.py", *words])
    assert (Path(arguments.output_dir) / "model" / "model.safetensors").is_file()
    assert logging.root.manager.disable == 0, "the only process says what it does"
