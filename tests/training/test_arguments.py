import dataclasses

import pytest

from emotionnet_hf.training.arguments import (
    EmotionNetArguments,
    RecipeError,
    RunArguments,
    TextCNNArguments,
    parse_recipe,
)

NEEDED = {"data": "sample", "output_dir": "run", "text_model": "text/model"}
WORDS = [word for name, value in NEEDED.items() for word in (f"--{name}", value)]


@pytest.fixture
def recipe(tmp_path):
    """Writes a recipe that has what is needed and some more lines."""

    def write(*lines: str) -> str:
        path = tmp_path / "recipe.yaml"
        path.write_text("\n".join([*(f"{k}: {v}" for k, v in NEEDED.items()), *lines]))
        return str(path)

    return write


def parse(*argv: str) -> EmotionNetArguments:
    return parse_recipe(EmotionNetArguments, argv)


# --- the recipe


def test_what_a_recipe_does_not_say_is_the_papers(recipe):
    assert parse(recipe()) == EmotionNetArguments(**NEEDED)


def test_the_defaults_are_the_papers():
    net = EmotionNetArguments(**NEEDED)
    assert (net.optimizer, net.learning_rate, net.momentum) == ("sgd", 0.001, 0.9)
    assert (net.weight_decay, net.epochs, net.batch_size) == (1e-5, 30, 256)
    assert (net.lr_schedule, net.lr_drop_epochs, net.lr_drop_factor) == ("step", [10, 20], 0.1)
    assert (net.backbone, net.image_size, net.embedding_weight) == ("resnet50", 224, 1)
    text = TextCNNArguments(data="sample", output_dir="run")
    assert (text.optimizer, text.learning_rate, text.epochs) == ("adagrad", 1.0, 30)
    assert (text.embedding_dim, text.max_keywords, text.variant) == (300, 100, "paper")


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("weight_decay: 1e-5", "weight_decay", 1e-5),  # a string to YAML 1.1
        ("weight_decay: 1.0e-5", "weight_decay", 1e-5),
        ("learning_rate: 1", "learning_rate", 1.0),
        ("epochs: 7", "epochs", 7),
        ("soft_labels: false", "soft_labels", False),
        ("soft_labels: on", "soft_labels", True),
        ("backbone_weights: none", "backbone_weights", "none"),
        ("text_model: 123", "text_model", "123"),
        ("optimizer: adamw", "optimizer", "adamw"),
        ("mixed_precision: bf16", "mixed_precision", "bf16"),
        ("mixed_precision: no", "mixed_precision", "no"),  # False to YAML 1.1
        ("mixed_precision: 'no'", "mixed_precision", "no"),
        ("mixed_precision: null", "mixed_precision", None),
        ("max_grad_norm: 1e-1", "max_grad_norm", 0.1),
        ("max_grad_norm: 2", "max_grad_norm", 2.0),
        ("max_grad_norm:", "max_grad_norm", None),
        ("checkpoint_steps: 50", "checkpoint_steps", 50),
        ("lr_drop_epochs: [3, 6, 9]", "lr_drop_epochs", [3, 6, 9]),
        ("lr_drop_epochs: []", "lr_drop_epochs", []),
        ("crop_scale: [5e-1, 1]", "crop_scale", [0.5, 1.0]),
        ("report_to: [tensorboard]", "report_to", ["tensorboard"]),
    ],
)
def test_a_value_gets_the_type_of_its_argument(recipe, line, name, value):
    given = getattr(parse(recipe(line)), name)
    assert given == value
    assert type(given) is type(value)
    if isinstance(value, list):
        assert [type(item) for item in given] == [type(item) for item in value]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("epochs: many", "epochs is 'many'; it must be of type int"),
        ("epochs: 2.5", "epochs is 2.5; it must be of type int"),
        ("epochs: true", "epochs is True; it must be of type int"),
        ("epochs:", "epochs is None; it must be of type int"),
        ("epochs: [1]", r"epochs is \[1\]; it must be of type int"),
        ("learning_rate: fast", "learning_rate is 'fast'; it must be of type float"),
        ("learning_rate: yes", "learning_rate is True; it must be of type float"),
        ("soft_labels: 1", "soft_labels is 1; it must be of type bool"),
        ("soft_labels: 'true'", "soft_labels is 'true'; it must be of type bool"),
        ("text_model: {a: b}", "text_model is .*; it must be of type str"),
        ("optimizer: adam", r"optimizer is 'adam'; it must be one of \['sgd', 'adamw'"),
        ("mixed_precision: int8", r"mixed_precision is 'int8'; it must be one of \['no'"),
        ("max_grad_norm: none", "max_grad_norm is 'none'; it must be of type float"),
        ("lr_drop_epochs: 3", "lr_drop_epochs is 3; it must be a list"),
        ("lr_drop_epochs: [3, six]", "lr_drop_epochs is 'six'; it must be of type int"),
        ("report_to: tensorboard", "report_to is 'tensorboard'; it must be a list"),
    ],
)
def test_a_value_of_the_wrong_type_is_named(recipe, line, complaint):
    with pytest.raises(RecipeError, match=rf"recipe\.yaml: {complaint}"):
        parse(recipe(line))


@pytest.mark.parametrize(
    ("key", "suggestion"),
    [("learning_rte", "learning_rate"), ("epoch", "epochs"), ("batchsize", "batch_size")],
)
def test_an_unknown_key_gets_a_suggestion(recipe, key, suggestion):
    with pytest.raises(RecipeError, match=rf"unknown key '{key}'. Did you mean '{suggestion}'\?"):
        parse(recipe(f"{key}: 1"))


@pytest.mark.parametrize("key", ["xyzzy", "42", "null"])
def test_an_unknown_key_like_no_other_gets_the_list(recipe, key):
    with pytest.raises(RecipeError, match=r"unknown key .* Known: .*backbone, .*batch_size"):
        parse(recipe(f"{key}: 1"))


def test_a_key_of_another_training_is_unknown(recipe):
    with pytest.raises(RecipeError, match="unknown key 'text_model'"):
        parse_recipe(TextCNNArguments, [recipe()])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"a: [1", "is not YAML"),
        (b"a: b: c", "is not YAML"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "is not YAML"),
        (b"- a\n- b", "must hold names and values"),
        (b"just words", "must hold names and values"),
        (b"!!python/object/apply:os.system ['true']", "is not YAML"),
    ],
)
def test_what_is_no_recipe_is_refused(tmp_path, content, complaint):
    (tmp_path / "bad.yaml").write_bytes(content)
    with pytest.raises(RecipeError, match=rf"bad\.yaml {complaint}"):
        parse(str(tmp_path / "bad.yaml"), *WORDS)


def test_an_empty_recipe_says_nothing(tmp_path):
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    assert parse(str(tmp_path / "empty.yaml"), *WORDS) == EmotionNetArguments(**NEEDED)


def test_a_missing_recipe_is_named():
    with pytest.raises(FileNotFoundError, match=r"No recipe at nowhere\.yaml"):
        parse("nowhere.yaml")


# --- the command line


def test_the_command_line_alone_is_enough():
    assert parse(*WORDS, "--epochs", "3") == EmotionNetArguments(**NEEDED, epochs=3)


@pytest.mark.parametrize(
    ("lines", "words", "name", "value"),
    [
        (["epochs: 7"], ["--epochs", "3"], "epochs", 3),
        (["epochs: 7"], ["--epochs=30"], "epochs", 30),  # the default, said aloud
        (["weight_decay: 1"], ["--weight_decay", "1e-5"], "weight_decay", 1e-5),
        (["optimizer: adamw"], ["--optimizer", "sgd"], "optimizer", "sgd"),
        (["soft_labels: false"], ["--soft_labels"], "soft_labels", True),
        (["soft_labels: false"], ["--soft_labels", "true"], "soft_labels", True),
        ([], ["--soft_labels", "false"], "soft_labels", False),
        ([], ["--no_soft_labels"], "soft_labels", False),
        (["overwrite: true"], ["--overwrite", "false"], "overwrite", False),
        ([], ["--overwrite"], "overwrite", True),
        (["lr_drop_epochs: [1]"], ["--lr_drop_epochs", "3", "6"], "lr_drop_epochs", [3, 6]),
        ([], ["--crop_scale", "0.5", "1"], "crop_scale", [0.5, 1.0]),
        ([], ["--report_to", "tensorboard", "wandb"], "report_to", ["tensorboard", "wandb"]),
        (["max_grad_norm: 1"], ["--max_grad_norm", "2"], "max_grad_norm", 2.0),
        ([], ["--mixed_precision", "no"], "mixed_precision", "no"),
        (["data: other"], ["--data", "sample"], "data", "sample"),
    ],
)
def test_the_command_line_wins(recipe, lines, words, name, value):
    assert getattr(parse(recipe(*lines), *words), name) == value


def test_what_the_command_line_does_not_say_stays_as_in_the_recipe(recipe):
    lines = ["soft_labels: false", "lr_drop_epochs: [1]", "progress: false", "seed: 9"]
    given = parse(recipe(*lines), "--epochs", "2")
    assert (given.soft_labels, given.lr_drop_epochs, given.progress) == (False, [1], False)
    assert (given.seed, given.epochs) == (9, 2)


@pytest.mark.parametrize(
    "words", [["--epoch", "3"], ["--epochs", "many"], ["--optimizer", "adam"], ["stray"]]
)
def test_a_wrong_word_on_the_command_line_is_bad_usage(recipe, words, capsys):
    with pytest.raises(SystemExit) as caught:
        parse(recipe(), *words)
    assert caught.value.code == 2
    assert words[0] in capsys.readouterr().err


# --- what a type cannot say


@pytest.mark.parametrize("name", ["data", "output_dir", "text_model"])
def test_what_is_missing_is_named(name):
    with pytest.raises(RecipeError, match=rf"{name} is missing.*--{name}"):
        EmotionNetArguments(**{**NEEDED, name: ""})


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["epochs", "batch_size", "learning_rate", "log_steps"])
def test_numbers_that_must_be_above_zero_are_checked(name, value):
    with pytest.raises(RecipeError, match=f"{name} is {value}; it must be above 0"):
        EmotionNetArguments(**NEEDED, **{name: value})


def test_checkpoint_steps_of_zero_are_refused():
    with pytest.raises(RecipeError, match="checkpoint_steps is 0"):
        RunArguments(data="a", output_dir="b", checkpoint_steps=0)


@pytest.mark.parametrize("scale", [[0.5], [0.0, 1.0], [0.8, 0.2], [0.5, 1.5], [0.1, 0.2, 0.3]])
def test_a_crop_scale_is_two_shares_in_order(scale):
    with pytest.raises(RecipeError, match=r"crop_scale is .*; it must be two shares"):
        EmotionNetArguments(**NEEDED, crop_scale=scale)


@pytest.mark.parametrize("kind", [RunArguments, TextCNNArguments, EmotionNetArguments])
def test_every_argument_has_a_help_text(kind):
    assert all(field.metadata.get("help") for field in dataclasses.fields(kind))


def test_help_shows_every_argument(capsys):
    with pytest.raises(SystemExit) as caught:
        parse("--help")
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"--{field.name}" in shown for field in dataclasses.fields(EmotionNetArguments))
