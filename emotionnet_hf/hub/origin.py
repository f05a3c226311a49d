"""Where weights come from, for their card: a training run, a conversion, an export."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emotionnet_hf.hub.json_file import read_json
from emotionnet_hf.hub.model_folder import ModelFolder, ModelFolderError, TrainingRun
from emotionnet_hf.hub.privacy import is_local_path, public_value

# What a run's result does not depend on, and where it lay.
_NOT_OF_THE_RECIPE = frozenset(
    {"output_dir", "progress", "overwrite", "num_workers", "report_to", "keep_checkpoints"}
    | {"log_steps", "checkpoint_steps", "data"}
)
# Arguments that name files or folders of the one who trained.
_FILES = frozenset(
    {"text_model", "auxiliary_text_model", "word_vectors", "backbone_weights", "init_from"}
)
# Of the authors' checkpoints; the text models are of either kind, and the others of benchmarks.
_ON_KEYWORDS = frozenset({"two-branch", "three-branch", "joint"})
_NOUNS = {
    "emotion_keywords": "emotion keywords",
    "all_keywords": "keywords",
    "basic8": "classes of SE30K8",
    "se30k8": "classes of SE30K8",
}
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


def origin(model: ModelFolder) -> str:
    """Say where the weights come from.

    Args:
        model: The model.

    Returns:
        Markdown; of paths it has the last names only.
    """
    if model.conversion is not None:
        return _conversion(model.conversion)
    if model.export is not None:
        return _export(model)
    if model.run is not None:
        return _training(model.run)
    if model.trainer:
        return (
            "Fine-tuned by transformers' `Trainer`, which left its arguments beside these weights "
            "(they are a pickle and not published). On what data, and from which weights, is not "
            "recorded."
        )
    return "How these weights were trained is not recorded beside them."


def seen(model: ModelFolder) -> str | None:
    """Say what the weights were trained on, as far as a record beside them tells.

    Args:
        model: The model.

    Returns:
        Words for a sentence; None where nothing is recorded.
    """
    if model.run is not None and model.run.drawn:
        return "drawn pictures and drawn keyword lists (a quickstart, not photographs)"
    if model.run is not None or _on_keywords(model):
        return "pictures with the keywords of their uploaders"
    return None


def class_noun(model: ModelFolder) -> str:
    """Say what the classes are, as far as a record beside the weights tells.

    Args:
        model: The model.

    Returns:
        ``emotion keywords``, ``keywords``, ``classes of SE30K8``, or just ``classes``.
    """
    if model.run is not None:
        classes = model.run.arguments.get("classes", "emotion_keywords")
        return _NOUNS.get(str(classes), "classes")
    return "emotion keywords" if _on_keywords(model) else "classes"


def joint_space_doubt(model: ModelFolder) -> str:
    """Say why pictures and words may not meet in the joint space of a model that has one.

    Args:
        model: The model.

    Returns:
        A sentence; empty where a record says that they were trained to meet.
    """
    # Conversions of before this was said have no such entry, and know no more.
    space = model.config.get("joint_space")
    if space == "unknown" or (space is None and model.run is None and _on_keywords(model)):
        return (
            "It is not known whether they meet there: the file that this was converted from does "
            "not say if its projection was pulled to word vectors or to a text model's features."
        )
    if model.run is not None and not model.run.arguments.get("embedding_weight", 1.0):
        return "They were trained without the embedding loss and do not meet there."
    if model.run is not None or _on_keywords(model):
        return ""
    return "Whether they still meet there after the last training is not recorded."


def other_data(model: ModelFolder) -> str:
    """Say that the limits of a card are of other data than these weights have seen.

    Args:
        model: The model.

    Returns:
        A paragraph; empty where the weights come from keywords of uploaders.
    """
    if model.run is not None and not model.run.drawn:
        return ""
    if model.run is not None:
        return (
            "These weights have seen drawn pictures only. They are for trying the tools, and say "
            "nothing of photographs; what follows is about models of real ones."
        )
    if _on_keywords(model):
        return ""
    return (
        "What these weights have seen last is not recorded here, nor what it is good and bad at; "
        "what follows is known of models of the paper's kind of data."
    )


def _on_keywords(model: ModelFolder) -> bool:
    """Whether a conversion says that the weights are those of the authors' training on keywords."""
    return model.conversion is not None and model.conversion.get("kind") in _ON_KEYWORDS


def data_name(run: TrainingRun) -> str:
    """Name the data set of a run.

    Args:
        run: The run.

    Returns:
        OWNER/NAME of a repository; of a folder only its own name.
    """
    data = str(run.arguments.get("data", ""))
    if not data:
        return "data set not recorded"
    return data if _is_repository(data, run) else _last_name(data)


def table(header: Sequence[str], rows: Any) -> str:
    r"""Write a table in Markdown.

    Args:
        header: Names of the columns.
        rows: Their cells; ``|`` becomes ``\|``.

    Returns:
        The table, without an end of line.
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, cells))} |" for cells in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _is_repository(data: str, run: TrainingRun) -> bool:
    """Whether it was one: a folder of the same form may be gone, or lie in another place."""
    if not _REPOSITORY.fullmatch(data) or Path(data).exists():
        return False
    first = data.partition("/")[0]
    beside = (str(run.arguments.get(name) or "") for name in ("output_dir", *_FILES))
    return not Path(first).exists() and all(first not in Path(text).parts for text in beside)


def _last_name(text: str) -> str:
    """The last name of a path."""
    return Path(public_value(text) if is_local_path(text) else text).resolve().name


def _conversion(record: Mapping[str, Any]) -> str:
    """What `emotionnet convert` wrote down."""
    cells = [
        [f"`{name}`", f"`{_argument(name, record[name])}`"]
        for name in ("checkpoint", "kind", "arch", "epoch", "best_prec1", "sha256")
        if record.get(name) is not None
    ]
    return (
        "Not trained here: converted from the authors' published checkpoint by `emotionnet "
        f"convert`. No tensor was left out or made up.\n\n{table(['checkpoint', ''], cells)}"
    )


def _export(model: ModelFolder) -> str:
    """What `emotionnet export timm` wrote down, into its README too."""
    readme = model.folder / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    named = re.search(r"of `([^`]+)`, an EmotionNet", text)
    source = f"the EmotionNet `{public_value(named[1])}`" if named else "an EmotionNet"
    parts = "Trunk and classifier" if model.labels else "Trunk"
    text = (
        f"{parts} of {source}, written as a plain timm model by `emotionnet export timm`; how the "
        "EmotionNet was trained stands in its own card."
    )
    if (apart := (model.export or {}).get("largest_difference")) is not None:
        text += f" Largest difference from it on random images: {apart:.1e}."
    return text


def _training(run: TrainingRun) -> str:
    """What a run folder says."""
    name = data_name(run)
    repository = _is_repository(str(run.arguments.get("data", "")), run)
    known = f"`{name}`" if repository or not run.arguments.get("data") else f'local folder "{name}"'
    parts = [f"Data: {known}{_rows(run)}."]
    if run.epoch is not None:
        select_on = run.arguments.get("select_on", "last")
        chosen = "the last" if select_on == "last" else f"the best by validation `{select_on}`"
        parts[0] += f" Kept: epoch {run.epoch} of {run.arguments.get('epochs')}, {chosen}."
    recipe = {k: v for k, v in run.arguments.items() if k not in _NOT_OF_THE_RECIPE}
    cells = [[f"`{key}`", f"`{_argument(key, value)}`"] for key, value in recipe.items()]
    parts.append(table(["argument", "value"], cells))
    if packages := run.environment.get("packages"):
        versions = ", ".join(f"{package} {version}" for package, version in packages.items())
        parts.append(f"Python {run.environment.get('python')}, {versions}.")
    return "\n\n".join(parts)


def _argument(name: str, value: Any) -> str:
    """A value for a table; of paths only their names."""
    if isinstance(value, str) and value:
        here = value.startswith(".") or Path(value).exists()
        return _last_name(value) if name in _FILES or here else str(public_value(value))
    return json.dumps(public_value(value), ensure_ascii=False)


def _rows(run: TrainingRun) -> str:
    """Sizes of the splits, if the data set is still at hand."""
    path = Path(str(run.arguments.get("data", ""))) / "build.json"
    if not path.is_file():
        return ""
    rows: Mapping[str, int] = read_json(path, ModelFolderError).get("rows", {})
    return f" ({', '.join(f'{count:,} {split}' for split, count in rows.items())})"
