"""Cards of models and data sets: templates, filled with what files say and with nothing else."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCard, DatasetCardData, ModelCard, ModelCardData, hf_hub_url

from emotionnet_hf.data.sample.latent import draw_latent
from emotionnet_hf.data.sample.picture import draw_picture
from emotionnet_hf.hub.dataset_folder import DatasetFolder
from emotionnet_hf.hub.model_folder import TIMM, ModelFolder
from emotionnet_hf.hub.origin import (
    class_noun,
    data_name,
    joint_space_doubt,
    origin,
    other_data,
    seen,
    table,
)
from emotionnet_hf.hub.results import PAPER, Measured, as_eval_results

DEFAULT_LICENSE = "apache-2.0"
"""Of models that were trained with this package, where nothing else is said."""

EXAMPLE_PICTURE = "example.jpg"
EXAMPLE_KEYWORDS = "beach, sunset, palm tree, vacation"

_TEMPLATES = Path(__file__).parent
_TAGS = ("emotion", "visual-emotion-recognition", "keywords")
_STEPS = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
# What the README of an export has, and one that somebody wrote has not.
_EXPORTED = "Written by `emotionnet export timm`."
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
# The line of a built data set's README that names the folder it lies in.
_HERE = "path/of/this/folder"


class CardError(ValueError):
    """A card that cannot be made; the message says what is missing."""


def model_card(
    model: ModelFolder,
    repo_id: str,
    *,
    license: str | None = None,
    measured: Sequence[Measured] = (),
    datasets: Sequence[str] = (),
    revision: str | None = None,
) -> ModelCard:
    """Make the card of a model.

    The text of a README.md in the folder is kept as it is, and its metadata is completed; results
    among them are replaced by those that were measured.

    Args:
        model: The model.
        repo_id: Where it will be, as OWNER/NAME.
        license: Identifier of the licence, such as ``apache-2.0``; None for the one that a
            README.md in the folder names, else ``DEFAULT_LICENSE``, but of weights that no
            training of this package made it has to be said.
        measured: More results than the run's own validation.
        datasets: Repositories of the data sets it was trained on.
        revision: Branch that it will be on; None for the main one.

    Returns:
        The card.

    Raises:
        CardError: The licence is no identifier, or must be said and is not.
    """
    own = _own_card(model)
    license = license_of(model, license)
    numbers = [*_own_results(model), *measured]
    data = ModelCardData(
        language="en",
        license=license,
        library_name=TIMM if model.kind == TIMM else "transformers",
        pipeline_tag=model.task,
        tags=[*_TAGS, *([TIMM, "transformers"] if model.kind == TIMM else [model.kind])],
        datasets=list(datasets) or None,
        model_name=repo_id.partition("/")[2],
        eval_results=as_eval_results(numbers, model.task) or None,
        widget=[_widget(model, repo_id, revision)],
    )
    if own is not None:
        own.data["license"] = license
        _complete(own.data, data)
        return own
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
    size = _size_category(sum(dataset.rows.values()))
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


def license_of(model: ModelFolder, license: str | None = None) -> str:
    """Find the licence of a model.

    Args:
        model: The model.
        license: What was said, if anything was.

    Returns:
        That; else the one of the folder's README.md; else ``DEFAULT_LICENSE``.

    Raises:
        CardError: It is no identifier; or none is said of weights that were converted, exported,
            fine-tuned elsewhere, or whose training is not recorded.
    """
    own = _own_card(model)
    if license is None and own is not None:
        license = own.data.to_dict().get("license")
    if license is None and (made := _made_elsewhere(model)):
        raise CardError(
            f"The model in {model.folder} was {made}: nothing here says under which terms it may "
            "be published. Find out, and give the licence with --license (in Python license=), an "
            "identifier such as apache-2.0, cc-by-nc-4.0 or other."
        )
    return check_license(license if license is not None else DEFAULT_LICENSE)


def _made_elsewhere(model: ModelFolder) -> str | None:
    """Say how weights were made that no training of ours made."""
    if model.conversion is not None:
        return "converted, and weights are their authors'"
    if model.export is not None:
        return "exported"
    if model.trainer:
        return "fine-tuned by transformers' Trainer"
    return "trained in a way that is not recorded beside it" if model.run is None else None


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


def _own_card(model: ModelFolder) -> ModelCard | None:
    """The card that lies in the folder, unless an export left it there without limits."""
    readme = model.folder / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    if not text or (model.kind == TIMM and _EXPORTED in text):
        return None
    # Results that somebody wrote down are replaced, so they may be in any form.
    return ModelCard(text, ignore_metadata_errors=True)


def _size_category(rows: int) -> str:
    """The Hub's word for a number of rows."""
    for i, step in enumerate(_STEPS):
        if rows < 10 ** (3 + i):
            return f"{_STEPS[i - 1]}<n<{step}" if i else f"n<{step}"
    return f"n>{_STEPS[-1]}"


def _widget(model: ModelFolder, repo_id: str, revision: str | None) -> dict[str, str]:
    """Give the page's widget something to run on."""
    if model.kind == "textcnn":
        return {"text": EXAMPLE_KEYWORDS, "example_title": "Keywords"}
    # What a pull request brings will be on the main branch.
    branch = None if revision and revision.startswith("refs/") else revision
    source = hf_hub_url(repo_id, EXAMPLE_PICTURE, revision=branch)
    return {"src": source, "example_title": "A drawn picture"}


def _complete(data: Any, more: Any) -> None:
    """Add what metadata lack; results are always those that were measured now."""
    for name, value in vars(more).items():
        if name == "eval_results" or (value is not None and not getattr(data, name, None)):
            setattr(data, name, value)


def _fragments() -> dict[str, str]:
    """Texts that all cards share."""
    return {
        name: (_TEMPLATES / f"{name}.md").read_text(encoding="utf-8").strip()
        for name in ("limits", "citation")
    }


def _model_facts(model: ModelFolder, repo_id: str) -> dict[str, Any]:
    """What the templates of models say of this one."""
    limits = {"limits": "\n\n".join(filter(None, [other_data(model), _fragments()["limits"]]))}
    return (
        _fragments()
        | limits
        | {
            "repo_id": repo_id,
            "name": repo_id.partition("/")[2],
            "parameters": f"{model.parameters:,}",
            "classes": len(model.labels),
            "noun": class_noun(model),
            "seen": seen(model),
            "examples": ", ".join(f"*{label}*" for label in model.labels[:5]),
            "backbone": model.config.get("backbone") or model.config.get("architecture"),
            # What the weights have; the configuration may speak of more.
            "classifier": model.has("classifier"),
            "joint": model.has("visual_projection") and model.config.get("projection_dim"),
            "doubt": joint_space_doubt(model),
            "tower": model.has("text_tower"),
            "keywords": EXAMPLE_KEYWORDS,
            "tagging": "emotion-tagging" in model.config.get("custom_pipelines", {}),
            "training": origin(model),
        }
    )


def _own_results(model: ModelFolder) -> list[Measured]:
    """Validation metrics of the run, if there was one."""
    return [] if model.run is None else model.run.measured(data_name(model.run))


def _results(measured: Sequence[Measured]) -> str:
    """The table of what was measured."""
    if not measured:
        return "Not measured."
    cells = [[m.dataset, m.split, m.protocol, m.metric_label, m.text] for m in measured]
    return table(["data set", "split", "how", "metric", "value"], cells)


def _paper(kind: str, measured: Sequence[Measured]) -> str:
    """The table of the paper's measurements."""
    rows = [number.row(measured) for number in PAPER["emotionnet" if kind == TIMM else kind]]
    return table(["data set", "how", "metric", "paper", "this model"], map(dict.values, rows))


def _licence_text(license: str) -> str:
    return (
        f"Published under `{license}`, which covers what its publisher may license. The rights to "
        "the pictures are their owners'."
    )
