import numpy as np

from emotionnet_hf.evaluation.zero_shot import ZeroShotReport


def test_the_written_form_has_the_protocol_and_leaves_the_scores_out():
    report = ZeroShotReport(
        dataset="EMOTIC-B",
        split="test",
        metrics={"mean_average_precision": {"mean": 0.2, "sd": None, "interval": [0.1, 0.3]}},
        by_class={"Peace": 0.2, "Pain": None},
        chance={"mean_average_precision": {"random": 0.1}},
        coverage={"Peace": {"known": ["peace"], "unknown": []}},
        counts={"rows": 1},
        unreadable=[],
        settings={"space": "word_vectors"},
        notes=["One."],
        release="2019",
        environment={"packages": {"torch": "2"}},
        scores=np.ones((1, 2)),
        image_ids=["a"],
    )
    written = report.as_dict()
    assert [written.pop(name) for name in ("dataset", "split", "protocol")] == [
        *("EMOTIC-B", "test", "zero-shot"),
    ]
    hidden = {"dataset", "split", "scores", "image_ids"}
    assert written == {k: v for k, v in vars(report).items() if k not in hidden}
