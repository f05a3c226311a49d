"""Words: word vectors through gensim."""

from emotionnet_hf.text.word_vectors import (
    WordVectorError,
    embedding_matrix,
    keyword_vector,
    load_word_vectors,
    train_word_vectors,
)

__all__ = [
    "WordVectorError",
    "embedding_matrix",
    "keyword_vector",
    "load_word_vectors",
    "train_word_vectors",
]
