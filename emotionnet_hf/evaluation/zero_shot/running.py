"""Running a zero-shot evaluation, from the models and a benchmark to a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoImageProcessor, AutoTokenizer

from emotionnet_hf.data.benchmarks.benchmark import Benchmark
from emotionnet_hf.data.plan import told
from emotionnet_hf.environment import environment
from emotionnet_hf.evaluation.linear_probe.rows import Pool
from emotionnet_hf.evaluation.linear_probe.scoring import (
    METRICS,
    Scored,
    absent_classes,
    summarised,
)
from emotionnet_hf.evaluation.zero_shot.arguments import ZeroShotArguments, ZeroShotError
from emotionnet_hf.evaluation.zero_shot.category_keywords import (
    Categories,
    categories_of,
    origin,
)
from emotionnet_hf.evaluation.zero_shot.category_vectors import (
    CategoryVectors,
    in_text_model,
    in_word_vectors,
)
from emotionnet_hf.evaluation.zero_shot.pictures import embed_pictures
from emotionnet_hf.evaluation.zero_shot.report import ZeroShotReport
from emotionnet_hf.evaluation.zero_shot.scoring import chance_level
from emotionnet_hf.models import EmotionNetForPreTraining, TextCNNForSequenceClassification
from emotionnet_hf.models.place import check_place


def evaluate_zero_shot(
    benchmark: Benchmark,
    model: str | Path,
    *,
    categories: Mapping[str, Sequence[str]] | str | Path | None = None,
    device: str | torch.device | None = None,
    progress: bool = True,
    **arguments: Any,
) -> ZeroShotReport:
    """Score every row of a benchmark for every class by cosine with the class's keywords.

    The image is in the text model's space by the model's auxiliary head, where that has the size
    of the space, or else by W f_v(x), where that has it (the published code does so).

    Args:
        benchmark: Any; nothing is trained, so only one split is looked at.
        model: Folder or Hub repository of an EmotionNet.
        categories: Keywords of each class, or a JSON file of them; see `categories_of`.
        device: Where the EmotionNet runs; a GPU where there is one if None.
        progress: Show a bar.
        **arguments: See `ZeroShotArguments`.

    Returns:
        The report. What cannot be opened is set aside, counted and named there.

    Raises:
        ZeroShotError: The arguments contradict each other, the models share no space, the split is
            empty, or no picture can be opened.
        CategoryError: The text side knows no keyword of a class, or the given categories are not
            those of the benchmark.
        FileNotFoundError: There is no such folder of a model, or it holds none.
        ModelKindError: A folder holds a model of another kind.
        CheckpointError: The weights of a model do not fit.
    """
    chosen = ZeroShotArguments(**arguments).resolved()
    check_place(model, "emotionnet")
    if chosen.text_model is not None:
        check_place(chosen.text_model, "textcnn")
    keywords = categories_of(benchmark.classes, categories)
    _check_rows(benchmark, chosen.split)
    net = EmotionNetForPreTraining.from_pretrained(model, dtype=torch.float32)
    vectors = _category_vectors(chosen, keywords, net, model)
    if chosen.uncovered == "refuse":
        vectors.check_covered(keywords, str(chosen.text_model or model))
    embedding = _image_embedding(net.config, chosen, vectors.vectors.shape[1])
    net.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    settings = {**asdict(chosen), "model": str(model), "image_embedding": embedding}
    return _report(
        benchmark,
        net,
        vectors,
        settings={k: str(v) if isinstance(v, Path) else v for k, v in settings.items()},
        notes=[
            *chosen.sentences(),
            _image_sentence(embedding, chosen, net.config.joint_space),
            *_space_sentences(embedding, chosen, net.config),
            origin(benchmark.classes, categories),
            *_other_forms_sentence(vectors),
            *_uncovered_sentence(vectors),
            *_dropped_sentence(benchmark),
            *_absent_sentence(benchmark, chosen.split),
        ],
        progress=progress,
    )


def _check_rows(benchmark: Benchmark, split: str) -> None:
    filled = [name for name, rows in benchmark.splits.items() if len(rows)]
    if split not in filled:
        raise ZeroShotError(
            f"{benchmark.name} has no rows for {split!r}; choose from {', '.join(filled)}."
        )


def _category_vectors(
    arguments: ZeroShotArguments,
    keywords: Categories,
    net: EmotionNetForPreTraining,
    model: str | Path,
) -> CategoryVectors:
    if not arguments.uses_text_model:
        if not net.config.projection_dim:
            raise ZeroShotError(
                f"{model} has no joint space of images and words (its projection_dim is 0): give "
                "an EmotionNet that was trained with the embedding loss."
            )
        return in_word_vectors(keywords, net, _tokenizer(model))
    folder = str(arguments.text_model)
    text_net = TextCNNForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    representation = arguments.representation or "category"
    return in_text_model(keywords, text_net, _tokenizer(folder), representation)


def _tokenizer(model: str | Path) -> Any:
    try:
        return AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ZeroShotError(
            f"{model} has no tokenizer, so its keywords are not known: give a folder with "
            "tokenizer.json, such as our trainings and `emotionnet convert` write."
        ) from error


def _image_embedding(config: Any, arguments: ZeroShotArguments, size: int) -> str:
    """Name the model's output that lives in the space of the categories."""
    if not arguments.uses_text_model:
        return "image_embeds"
    sizes = {"auxiliary_embeds": config.auxiliary_dim, "image_embeds": config.projection_dim}
    # No head learns where single keywords lie in the text model; the published code takes W f_v(x).
    if arguments.representation == "keywords":
        del sizes["auxiliary_embeds"]
    fitting = [name for name, its_size in sizes.items() if its_size == size]
    if not fitting:
        raise ZeroShotError(
            f"The text model gives {size} numbers ({arguments.representation}), the EmotionNet's "
            f"auxiliary head {config.auxiliary_dim} and its projection {config.projection_dim}: "
            "no image lies in that space. Give an EmotionNet that this text model guided "
            "(auxiliary_text_model in its training), another representation, or the space "
            "word_vectors."
        )
    return fitting[0]


def _other_forms_sentence(vectors: CategoryVectors) -> list[str]:
    if not vectors.other_forms:
        return []
    forms = [f"{word} by {' and '.join(by)}" for word, by in vectors.other_forms.items()]
    more = f" and {len(forms) - 20} more" if len(forms) > 20 else ""
    return [
        f"{len(forms)} keywords that the model does not have as written are looked up by other "
        f"forms or by their parts (the published code leaves them out): {', '.join(forms[:20])}"
        f"{more}."
    ]


def _uncovered_sentence(vectors: CategoryVectors) -> list[str]:
    if not vectors.uncovered:
        return []
    return [
        f"{len(vectors.uncovered)} of {len(vectors.known)} classes have no known keyword and count "
        f"as chance: {', '.join(vectors.uncovered)}."
    ]


def _dropped_sentence(benchmark: Benchmark) -> list[str]:
    if not benchmark.dropped:
        return []
    return [f"Rows of the benchmark that are not used: {told(Counter(benchmark.dropped))}."]


def _absent_sentence(benchmark: Benchmark, split: str) -> list[str]:
    if not (share := benchmark.absent_share(split)):
        return []
    return [
        f"{100 * share:.1f} % of the published {split} rows have no picture on disk, such as "
        f"{benchmark.absent[split][0]}: numbers on the rest cannot be compared with others."
    ]


def _space_sentences(embedding: str, arguments: ZeroShotArguments, config: Any) -> list[str]:
    """Say what makes cosines with W f_v(x) mean less, or something else, than they seem to."""
    if embedding != "image_embeds":
        return []
    if config.joint_space_doubt:
        config.warn_of_joint_space()
        return [f"These numbers may mean nothing: {config.joint_space_doubt}."]
    if config.joint_space != "word_vectors" and not arguments.uses_text_model:
        return [
            "In place of word vectors this model has a text model's features of keywords, the ReLU "
            f"of its convolution ({config.joint_space}), towards which W was trained."
        ]
    return []


def _image_sentence(embedding: str, arguments: ZeroShotArguments, space: str) -> str:
    if embedding == "auxiliary_embeds":
        return "The image is in that space by the auxiliary head, which the text model guided."
    if arguments.uses_text_model and space == "word_vectors":
        return (
            "The image is W f_v(x), which was trained towards word vectors and not towards the "
            "text model; it has the same size (the published code does so)."
        )
    if arguments.uses_text_model and space.endswith("text_model"):
        return (
            "The image is W f_v(x), which was trained towards the features of a text model "
            f"({space})."
        )
    return "The image is W f_v(x)."


def _report(
    benchmark: Benchmark,
    net: EmotionNetForPreTraining,
    vectors: CategoryVectors,
    *,
    settings: dict[str, Any],
    notes: list[str],
    progress: bool,
) -> ZeroShotReport:
    rows, pool = benchmark.splits[settings["split"]], Pool()
    part = pool.part(rows, len(benchmark.classes))
    # Where there is one class a picture, a row without it cannot be judged.
    judged = np.flatnonzero((part.label >= 0) | (benchmark.task == "multi-label"))
    part, ids = part.take(judged), rows.select(judged)["image_id"][:]
    pictures = embed_pictures(
        pool,
        np.unique(part.place),
        net,
        AutoImageProcessor.from_pretrained(settings["model"], trust_remote_code=False),
        settings["image_embedding"],
        batch_size=settings["batch_size"],
        progress=progress,
    )
    seen = pictures.row[part.place] >= 0
    if not seen.any():
        reason = next(iter(pictures.unreadable.values()), "no row has a class")
        raise ZeroShotError(f"No picture of {benchmark.name} can be used, such as: {reason}.")
    truth = part.take(seen)
    images = pictures.of(truth.place).numpy()
    scored = Scored(vectors.scores(images, settings["pooling"] or "mean"), truth)
    names, samples, seed = METRICS[benchmark.task], settings["samples"], settings["seed"]
    values = zip(benchmark.classes, scored.by_class(names[-1]).tolist(), strict=True)
    by_class = {name: None if np.isnan(value) else value for name, value in values}
    return ZeroShotReport(
        dataset=benchmark.name,
        split=settings["split"],
        metrics={name: summarised([scored], name, samples, seed) for name in names},
        by_class=by_class,
        chance=chance_level(truth, benchmark.task),
        coverage={
            name: {"known": vectors.known[name], "unknown": vectors.unknown[name]}
            for name in benchmark.classes
        },
        counts={
            "rows": len(rows),
            "scored": len(truth),
            "pictures": len(pictures.features),
            "groups": len(set(truth.groups)),
            "unreadable": int((~seen).sum()),
            "without_class": len(rows) - len(judged),
        },
        unreadable=[
            {"image_id": ids[i], "reason": pictures.unreadable[int(part.place[i])]}
            for i in np.flatnonzero(~seen)
        ],
        settings=settings,
        notes=[*notes, *absent_classes(by_class)],
        release=benchmark.release,
        environment=environment([settings["seed"]]),
        scores=scored.scores,
        image_ids=[ids[i] for i in np.flatnonzero(seen)],
    )
