import json

import torch

from emotionnet_hf.environment import environment


def test_is_plain_json():
    assert json.loads(json.dumps(environment())).keys() == {
        "python",
        "platform",
        "git_commit",
        "packages",
    }
    assert environment()["packages"]["torch"] == torch.__version__.split("+")[0]


def test_needs_no_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert environment()["git_commit"] is None
