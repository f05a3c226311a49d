import pytest

from emotionnet_hf.evaluation.linear_probe.arguments import LinearProbeArguments, LinearProbeError


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol": "slow"}, "protocol is 'slow'; choose from"),
        ({"select_on": "train"}, "select_on is 'train'"),
        ({"seeds": ()}, "seeds is"),
        ({"seeds": (1, 1)}, "seeds is"),
        ({"seeds": (-1,)}, "seeds is"),
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"strengths": (0.0,)}, "strengths is"),
        ({"strengths": (1.0, float("nan"))}, "strengths is"),
        ({"learning_rate": -0.1}, "learning_rate is -0.1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0"),
        ({"max_unreadable": 5.0}, "max_unreadable 5.0"),
        ({"protocol": "published", "solver": "lbfgs"}, "trains by SGD"),
        ({"bn_mode": "adapt"}, "use --protocol published"),
        ({"select_on": "last"}, "no last epoch"),
    ],
)
def test_what_cannot_be_is_refused(changes, message):
    with pytest.raises(LinearProbeError, match=message):
        LinearProbeArguments(**changes)


def test_the_benchmark_decides_what_is_left_open():
    asked = LinearProbeArguments(protocol="published")
    face = asked.resolved("AffectNet-7", validation_drawn=True)
    assert (face.balanced, face.epochs, face.refit, face.solver) == (True, 10, True, "sgd")
    deep = asked.resolved("DeepEmotion", validation_drawn=True)
    assert (deep.balanced, deep.epochs, deep.refit) == (False, 40, True)
    # A validation split that came with the benchmark or the folder: the paper trains on train.
    assert not asked.resolved("EMOTIC-B").refit and not asked.resolved("DeepEmotion").refit
    assert LinearProbeArguments().resolved("SE30K8").solver == "lbfgs"
    chosen = LinearProbeArguments(refit=False, balanced=False, epochs=3).resolved("AffectNet-7")
    assert (chosen.refit, chosen.balanced, chosen.epochs) == (False, False, 3)


def test_traps_are_never_silent():
    clean = LinearProbeArguments(protocol="published").resolved("SE30K8")
    assert clean.name == "linear-probe"
    trapped = LinearProbeArguments(
        protocol="published", select_on="test", bn_mode="adapt"
    ).resolved("SE30K8")
    assert trapped.name == "linear-probe (selected on the test set, BatchNorm adapts)"
    text = " ".join(trapped.sentences())
    assert "numbers are too good" in text and "not quite frozen" in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ["Protocol fast", "L-BFGS", "Differs from the paper", "chosen on validation"]),
        ({"solver": "sgd", "select_on": "last"}, ["0.001", "batch 24", "The last epoch counts"]),
        ({"protocol": "published"}, ["as in the published code: random resized crops"]),
        ({"balanced": True}, ["weighted", "by the lowest cross entropy"]),
        ({"balanced": True, "protocol": "published"}, ["draws 30,000 images", "by macro recall"]),
        ({"balanced": True, "solver": "sgd"}, ["draws 30,000 images", "by macro recall"]),
        ({"refit": True}, ["Train and validation together"]),
        ({"refit": False}, ["Validation is never trained on"]),
    ],
)
def test_sentences_say_what_is_done(changes, words):
    text = " ".join(LinearProbeArguments(**changes).resolved("SE30K8").sentences())
    assert all(word in text for word in words)
