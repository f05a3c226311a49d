"""TextCNNs that a training builds on: for soft labels, extra supervision, word vectors."""

from __future__ import annotations

from transformers import AutoTokenizer, PreTrainedTokenizerFast

from emotionnet_hf.models import TextCNNForSequenceClassification
from emotionnet_hf.models.place import ModelKindError, read_config
from emotionnet_hf.training.arguments import RecipeError

TextModel = tuple[TextCNNForSequenceClassification, PreTrainedTokenizerFast]


def load_text_model(folder: str, argument: str) -> TextModel:
    """Load the TextCNN of a run, frozen.

    Args:
        folder: Its model folder, or a repository on the Hub.
        argument: The argument that names it, for messages.

    Returns:
        Model, in evaluation mode and without gradients, and tokenizer.

    Raises:
        RecipeError: There is no such folder and no such repository, or it holds no TextCNN.
        CheckpointError: Its tensors do not fit.
    """
    try:
        read_config(folder, "textcnn")
        model = TextCNNForSequenceClassification.from_pretrained(folder)
    except (OSError, ModelKindError) as error:
        raise RecipeError(f"{argument}: {error}") from error
    model.requires_grad_(False).eval()
    return model, AutoTokenizer.from_pretrained(folder)


def check_classes(model: TextCNNForSequenceClassification, names: list[str], remedy: str) -> None:
    """Refuse a text model of other classes.

    Args:
        model: The text model.
        names: The classes it should have, in their order.
        remedy: What to do, for the message.

    Raises:
        RecipeError: It has others, or in another order.
    """
    found = [model.config.id2label[i] for i in range(model.config.num_labels)]
    if found != names:
        raise RecipeError(
            f"text model {model.name_or_path} predicts {len(found)} classes "
            f"({', '.join(found[:3])}, ...), not the {len(names)} that are needed "
            f"({', '.join(names[:3])}, ...). {remedy}"
        )
