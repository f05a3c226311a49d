"""Retrieval (section 5.5, Fig. 4): an index of a data set, its search, contact sheets and scores.

Building and searching need faiss, the extra ``retrieval``; scores do not.
"""

from emotionnet_hf.evaluation.retrieval.contact_sheet import SheetError, check_sheet, write_sheet
from emotionnet_hf.evaluation.retrieval.index import BuildIndexError, build_index
from emotionnet_hf.evaluation.retrieval.index_folder import (
    Hit,
    IndexFolder,
    IndexFolderError,
    IndexNotFoundError,
    SpaceError,
    open_index,
)
from emotionnet_hf.evaluation.retrieval.scores import (
    RetrievalScoresError,
    label_sets,
    retrieval_scores,
    score_index,
)
from emotionnet_hf.evaluation.retrieval.search import (
    Answer,
    Found,
    QueryError,
    Searcher,
    ask,
    open_searcher,
)
from emotionnet_hf.evaluation.retrieval.words import GalleryError

__all__ = [
    "Answer",
    "BuildIndexError",
    "Found",
    "GalleryError",
    "Hit",
    "IndexFolder",
    "IndexFolderError",
    "IndexNotFoundError",
    "QueryError",
    "RetrievalScoresError",
    "Searcher",
    "SheetError",
    "SpaceError",
    "ask",
    "build_index",
    "check_sheet",
    "label_sets",
    "open_index",
    "open_searcher",
    "retrieval_scores",
    "score_index",
    "write_sheet",
]
