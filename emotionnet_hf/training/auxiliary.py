"""Extra supervision (Table 3): a text model of eight classes guides the visual feature.

"We first train a text-based classifier that predicts the eight emotion categories from a list of
keywords. The representation produced by this text-classifier [...] guide[s] the learning of the
visual embedding network, forcing the transformed feature vector to be compatible with the 8-emotion
embedding feature vector" (section 5.3). The paper leaves the rest to a supplement. Here an
auxiliary head transforms the visual feature, and a further embedding loss, 1 - cos as in Eq. 3,
pulls it to the representation of all the image's keywords.

The published code has another form (``auxiliary_loss: cross_entropy``): its head ``fc_aux`` scores
the eight classes, and learns the text model's probabilities by cross entropy, those under 0.01 set
to 0 and the rest not scaled again; W is pulled to the text model's averaged features in place of
word vectors (``embedding_target: auxiliary_text_model``).
"""

from __future__ import annotations

import numpy as np
import torch
from datasets import Dataset

from emotionnet_hf.data.keyword_lists import KeywordLists
from emotionnet_hf.emotions import SE30K8
from emotionnet_hf.losses import classification_loss, embedding_loss, has_text
from emotionnet_hf.training.arguments import EmotionNetArguments
from emotionnet_hf.training.loop import Batch
from emotionnet_hf.training.text_models import check_classes, load_text_model


class Guide:
    """The text model of extra supervision.

    Args:
        arguments: ``auxiliary_text_model``, and ``auxiliary_representation``: ``features``, the
            vector that the classes are read from (the paper's "representation produced by this
            text-classifier", hidden_size wide), or ``logits``, the eight classes' own (the
            published code's auxiliary head has eight outputs, so this is its size);
            ``auxiliary_loss`` and, for cross entropy, ``soft_label_threshold``.

    Raises:
        RecipeError: There is no such text model, or its classes are not SE30K8's.
    """

    def __init__(self, arguments: EmotionNetArguments) -> None:
        folder = str(arguments.auxiliary_text_model)
        self.model, self.tokenizer = load_text_model(folder, "auxiliary_text_model")
        remedy = "Train it with scripts/recipes/se30k8_textcnn.yaml."
        check_classes(self.model, list(SE30K8), remedy)
        self.cross_entropy = arguments.auxiliary_loss == "cross_entropy"
        self.threshold = arguments.soft_label_threshold
        self.logits = self.cross_entropy or arguments.auxiliary_representation == "logits"
        config = self.model.config
        self.dim: int = config.num_labels if self.logits else config.hidden_size

    def keywords(self, split: Dataset) -> KeywordLists:
        """Encode all keywords of each row by the guide's own tokenizer."""
        column = split.select_columns(["keywords"]).with_format("arrow")[:]["keywords"]
        return KeywordLists.from_names(
            column, self.tokenizer.get_vocab(), self.tokenizer.unk_token_id
        )

    def batch(self, keywords: KeywordLists, rows: np.ndarray) -> Batch:
        """Return what a batch needs for the guide: ids and mask, int64 (B, L)."""
        ids, mask = keywords.rows(rows).padded(self.tokenizer.pad_token_id)
        return {"auxiliary_ids": torch.from_numpy(ids), "auxiliary_mask": torch.from_numpy(mask)}

    @torch.no_grad()
    def representation(self, batch: Batch) -> torch.Tensor:
        """Represent the keywords of a batch, float (B, dim); zeros where the guide knows none.

        For cross entropy: the probabilities of the eight classes.
        """
        ids, mask = batch["auxiliary_ids"], batch["auxiliary_mask"]
        output = self.model.to(ids.device)(ids, mask)
        found = (output.logits if self.logits else output.pooler_output).float()
        if self.cross_entropy:
            found = found.softmax(dim=-1)
            found = found * (found >= self.threshold)
        known = (mask.bool() & (ids != self.tokenizer.unk_token_id)).any(dim=1, keepdim=True)
        return found * known

    def losses(self, auxiliary_embeds: torch.Tensor, batch: Batch) -> Batch:
        """Compare the auxiliary head's output with the text, image by image.

        Args:
            auxiliary_embeds: Float, (B, dim).
            batch: With what ``batch`` made.

        Returns:
            ``auxiliary_loss``, 1 - cos or the cross entropy, float (B,), 0 where the guide knows no
            keyword, and ``has_auxiliary_text``, bool (B,), which those are.
        """
        text = self.representation(batch)
        loss = classification_loss if self.cross_entropy else embedding_loss
        return {
            "auxiliary_loss": loss(auxiliary_embeds.float(), text),
            "has_auxiliary_text": has_text(text),
        }
