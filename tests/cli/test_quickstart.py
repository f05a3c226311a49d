from pathlib import Path

from emotionnet_hf.cli import main

REPOSITORY = Path(__file__).resolve().parents[2]


def run(*words) -> int:
    return main([str(word) for word in words])


def test_quickstart_hands_on_what_was_asked_for(monkeypatch, capsys, tmp_path):
    asked = {}
    scores = {"hit_at_1": 0.25, "mean_average_precision": 0.125}

    def quickstart(out, **options):
        asked.update(options, out=out)
        return {"emotionnet": {"clean": scores, "chance": scores}}

    monkeypatch.setattr("emotionnet_hf.quickstart.quickstart", quickstart)
    words = ["--out", tmp_path, "--num-images", 200, "--epochs", 2, "--seed", 5, "--no-progress"]
    assert run("quickstart", *words) == 0
    assert asked == {
        **{"out": tmp_path, "num_images": 200, "epochs": 2, "seed": 5},
        **{"overwrite": False, "progress": False},
    }
    text = capsys.readouterr().out
    assert "hit@1 0.250" in text
    assert str(tmp_path / "report.html") in text
