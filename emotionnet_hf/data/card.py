"""The data-set card of a built folder: what `load_dataset` and the Hub read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datasets import DatasetInfo, Features, SplitDict, SplitInfo
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCardData

from emotionnet_hf.data.plan import split_of
from emotionnet_hf.data.sources import Source
from emotionnet_hf.data.writing import ShardResult

_TEXT = """# {name}

{about} (Wei et al.,
"Learning Visual Emotion Representations from Web Data", CVPR 2020). The keywords of an image that
are in the emotion vocabulary are its weak labels: some are wrong and many are missing.

| split | images | keywords per image | emotion keywords per image |
| --- | --- | --- | --- |
{table}

```python
from datasets import load_dataset

dataset = load_dataset("path/of/this/folder")
```

| column | content |
| --- | --- |
| `image` | the picture, RGB |
| `image_id` | unique in the data set |
| `keywords` | the uploader's keywords, in order, in normal form |
| `emotion_keywords` | those of the {emotions} emotion keywords that are among them |
| `phash` | 64-bit perceptual hash of the picture, 16 hexadecimal digits |
| `source` | where the picture came from, if known |
{columns}
{split_rule}

Rows that could not be used ({quarantined}) are in `quarantine.parquet` with the reason;
`build.json` has the arguments and the counts. The rights to the pictures are their owners'.
"""

_OF_PICTURES = ("image", "phash", "people", "faces")
_COLUMNS = {
    "people": "number of people seen, if known",
    "faces": "number of faces seen, if known",
    "keyword_ids": "the keywords as labels (configuration `all_keywords`)",
    "basic8": "pseudo-label over the classes of SE30K8 (configuration `basic8`)",
    "basic8_scores": "its scores of the eight classes",
    "annotations": "the classes that each worker saw",
    "votes": "votes of each class / all votes",
    "label": "the class with most votes, -1 where it has fewer than three",
}


def dataset_card(
    name: str,
    features: Features,
    parts: Mapping[str, ShardResult],
    quarantined: int,
    source: Source,
    text: Mapping[str, ShardResult] | None = None,
) -> str:
    """README.md of a built data set.

    The YAML header has the files of each configuration and split, and the features as `datasets`
    writes them. Only the configuration `all_keywords` has none there: the names of its 36,534
    labels would fill the card. Its features are read from the Parquet files, which have them too.

    Args:
        name: Title.
        features: The schema.
        parts: What was written to each part, in order (see `plan.parts`); none of them empty.
        quarantined: Number of rows in quarantine.
        source: What the data set was built from.
        text: What was written to each split of the configuration `text`, without pictures.

    Returns:
        The text.
    """
    body = _body(name, features, parts, quarantined, source)
    return f"---\n{_header(features, parts, text or {})}\n---\n\n{body}"


def _header(
    features: Features, parts: Mapping[str, ShardResult], text: Mapping[str, ShardResult]
) -> DatasetCardData:
    data = DatasetCardData(
        task_categories=["image-classification", "zero-shot-image-classification"],
        tags=["emotion", "visual-emotion-recognition", "keywords", "weak-labels"],
    )
    configurations = _configurations(features, parts)
    infos = {
        name: _info(Features({column: features[column] for column in columns}), chosen)
        for name, (columns, chosen) in configurations.items()
        if "keyword_ids" not in columns
    }
    files = {
        name: {
            "data_files": _files(chosen),
            **({} if set(columns) == set(features) else {"columns": columns}),
        }
        for name, (columns, chosen) in configurations.items()
    }
    if text:
        columns = [c for c in configurations["default"][0] if c not in _OF_PICTURES]
        infos["text"] = _info(Features({column: features[column] for column in columns}), text)
        files["text"] = {"data_files": [{"split": s, "path": f"text/{s}.parquet"} for s in text]}
    DatasetInfosDict(infos).to_dataset_card_data(data)
    MetadataConfigs(files).to_dataset_card_data(data)
    return data


def _configurations(
    features: Features, parts: Mapping[str, ShardResult]
) -> dict[str, tuple[list[str], dict[str, ShardResult]]]:
    """Columns and parts of each configuration, the default one first."""
    added = {"all_keywords": ["keyword_ids"], "basic8": ["basic8", "basic8_scores"]}
    special = {column for columns in added.values() for column in columns}
    plain = [column for column in features if column not in special]
    configurations = {"default": (plain, dict(parts))}
    for name, columns in added.items():
        if set(columns) <= set(features):
            configurations[name] = ([*plain, *columns], dict(parts))
    steps = [part for part in parts if part.startswith("train-")]
    for part in steps:
        percent = int(part.partition("-")[2])
        if percent < 100:
            chosen = {p: r for p, r in parts.items() if p not in steps or p <= part}
            configurations[f"subset_{percent}"] = (plain, chosen)
    return configurations


def _files(parts: Mapping[str, ShardResult]) -> list[dict[str, Any]]:
    """Patterns of the files of each split."""
    paths: dict[str, list[str]] = {}
    for part in parts:
        paths.setdefault(split_of(part), []).append(f"data/{part}-*")
    return [{"split": s, "path": p[0] if len(p) == 1 else p} for s, p in paths.items()]


def _info(features: Features, parts: Mapping[str, ShardResult]) -> DatasetInfo:
    splits = SplitDict()
    for split, result in by_split(parts).items():
        splits.add(SplitInfo(split, num_bytes=result.num_bytes, num_examples=result.rows))
    return DatasetInfo(
        features=features,
        splits=splits,
        download_size=sum(result.file_size for result in parts.values()),
        dataset_size=sum(result.num_bytes for result in parts.values()),
    )


def by_split(parts: Mapping[str, ShardResult]) -> dict[str, ShardResult]:
    """Add up the parts of each split."""
    splits: dict[str, ShardResult] = {}
    for part, result in parts.items():
        splits.setdefault(split_of(part), ShardResult()).add(result)
    return splits


def _body(
    name: str,
    features: Features,
    parts: Mapping[str, ShardResult],
    quarantined: int,
    source: Source,
) -> str:
    rows = [
        f"| {split} | {result.rows:,} | {result.keywords / result.rows:.2f} "
        f"| {result.emotion_keywords / result.rows:.2f} |"
        for split, result in by_split(parts).items()
    ]
    return _TEXT.format(
        name=name,
        about=source.about,
        split_rule=source.split_rule,
        table="\n".join(rows),
        emotions=len(features["emotion_keywords"].feature.names),
        columns="".join(
            f"| `{column}` | {text} |\n" for column, text in _COLUMNS.items() if column in features
        ),
        quarantined=f"{quarantined:,}",
    )
