"""The data-set card of a built folder: what `load_dataset` and the Hub read."""

from __future__ import annotations

from collections.abc import Mapping

from datasets import DatasetInfo, Features, SplitDict, SplitInfo
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCardData

from emotionnet_hf.data.writing import ShardResult

_TEXT = """# {name}

Images with the keyword lists of their uploaders, in the schema of StockEmotion (Wei et al.,
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
{counts}
An image's split depends only on a hash of its group or id, so it stays where it is when the data
grows. Rows that could not be used ({quarantined}) are in `quarantine.parquet` with the reason;
`build.json` has the arguments and the counts. The rights to the pictures are their owners'.
"""


def dataset_card(
    name: str, features: Features, splits: Mapping[str, ShardResult], quarantined: int
) -> str:
    """README.md of a built data set.

    The YAML header has the files of each split and the features as `datasets` writes them.

    Args:
        name: Title.
        features: The schema.
        splits: What was written to each split; none of them empty.
        quarantined: Number of rows in quarantine.

    Returns:
        The text.
    """
    return f"---\n{_header(features, splits)}\n---\n\n{_body(name, features, splits, quarantined)}"


def _header(features: Features, splits: Mapping[str, ShardResult]) -> DatasetCardData:
    data = DatasetCardData(
        task_categories=["image-classification", "zero-shot-image-classification"],
        tags=["emotion", "visual-emotion-recognition", "keywords", "weak-labels"],
    )
    infos = SplitDict()
    for split, result in splits.items():
        infos.add(SplitInfo(split, num_bytes=result.num_bytes, num_examples=result.rows))
    info = DatasetInfo(
        features=features,
        splits=infos,
        download_size=sum(result.file_size for result in splits.values()),
        dataset_size=sum(result.num_bytes for result in splits.values()),
    )
    DatasetInfosDict({"default": info}).to_dataset_card_data(data)
    files = [{"split": split, "path": f"data/{split}-*"} for split in splits]
    MetadataConfigs({"default": {"data_files": files}}).to_dataset_card_data(data)
    return data


def _body(
    name: str, features: Features, splits: Mapping[str, ShardResult], quarantined: int
) -> str:
    rows = [
        f"| {split} | {result.rows:,} | {result.keywords / result.rows:.2f} "
        f"| {result.emotion_keywords / result.rows:.2f} |"
        for split, result in splits.items()
    ]
    counts = [
        f"| `{column}` | number of {column} seen, if known |\n"
        for column in ("people", "faces")
        if column in features
    ]
    return _TEXT.format(
        name=name,
        table="\n".join(rows),
        emotions=len(features["emotion_keywords"].feature.names),
        counts="".join(counts),
        quarantined=f"{quarantined:,}",
    )
