"""Models and data sets on the Hugging Face Hub: cards with measured numbers, and pushes.

To pull, use what every user has: ``AutoModel.from_pretrained(REPO_ID, trust_remote_code=True)``,
``pipeline(task, model=REPO_ID, trust_remote_code=True)``, ``load_dataset(REPO_ID)``. The texts of
the cards are the ``.md`` files here; ``model_cards/`` of the repository links to them.
"""

from emotionnet_hf.hub.cards import CardError, dataset_card, model_card
from emotionnet_hf.hub.dataset_folder import DatasetFolderError, open_dataset
from emotionnet_hf.hub.errors import HubError, NotLoggedInError
from emotionnet_hf.hub.model_folder import ModelFolderError, open_model
from emotionnet_hf.hub.privacy import PrivateTextError
from emotionnet_hf.hub.push import PushReport, push_dataset, push_model
from emotionnet_hf.hub.results import ResultsError, read_results

__all__ = [
    "CardError",
    "DatasetFolderError",
    "HubError",
    "ModelFolderError",
    "NotLoggedInError",
    "PrivateTextError",
    "PushReport",
    "ResultsError",
    "dataset_card",
    "model_card",
    "open_dataset",
    "open_model",
    "push_dataset",
    "push_model",
    "read_results",
]
