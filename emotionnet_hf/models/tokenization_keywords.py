"""The keyword tokenizer: a stock fast tokenizer in which a keyword or phrase is one token."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from transformers.tokenization_utils_base import VERY_LARGE_INTEGER

PAD_TOKEN = "[PAD]"
UNK_TOKEN = "[UNK]"
SPECIAL_TOKENS = (PAD_TOKEN, UNK_TOKEN)

# Marks a place between two steps of the normalizer. Control characters have become spaces by then.
_MARK = "\x00"


def keyword_tokenizer(
    keywords: Sequence[str], max_keywords: int | None = None
) -> PreTrainedTokenizerFast:
    """Build the tokenizer of TextCNN and of EmotionNet's text tower.

    Text is a comma-separated list of keywords, brought into the normal form of
    ``emotionnet_hf.keywords``. ``"This is a photo of X."``, the template that stock zero-shot
    pipelines wrap around every candidate, is unwrapped to ``X``.

    Args:
        keywords: In normal form, without duplicates; keyword i gets id i + 2, after
            ``[PAD]`` and ``[UNK]``.
        max_keywords: Lists are cut there when truncation is asked for (100 in the published code);
            None is no limit (the paper names none).

    Returns:
        A ``PreTrainedTokenizerFast`` that ``AutoTokenizer`` loads without custom code.

    Raises:
        ValueError: A keyword occurs twice, or contains a comma and so could never be matched.

    Example:
        >>> keyword_tokenizer(["candy cane", "joy"])("Joy,  Candy Cane, zzz").input_ids
        [3, 2, 1]
    """
    names = [*SPECIAL_TOKENS, *keywords]
    ids = {name: i for i, name in enumerate(names)}
    if len(ids) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})[:5]
        raise ValueError(f"Keywords occur twice in the vocabulary: {twice}. Remove the doubles.")
    if commas := [name for name in keywords if "," in name][:5]:
        raise ValueError(f"Keywords with a comma cannot be told from two keywords: {commas}.")
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNK_TOKEN))
    tokenizer.normalizer = _normalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(",", behavior="removed")
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(Regex("$"), ", "),
            decoders.Fuse(),
            decoders.Replace(Regex(", $"), ""),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD_TOKEN,
        unk_token=UNK_TOKEN,
        model_max_length=max_keywords or VERY_LARGE_INTEGER,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


def _normalizer() -> normalizers.Normalizer:
    """Return the steps that bring free text into the keywords' normal form.

    They are those of ``emotionnet_hf.keywords.normalize_keyword``, for each keyword of the list.
    """
    return normalizers.Sequence(
        [
            _replace(r"[\u00ad\u200b\ufeff]", ""),
            _replace(r"[\x00-\x1f\x7f-\x9f]", " "),
            normalizers.NFKC(),
            normalizers.Lowercase(),
            normalizers.NFKC(),  # lower case can undo the composition
            _replace(r"\s+", " "),
            *_template(),
            _edges(),
            # Twice, for quotes within quotes.
            *(2 * [*_quotes("'", "'"), *_quotes("\u2018", "\u2019"), _edges()]),
        ]
    )


def _replace(pattern: str, content: str) -> normalizers.Normalizer:
    return normalizers.Replace(Regex(pattern), content)


def _template() -> list[normalizers.Normalizer]:
    """Return the steps that unwrap ``this is a photo of X.``, and take no other full stop away."""
    return [
        _replace(r"^ ?this is a photo of (?=.*\. ?$)", _MARK),
        _replace(rf"^{_MARK}.*\K\. ?$", ""),
        normalizers.Replace(_MARK, ""),
    ]


def _quotes(opening: str, closing: str) -> list[normalizers.Normalizer]:
    """Return the steps that take a pair of single quotes from around a keyword."""
    return [
        _replace(rf"(?<![^,]){opening}(?=[^,]*{closing}(?![^,]))", _MARK),
        _replace(rf"{_MARK}[^,]*\K{closing}(?![^,])", ""),
        normalizers.Replace(_MARK, ""),
    ]


def _edges() -> normalizers.Normalizer:
    """Return the step that takes left-overs of a list's syntax from both ends of a keyword."""
    edge = r"""[ ",;\u201c\u201d\u201e\u00ab\u00bb]*"""
    return normalizers.Sequence(
        [
            _replace(rf"{edge},{edge}", ","),
            _replace(rf"^{edge}|{edge}$", ""),
        ]
    )
