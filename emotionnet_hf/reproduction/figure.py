"""Figure 4: neighbours by ImageNet's features above those by EmotionNet's."""

from __future__ import annotations

import logging
from pathlib import Path

from emotionnet_hf.evaluation.retrieval import (
    Searcher,
    ask,
    build_index,
    open_searcher,
    write_sheet,
)
from emotionnet_hf.models.backbones import BackboneWeightsError
from emotionnet_hf.reproduction.data_root import MissingDataError
from emotionnet_hf.reproduction.trainings import EMOTIONNET, Trainings

logger = logging.getLogger(__name__)

_QUERIES, _NEIGHBOURS = 4, 5  # the paper shows two queries a column


def draw_figure(trainings: Trainings, seed: int, path: Path) -> bool:
    """Index StockEmotion by both models and draw the neighbours of some of its pictures.

    The queries are rows at equal distances, so nobody chose them for their looks.

    Args:
        trainings: Makes the models.
        seed: Of EmotionNet.
        path: PNG to write.

    Returns:
        Whether there was what it takes: the data, the weights, the extra ``retrieval``.
    """
    try:
        models = {
            "imagenet": trainings.baseline(),
            f"emotionnet-{seed}": trainings.model(EMOTIONNET, seed),
        }
        searchers = [_searcher(trainings, name, str(model)) for name, model in models.items()]
    except (MissingDataError, BackboneWeightsError, ImportError) as error:
        logger.info("no figure 4: %s", error)
        return False
    rows = searchers[0].index.rows
    step = max(1, len(rows) // _QUERIES)
    queries = [rows[place]["id"] for place in range(step // 2, len(rows), step)][:_QUERIES]
    answers = list(ask(searchers, queries, _NEIGHBOURS))
    for answer in answers:
        if answer.error is not None:
            logger.info("figure 4 lacks a query: %s", answer.error)
    write_sheet(path, searchers, [answer.found for answer in answers if answer.error is None])
    return True


def _searcher(trainings: Trainings, name: str, model: str) -> Searcher:
    """Open the index of StockEmotion by a model, made where it is not there yet."""
    folder = trainings.work / "indexes" / name
    if not folder.is_dir():
        build_index(trainings.stockemotion(), model, folder, progress=trainings.progress)
    return open_searcher(folder)
