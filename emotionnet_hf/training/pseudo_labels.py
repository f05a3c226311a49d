"""Pseudo-labels over the eight classes of SE30K8, from keywords (Table 4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tqdm.auto import tqdm
from transformers import AutoTokenizer

from emotionnet_hf.data.built_folder import open_built
from emotionnet_hf.data.keyword_lists import KeywordLists
from emotionnet_hf.data.load import is_built
from emotionnet_hf.data.plan import reason_kind, told
from emotionnet_hf.data.release_sources import open_source
from emotionnet_hf.data.sources import Record
from emotionnet_hf.data.tables import check_parquet_name
from emotionnet_hf.emotions import SE30K8
from emotionnet_hf.files import whole_file
from emotionnet_hf.lock import one_run
from emotionnet_hf.models import TextCNNForSequenceClassification
from emotionnet_hf.models.place import check_place

_BATCH = 4096
_SCHEMA = pa.schema({"image_id": pa.string(), "scores": pa.list_(pa.float32(), len(SE30K8))})


class PseudoLabelError(ValueError):
    """Pseudo-labels that cannot be made from this model or this source."""


@dataclass(frozen=True)
class PseudoLabelReport:
    """What was written.

    Attributes:
        out: The Parquet file.
        rows: Images of each class, by its name, the most probable one.
        rejected: Rows that cannot be used, by kind of reason; a build of the source lists them.
    """

    out: Path
    rows: dict[str, int]
    rejected: dict[str, int]

    def summary(self) -> str:
        """Two lines for people."""
        classes = ", ".join(f"{name} {count:,}" for name, count in self.rows.items())
        lines = [f"{self.out}: {sum(self.rows.values()):,} images", classes]
        if self.rejected:
            lines.append(f"not usable: {told(Counter(self.rejected))}")
        return "\n".join(lines)


def write_pseudo_labels(
    source: str | Path, model: str | Path, out: str | Path, *, progress: bool = True
) -> PseudoLabelReport:
    """Label every image of a source by its keywords with a TextCNN of the SE30K8 classes.

    Args:
        source: A folder with metadata, a release, or a folder that `emotionnet build` wrote.
        model: Folder or repository of a `TextCNNForSequenceClassification` with these classes.
        out: Parquet file to write, whole or not at all: `image_id`, and `scores`, the softmax over
            the eight classes in their alphabetical order, float32. An existing file is replaced.
            As `basic8.parquet` in a release it is found by `load_dataset`; `emotionnet build` is
            told by `--basic8`.
        progress: Show a bar.

    Returns:
        How often each class is the most probable one.

    Raises:
        FileNotFoundError: There is no such model folder, or it holds no model.
        ModelKindError: It holds a model of another kind.
        PseudoLabelError: The model has other classes, or the source no usable row.
        SourceError: The source cannot be read.
        AnotherRunError: Another run writes `out`.
    """
    out = Path(out)
    check_parquet_name(out, PseudoLabelError)
    with one_run(out):
        check_place(model, "textcnn")
        classifier = TextCNNForSequenceClassification.from_pretrained(model).eval()
        order = _class_order(classifier.config.id2label, model)
        tokenizer = AutoTokenizer.from_pretrained(model)
        counts: Counter[int] = Counter()
        rejected: Counter[str] = Counter()
        bar = tqdm(unit="image", disable=not progress)
        rows = _rows(Path(source), rejected)
        with (
            bar,
            whole_file(out) as file,
            pq.ParquetWriter(file, _SCHEMA) as writer,
        ):
            while batch := list(islice(rows, _BATCH)):
                scores = _scores(classifier, tokenizer, [keywords for _, keywords in batch])[
                    :, order
                ]
                counts.update(scores.argmax(dim=1).tolist())
                ids = [image_id for image_id, _ in batch]
                writer.write_table(pa.table([ids, scores.tolist()], schema=_SCHEMA))
                bar.update(len(batch))
            if not counts:
                raise PseudoLabelError(f"{source} has no usable row")
    rows_of_class = {name: counts[i] for i, name in enumerate(SE30K8)}
    return PseudoLabelReport(out, rows_of_class, dict(rejected.most_common()))


def _class_order(names: dict[int, str], model: str | Path) -> list[int]:
    """Places of the SE30K8 classes among the model's."""
    places = {name: place for place, name in names.items()}
    if set(places) != set(SE30K8):
        found = ", ".join(list(places)[:8])
        raise PseudoLabelError(
            f"{model} has the {len(places)} classes {found}, not those of SE30K8 "
            f"({', '.join(SE30K8)})"
        )
    return [places[name] for name in SE30K8]


def _rows(source: Path, rejected: Counter[str]) -> Iterator[tuple[str, list[str]]]:
    """Id and keywords of each usable row; the others are counted."""
    if is_built(source):
        for _, _, batch in open_built(source).batches(["image_id", "keywords"]):
            yield from zip(
                batch["image_id"].to_pylist(), batch["keywords"].to_pylist(), strict=True
            )
        return
    for row in open_source(source):
        if isinstance(row, Record):
            yield row.image_id, row.keywords
        else:
            rejected[reason_kind(row.reason)] += 1


@torch.inference_mode()
def _scores(classifier: Any, tokenizer: Any, lists: list[list[str]]) -> torch.Tensor:
    """Softmax over the model's classes, (N, K)."""
    column = pa.chunked_array([pa.array(lists, pa.list_(pa.string()))])
    keywords = KeywordLists.from_names(column, tokenizer.get_vocab(), tokenizer.unk_token_id)
    parts = []
    for rows in torch.arange(len(lists)).split(keywords.rows_at_once(_BATCH)):
        ids, mask = keywords.rows(rows.numpy()).padded(tokenizer.pad_token_id)
        parts.append(classifier(torch.from_numpy(ids), torch.from_numpy(mask)).logits)
    return torch.cat(parts).float().softmax(dim=-1)
