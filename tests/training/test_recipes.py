import dataclasses
from pathlib import Path

import pytest

from emotionnet_hf.models import (
    EmotionNetConfig,
    EmotionNetForPreTraining,
    TextCNNForSequenceClassification,
)
from emotionnet_hf.training import train_emotionnet, train_textcnn
from emotionnet_hf.training.arguments import EmotionNetArguments, RecipeError, TextCNNArguments
from emotionnet_hf.training.recipes import parse_recipe

RECIPES = Path(__file__).resolve().parents[2] / "scripts" / "recipes"
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


# --- a recipe on another one


@pytest.fixture
def chain(tmp_path, recipe):
    """Three recipes on top of one another; the last is given."""
    recipe("epochs: 7", "batch_size: 8", "optimizer: adamw")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "second.yaml").write_text("base: ../recipe.yaml\nbatch_size: 4\nseed: 3\n")
    (tmp_path / "more" / "third.yaml").write_text("base: second.yaml\nseed: 5\n")
    return str(tmp_path / "more" / "third.yaml")


def test_a_recipe_says_what_differs_from_its_base(chain):
    given = parse(chain)
    assert given == EmotionNetArguments(**NEEDED, epochs=7, batch_size=4, optimizer="adamw", seed=5)
    assert parse(chain, "--epochs", "2").epochs == 2


def test_a_wrong_key_of_the_base_is_named_with_its_file(chain, recipe):
    recipe("epoch: 7")
    with pytest.raises(RecipeError, match=r"recipe\.yaml: unknown key 'epoch'"):
        parse(chain)


def test_a_base_that_is_not_there_is_named(recipe):
    with pytest.raises(FileNotFoundError, match=r"No recipe at .*gone\.yaml"):
        parse(recipe("base: gone.yaml"))


@pytest.mark.parametrize("value", ["3", "[a.yaml]", "true"])
def test_a_base_that_is_no_name_is_refused(recipe, value):
    with pytest.raises(RecipeError, match=r"recipe\.yaml: base is .*; it must be the name"):
        parse(recipe(f"base: {value}"))


def test_bases_in_a_circle_are_refused(tmp_path, recipe):
    (tmp_path / "other.yaml").write_text("base: recipe.yaml\n")
    with pytest.raises(RecipeError, match=r"other\.yaml: base is recipe\.yaml, of which"):
        parse(recipe("base: other.yaml"))
    with pytest.raises(RecipeError, match="of which it is a base itself"):
        parse(recipe("base: recipe.yaml"))


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


def test_help_shows_every_argument(capsys):
    with pytest.raises(SystemExit) as caught:
        parse("--help")
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"--{field.name}" in shown for field in dataclasses.fields(EmotionNetArguments))


# --- the recipes that come with the package

PAPER = EmotionNetArguments(**NEEDED, num_workers=8, log_steps=100)
NEITHER = {"soft_labels": False, "embedding_weight": 0.0}
# What each differs in from the paper's EmotionNet: nothing else may change with it.
ABLATIONS = {
    "paper_resnet50": {},
    "table3_no_soft_labels": {"soft_labels": False},
    "table3_no_embedding_loss": {"embedding_weight": 0.0},
    "table3_neither": NEITHER,
    "table4_basic8": {**NEITHER, "config": "basic8", "classes": "basic8", "select_on": "accuracy"},
    "table4_all_keywords": {**NEITHER, "config": "all_keywords", "classes": "all_keywords"},
    **{f"table5_subset_{p}": {**NEITHER, "config": f"subset_{p}"} for p in (10, 25, 50, 75)},
}
TEXTS = ["paper_textcnn", "published_code_textcnn"]
TEXTS += ["se30k8_textcnn", "published_code_se30k8_textcnn", "published_code_word2vec_textcnn"]


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_differs_from_the_paper_in_what_it_names(name):
    given = parse(str(RECIPES / f"{name}.yaml"), *WORDS)
    assert given == dataclasses.replace(PAPER, **{"select_on": None, **ABLATIONS[name]})


def test_extra_annotation_asks_for_its_text_model():
    path = str(RECIPES / "table3_extra_annotation.yaml")
    with pytest.raises(RecipeError, match=r"missing.*as --auxiliary_text_model"):
        parse(path, *WORDS)
    given = parse(path, *WORDS, "--auxiliary_text_model", "eight/model")
    assert given == dataclasses.replace(PAPER, auxiliary_text_model="eight/model")


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_recipe_is_whole(name):
    words = ["--data", "sample", "--output_dir", "run"]
    given = parse_recipe(TextCNNArguments, [str(RECIPES / f"{name}.yaml"), *words])
    assert given.classes == ("se30k8" if "se30k8" in name else "emotion_keywords")
    published = name.startswith("published_code")
    assert given.optimizer == ("adadelta" if published else "adagrad")
    nlt = name == "published_code_se30k8_textcnn"
    code = "published_code_nlt" if nlt else "published_code"
    assert given.variant == (code if published else "paper")
    epochs = (80, [40]) if nlt else (20, [10, 15]) if published else (30, [10, 20])
    assert (given.epochs, given.lr_drop_epochs) == epochs
    assert given.batch_size == (50 if published else 256)
    assert given.keyword_dropout == (0.2 if published else 0)
    assert given.keyword_lookup == ("as_written" if published else "spellings")


STAGES = {
    "published_code_stage1": {"soft_labels": False, "embedding_weight": 0.0},
    "published_code_stage2": {"init_from": "first", "embedding_target": "text_model"},
    "published_code_extra_annotation": {
        **{"init_from": "first", "embedding_target": "auxiliary_text_model"},
        **{"auxiliary_text_model": "eight", "auxiliary_loss": "cross_entropy"},
    },
}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_differs_from_the_paper_in_what_it_names(name):
    given = ("init_from", "auxiliary_text_model")
    more = {f"--{key}": value for key, value in STAGES[name].items() if key in given}
    path = str(RECIPES / f"{name}.yaml")
    for option in more:
        others = [word for pair in more.items() if pair[0] != option for word in pair]
        with pytest.raises(RecipeError, match=rf"missing.*as {option}"):
            parse(path, *WORDS, *others)
    found = parse(path, *WORDS, *(word for pair in more.items() for word in pair))
    assert found == dataclasses.replace(PAPER, select_on=None, **STAGES[name])


def test_the_stages_of_the_published_code_train(
    release_data, release_model, se30k8_model, tmp_path
):
    given = {"data": release_data, "text_model": release_model, **TINY}
    spaces = []
    for name in STAGES:
        more = {
            **({"init_from": tmp_path / "published_code_stage1"} if "stage1" not in name else {}),
            **({"auxiliary_text_model": se30k8_model} if "extra" in name else {}),
        }
        options = {**given, **more, "output_dir": tmp_path / name}
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        folder = train_emotionnet(parse(str(RECIPES / f"{name}.yaml"), *words))
        config = EmotionNetConfig.from_pretrained(folder)
        spaces.append((config.joint_space, config.auxiliary_dim))
        # A saved model of each of them opens strictly, fc_aux and all.
        EmotionNetForPreTraining.from_pretrained(folder)
    assert spaces == [("untrained", 0), ("text_model", 0), ("auxiliary_text_model", 8)]


def test_the_word2vec_recipe_trains_it_as_the_published_code():
    words = ["--data", "sample", "--output_dir", "run"]
    path = str(RECIPES / "published_code_word2vec_textcnn.yaml")
    given = parse_recipe(TextCNNArguments, [path, *words])
    assert (given.word_vectors, given.embedding_dim) == (None, 300)
    assert (given.word_vector_copies, given.word_vector_dropout) == (5, 0.1)
    assert (given.word_vector_negative, given.word_vector_min_count) == (15, 100)
    assert (given.word_vector_window, given.word_vector_epochs) == (50, 10)
    with pytest.raises(RecipeError, match=r"word_vector_copies.*word_vectors is v\.bin"):
        parse_recipe(TextCNNArguments, [path, *words, "--word_vectors", "v.bin"])


@pytest.mark.parametrize("name", ["word2vec_textcnn", "se30k8_textcnn"])
def test_a_recipe_of_the_published_code_trains(data, se30k8_data, tmp_path, name):
    small = {
        **{"data": se30k8_data if "se30k8" in name else data, "output_dir": tmp_path / "run"},
        **{"epochs": 1, "embedding_dim": 8, "hidden_size": 8, "min_count": 1, "batch_size": 8},
        **({"word_vector_epochs": 1, "word_vector_min_count": 5} if "word2vec" in name else {}),
    }
    words = [word for key, value in small.items() for word in (f"--{key}", str(value))]
    path = str(RECIPES / f"published_code_{name}.yaml")
    folder = train_textcnn(parse_recipe(TextCNNArguments, [path, *words]))
    model = TextCNNForSequenceClassification.from_pretrained(folder)
    assert model.config.hidden_layer is ("word2vec" in name)
    assert model.config.vocab_size > 10


def test_every_recipe_is_one_of_these_and_shows_its_own_command():
    found = {
        path.stem: path.read_text(encoding="utf-8")
        for path in RECIPES.glob("*.yaml")
        if not path.stem.startswith("scale_")  # what a reproduction changes in recipes
    }
    assert set(found) == {*ABLATIONS, *STAGES, *TEXTS, "table3_extra_annotation"}
    for name, text in found.items():
        script = "train_textcnn.py" if name in TEXTS else "train_emotionnet.py"
        command = text.replace(" \\\n#      ", "")
        assert f"accelerate launch scripts/{script} scripts/recipes/{name}.yaml" in command
        assert "# Expected" in text
        assert "# Cost: not measured" in text


# The smallest subset has one row.
TINY = {
    **{"backbone": "test_convnext", "backbone_weights": "none", "image_size": 32},
    **{"epochs": 1, "batch_size": 1, "num_workers": 0, "log_steps": 9, "progress": False},
}


@pytest.mark.parametrize("name", [*ABLATIONS, "table3_extra_annotation"])
def test_an_ablation_trains(release_data, release_model, se30k8_model, tmp_path, name):
    given = {
        "data": release_data,
        "text_model": release_model,
        "output_dir": tmp_path / "run",
        **({"auxiliary_text_model": se30k8_model} if "extra" in name else {}),
        **TINY,
    }
    words = [word for key, value in given.items() for word in (f"--{key}", str(value))]
    folder = train_emotionnet(parse(str(RECIPES / f"{name}.yaml"), *words))
    assert (folder / "model.safetensors").is_file()
