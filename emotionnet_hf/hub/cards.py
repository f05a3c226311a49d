"""Cards of models and data sets: templates, filled with what files say and with nothing else."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCard, DatasetCardData, ModelCard, ModelCardData, hf_hub_url

from emotionnet_hf.data.sample.latent import draw_latent
from emotionnet_hf.data.sample.picture import draw_picture
from emotionnet_hf.hub.dataset_folder import DatasetFolder
from emotionnet_hf.hub.model_folder import ModelFolder, TrainingRun
from emotionnet_hf.hub.privacy import name_only
from emotionnet_hf.hub.results import PAPER, Measured, as_eval_results

EXAMPLE_PICTURE = "example.jpg"
EXAMPLE_KEYWORDS = "beach, sunset, palm tree, vacation"

_TEMPLATES = Path(__file__).parent
_TAGS = ("emotion", "visual-emotion-recognition", "keywords")
# What a run's result does not depend on, and where it lay.
_NOT_OF_THE_RECIPE = frozenset(
    {"output_dir", "progress", "overwrite", "num_workers", "report_to", "keep_checkpoints"}
    | {"log_steps", "checkpoint_steps", "data"}
)
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
# The line of a built data set's README that names the folder it lies in.
_HERE = "path/of/this/folder"


class CardError(ValueError):
    """A card that cannot be made; the message says what is missing."""


def model_card(
    model: ModelFolder,
    repo_id: str,
    *,
    license: str,
    measured: Sequence[Measured] = (),
    datasets: Sequence[str] = (),
) -> ModelCard:
    """Make the card of a model.

    A README.md in the folder is kept as it is, and only its metadata is completed.

    Args:
        model: The model.
        repo_id: Where it will be, as OWNER/NAME.
        license: Identifier of the licence, such as ``apache-2.0``.
        measured: More results than the run's own validation.
        datasets: Repositories of the data sets it was trained on.

    Returns:
        The card.

    Raises:
        CardError: The licence is no identifier.
    """
    check_license(license)
    numbers = [*_own_results(model), *measured]
    data = ModelCardData(
        language="en",
        license=license,
        library_name="transformers",
        pipeline_tag=model.task,
        tags=[*_TAGS, model.kind],
        datasets=list(datasets) or None,
        model_name=repo_id.partition("/")[2],
        eval_results=as_eval_results(numbers, model.task) or None,
        widget=[_widget(model, repo_id)],
    )
    readme = model.folder / "README.md"
    if readme.is_file():
        card = ModelCard(readme.read_text(encoding="utf-8"))
        _complete(card.data, data)
        return card
    facts = _model_facts(model, repo_id) | {
        "results": _results(numbers),
        "paper": _paper(model.kind, numbers),
    }
    return ModelCard.from_template(data, str(_TEMPLATES / f"{model.kind}.md"), **facts)


def dataset_card(
    dataset: DatasetFolder, repo_id: str, *, license: str | None = None
) -> DatasetCard:
    """Make the card of a data set: the built one, with licence, use and limits.

    Args:
        dataset: The data set.
        repo_id: Where it will be, as OWNER/NAME.
        license: Identifier of the licence; None for the one that its README.md names.

    Returns:
        The card.

    Raises:
        CardError: There is no licence, or it is no identifier.
    """
    built = DatasetCard(dataset.readme.replace(_HERE, repo_id))
    data: Any = built.data  # DatasetCardData, which the base class does not say
    license = license or data.license
    if not license:
        raise CardError(
            f"{dataset.folder / 'README.md'} names no licence. The rights to pictures are their "
            "owners': find out on which terms you may publish them, and give those with --license "
            "(an identifier such as cc-by-4.0, or other)."
        )
    data.license = check_license(license)
    total = sum(dataset.rows.values())
    size = next((name for most, name in _SIZES if total < most), "1M<n<10M")
    own = DatasetCardData(
        language=["en"], pretty_name=repo_id.partition("/")[2], size_categories=[size]
    )
    _complete(data, own)
    if "## Intended use and limits" in built.text:
        return built
    return DatasetCard.from_template(
        data,
        str(_TEMPLATES / "dataset.md"),
        body=built.text.strip(),
        licence=_licence_text(license),
        **_fragments(),
    )


def check_license(license: str) -> str:
    """Return the identifier of a licence.

    Args:
        license: As given.

    Returns:
        It.

    Raises:
        CardError: It cannot be one.
    """
    if not _LICENSE.fullmatch(license):
        raise CardError(
            f"{license!r} is no identifier of a licence: give one of the Hub's, in lower case, "
            "such as apache-2.0, cc-by-4.0 or other."
        )
    return license


def example_picture() -> bytes:
    """Draw the picture that the model's page offers to try.

    Returns:
        A JPEG of a scene of the generated sample, which belongs to nobody.
    """
    picture, _ = draw_picture(0, draw_latent(0, 7, 0.0), 256)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _widget(model: ModelFolder, repo_id: str) -> dict[str, str]:
    """Give the page's widget something to run on."""
    if model.kind == "textcnn":
        return {"text": EXAMPLE_KEYWORDS, "example_title": "Keywords"}
    return {"src": hf_hub_url(repo_id, EXAMPLE_PICTURE), "example_title": "A drawn picture"}


def _complete(data: Any, more: Any) -> None:
    """Add what metadata lack; results are always those that were measured now."""
    for name, value in vars(more).items():
        if value is not None and (name == "eval_results" or not getattr(data, name, None)):
            setattr(data, name, value)


def _fragments() -> dict[str, str]:
    """Texts that all cards share."""
    return {
        name: (_TEMPLATES / f"{name}.md").read_text(encoding="utf-8").strip()
        for name in ("limits", "citation")
    }


def _model_facts(model: ModelFolder, repo_id: str) -> dict[str, Any]:
    """What the templates of models say of this one."""
    return _fragments() | {
        "repo_id": repo_id,
        "name": repo_id.partition("/")[2],
        "parameters": f"{model.parameters:,}",
        "classes": len(model.labels),
        "examples": ", ".join(f"*{label}*" for label in model.labels[:5]),
        "backbone": model.config.get("backbone"),
        "joint": model.config.get("projection_dim"),
        "keywords": EXAMPLE_KEYWORDS,
        "tagging": "emotion-tagging" in model.config.get("custom_pipelines", {}),
        "training": _training(model.run),
    }


def _own_results(model: ModelFolder) -> list[Measured]:
    """Validation metrics of the run, if there was one."""
    return [] if model.run is None else model.run.measured(_data_name(model.run))


def _data_name(run: TrainingRun) -> str:
    """Name of the data set; of a folder only its own name."""
    data = str(run.arguments.get("data", ""))
    local = Path(data).exists() or data.startswith(".")
    return (Path(data).resolve().name if local else name_only(data)) or "data set not recorded"


def _training(run: TrainingRun | None) -> str:
    """What is known of the training."""
    if run is None:
        return "How these weights were trained is not recorded beside them."
    parts = [f"Data: `{_data_name(run)}`{_rows(run)}."]
    if run.epoch is not None:
        chosen = f"by validation `{run.arguments.get('select_on')}`"
        parts[0] += f" Kept: epoch {run.epoch} of {run.arguments.get('epochs')}, {chosen}."
    recipe = {k: v for k, v in run.arguments.items() if k not in _NOT_OF_THE_RECIPE}
    cells = [[f"`{name}`", f"`{_argument(value)}`"] for name, value in recipe.items()]
    parts.append(_table(["argument", "value"], cells))
    if packages := run.environment.get("packages"):
        versions = ", ".join(f"{name} {version}" for name, version in packages.items())
        parts.append(f"Python {run.environment.get('python')}, {versions}.")
    return "\n\n".join(parts)


def _argument(value: Any) -> str:
    """A value of the recipe; of a path only its name."""
    if isinstance(value, str) and (Path(value).exists() or value.startswith(".")):
        return Path(value).name
    return name_only(value) if isinstance(value, str) else json.dumps(value)


def _rows(run: TrainingRun) -> str:
    """Sizes of the splits, if the data set is still at hand."""
    path = Path(str(run.arguments.get("data", ""))) / "build.json"
    if not path.is_file():
        return ""
    rows: Mapping[str, int] = json.loads(path.read_text(encoding="utf-8")).get("rows", {})
    return f" ({', '.join(f'{count:,} {split}' for split, count in rows.items())})"


def _results(measured: Sequence[Measured]) -> str:
    """The table of what was measured."""
    if not measured:
        return "Not measured."
    cells = [[m.dataset, m.split, m.protocol, m.metric_label, m.text] for m in measured]
    return _table(["data set", "split", "how", "metric", "value"], cells)


def _paper(kind: str, measured: Sequence[Measured]) -> str:
    """The table of the paper's measurements."""
    rows = [number.row(measured) for number in PAPER[kind]]
    return _table(["data set", "how", "metric", "paper", "this model"], map(dict.values, rows))


def _table(header: Sequence[str], rows: Any) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _licence_text(license: str) -> str:
    return (
        f"Published under `{license}`, which covers what its publisher may license. The rights to "
        "the pictures are their owners'."
    )
