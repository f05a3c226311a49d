"""Files that gensim's own reader takes for something else: read right, or refused with a remedy."""

import gzip
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors

from emotionnet_hf.text import WordVectorError, load_word_vectors
from emotionnet_hf.text.word_vector_files import check_values

WORDS = ["joy", "anger", "fear", "love"]
DIM = 5
VECTORS = np.random.default_rng(0).normal(size=(4, DIM)).astype(np.float32)


def binary(words, vectors=VECTORS, header=None, end=b"") -> bytes:
    """Word2vec's binary format; the original tool's with ``end`` of a line feed, else gensim's."""
    rows = (w.encode() + b" " + v.tobytes() + end for w, v in zip(words, vectors, strict=True))
    return (header or f"{len(words)} {vectors.shape[1]}\n").encode() + b"".join(rows)


def text(words, vectors=VECTORS, header=None, separator=" ") -> bytes:
    """Word2vec's text format, or with an empty header GloVe's."""
    rows = (f"{w} {separator.join(map(str, v))}\n" for w, v in zip(words, vectors, strict=True))
    first = f"{len(words)} {vectors.shape[1]}\n" if header is None else header
    return (first + "".join(rows)).encode()


def load(folder: Path, name: str, data: bytes, **options) -> KeyedVectors:
    (folder / name).write_bytes(data)
    return load_word_vectors(folder / name, **options)


def is_right(loaded: KeyedVectors, words=WORDS, vectors=VECTORS) -> bool:
    return loaded.index_to_key == list(words) and np.array_equal(loaded.vectors, vectors)


def test_glove_has_no_first_line(tmp_path):
    assert is_right(load(tmp_path, "glove.6B.5d.txt", text(WORDS, header="")))
    zipped = gzip.compress(text(WORDS, header=""))
    assert is_right(load(tmp_path, "glove.6B.5d.txt.gz", zipped))
    assert is_right(
        load(tmp_path, "limit.txt", text(WORDS, header=""), limit=2), WORDS[:2], VECTORS[:2]
    )


def test_gloves_tokens_are_words_whatever_they_look_like(tmp_path):
    words = ["0.0001", "at name@domain.com", ". . .", "\x85", "\u00a0"]
    vectors = np.vstack([VECTORS, VECTORS[:1]])
    assert is_right(load(tmp_path, "g.txt", text(words, vectors, header="")), words, vectors)


@pytest.mark.parametrize("header", [None, ""], ids=["word2vec", "GloVe"])
def test_keys_with_spaces_are_read_right_in_text(tmp_path, header):
    words = ["joy", "candy cane", "web 2.0", "new york city"]
    assert is_right(load(tmp_path, "v.txt", text(words, header=header)), words)


@pytest.mark.parametrize("dim", [5, 50, 300])
def test_keys_with_spaces_are_refused_in_binary(tmp_path, dim):
    rng = np.random.default_rng(dim)
    refused = 0
    for key in ["candy cane", "a b", "old man", "new york city", "vitamin c", "café noir"] * 5:
        words = ["joy", key, "fear", "love"]
        vectors = rng.normal(size=(4, dim)).astype(np.float32)
        with pytest.raises(WordVectorError, match=r"v\.bin: .*[Kk]eys hold spaces.*underscores"):
            load(tmp_path, "v.bin", binary(words, vectors))
        refused += 1
    assert refused == 30


def test_gensim_itself_reads_another_word(tmp_path):
    """Why binary files are not left to gensim."""
    (tmp_path / "v.bin").write_bytes(binary(["joy", "candy cane", "fear", "love"]))
    read = KeyedVectors.load_word2vec_format(
        str(tmp_path / "v.bin"), binary=True, unicode_errors="replace"
    )
    assert "candy" in read and "fear" not in read


@pytest.mark.parametrize("end", [b"", b"\n"], ids=["gensim", "original tool"])
@pytest.mark.parametrize("name", ["v.bin", "v.bin.gz", "zipped.bin"])
def test_binary_files_of_both_tools_are_read(tmp_path, name, end):
    data = binary(WORDS, end=end)
    data = data if name == "v.bin" else gzip.compress(data)
    assert is_right(load(tmp_path, name, data))


@pytest.mark.parametrize("said", [2, 3, 5, 100])
@pytest.mark.parametrize("kind", ["v.bin", "v.txt"])
def test_a_first_line_that_lies_about_the_count_is_refused(tmp_path, kind, said):
    make = binary if kind == "v.bin" else text
    reason = "first line" if said > 4 else "does not end where" if kind == "v.bin" else "more lines"
    with pytest.raises(WordVectorError, match=rf"{kind}: .*{reason}.*cop|{reason}.*underscores"):
        load(tmp_path, kind, make(WORDS, header=f"{said} {DIM}\n"))


@pytest.mark.parametrize("said", [1, 4, 6, 300])
@pytest.mark.parametrize("kind", ["v.bin", "v.txt"])
def test_a_first_line_that_lies_about_the_size_is_refused(tmp_path, kind, said):
    make = binary if kind == "v.bin" else text
    with pytest.raises(WordVectorError, match=rf"{kind}: "):
        load(tmp_path, kind, make(WORDS, header=f"4 {said}\n"))


@pytest.mark.parametrize("header", ["0 5\n", "4 0\n"])
@pytest.mark.parametrize("kind", ["v.bin", "v.txt"])
def test_a_first_line_of_nothing_is_refused(tmp_path, kind, header):
    with pytest.raises(WordVectorError, match=f"{kind}: its first line says .* cannot be"):
        load(tmp_path, kind, header.encode())


def test_a_limit_does_not_look_at_what_follows(tmp_path):
    cut = binary(WORDS)[:-3]
    assert is_right(load(tmp_path, "v.bin", cut, limit=3), WORDS[:3], VECTORS[:3])
    with pytest.raises(WordVectorError, match="says 4 words, and 3 are there"):
        load(tmp_path, "v.bin", cut, limit=4)


@pytest.mark.parametrize("header", [None, ""], ids=["word2vec", "GloVe"])
@pytest.mark.parametrize("change", ["fewer", "more", "text"])
def test_a_line_of_another_size_is_named(tmp_path, header, change):
    lines = text(WORDS, header=header).decode().splitlines()
    fields = lines[-2].split()
    lines[-2] = " ".join(
        {"fewer": fields[:-1], "more": [*fields, "0.1234"], "text": [*fields[:-1], "x"]}[change]
    )
    with pytest.raises(WordVectorError, match=r"v\.txt: word 3 .'fear.* has not 5 numbers.*copy"):
        load(tmp_path, "v.txt", "\n".join(lines).encode() + b"\n")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 5e30, -1e7])
@pytest.mark.parametrize("name", ["v.bin", "v.txt", "v.kv"])
def test_numbers_of_no_word_vector_are_refused(tmp_path, name, value):
    wrong = VECTORS.copy()
    wrong[2, 1] = value
    with pytest.raises(WordVectorError, match=rf"{name}: 1 vectors hold NaN.*'fear'.*copy it"):
        if name == "v.kv":
            vectors = KeyedVectors(DIM)
            vectors.add_vectors(WORDS, wrong)
            vectors.save(str(tmp_path / name))
            load_word_vectors(tmp_path / name)
        load(tmp_path, name, (binary if name == "v.bin" else text)(WORDS, wrong))


def test_usual_numbers_pass():
    check_values(["a", "b"], np.array([[0.0, 1e-30], [-99.0, 99.0]], dtype=np.float32))


@pytest.mark.parametrize("name", ["v.bin", "v.txt"])
def test_of_a_word_that_comes_twice_the_first_counts_and_it_is_told(tmp_path, name, caplog):
    words = ["joy", "fear", "joy", "love"]
    with caplog.at_level(logging.WARNING, logger="emotionnet_hf.text"):
        loaded = load(tmp_path, name, (binary if name == "v.bin" else text)(words))
    assert is_right(loaded, ["joy", "fear", "love"], VECTORS[[0, 1, 3]])
    assert "1 words come again" in caplog.text and name in caplog.text


def test_keys_that_the_original_tool_cut_within_a_letter_are_read(tmp_path):
    data = binary(WORDS).replace(b"fear ", "größ".encode()[:-1] + b" ")
    assert load(tmp_path, "v.bin", data).index_to_key == ["joy", "anger", "grö\ufffd", "love"]


def test_other_encodings_than_utf8_are_refused(tmp_path):
    for kind, make in (("v.bin", binary), ("v.txt", text)):
        data = make(WORDS).replace(b"fear ", "größe ".encode("latin-1"))
        with pytest.raises(WordVectorError, match=rf"{kind}: .*no UTF-8 key"):
            load(tmp_path, kind, data)


def test_text_with_tabs_windows_lines_and_a_byte_order_mark_is_read(tmp_path):
    data = b"\xef\xbb\xbf" + text(WORDS, separator="\t").replace(b"\n", b" \r\n") + b"\r\n"
    assert is_right(load(tmp_path, "v.vec", data))


def test_a_text_without_its_last_line_feed_is_read_with_a_warning(tmp_path, caplog):
    assert is_right(load(tmp_path, "v.txt", text(WORDS, header="")[:-1]))
    assert "truncated" in caplog.text


@pytest.mark.parametrize("data", [b"", b"\n", b"a story\n", b"joy 0.1\n", b"\x00\x01\x02 \n"])
@pytest.mark.parametrize("name", ["v.txt", "v.bin"])
def test_what_is_no_table_of_vectors_is_refused(tmp_path, name, data):
    with pytest.raises(WordVectorError, match=rf"{name}: its first line"):
        load(tmp_path, name, data)


@pytest.mark.parametrize("beside", [0, 2**30], ids=["arrays beside", "one file"])
@pytest.mark.parametrize("way", ["gensim", "gzip"])
def test_a_zipped_kv_is_read_whoever_zipped_it(tmp_path, beside, way):
    vectors = KeyedVectors(DIM)
    vectors.add_vectors(WORDS, VECTORS)
    if way == "gensim":
        vectors.save(str(tmp_path / "v.kv.gz"), sep_limit=beside)
    else:
        vectors.save(str(tmp_path / "v.kv"), sep_limit=beside)
        with (tmp_path / "v.kv").open("rb") as plain, gzip.open(tmp_path / "v.kv.gz", "wb") as file:
            shutil.copyfileobj(plain, file)
        (tmp_path / "v.kv").unlink()
    assert len(list(tmp_path.iterdir())) == (1 if beside else 2)
    assert is_right(load_word_vectors(tmp_path / "v.kv.gz"))


def test_an_array_that_is_not_beside_its_kv_is_asked_for(tmp_path):
    vectors = KeyedVectors(DIM)
    vectors.add_vectors(WORDS, VECTORS)
    vectors.save(str(tmp_path / "v.kv.gz"), sep_limit=0)
    (tmp_path / "v.kv.gz.vectors.npz").unlink()
    with pytest.raises(WordVectorError, match=r"v\.kv\.gz: its array is missing: copy v\.kv\.gz\."):
        load_word_vectors(tmp_path / "v.kv.gz")


@pytest.mark.parametrize("share", [0.3, 0.8, 0.99])
@pytest.mark.parametrize("kind", ["v.bin", "v.txt", "glove.txt"])
def test_a_truncated_file_in_zip_is_named(tmp_path, kind, share):
    data = gzip.compress(text(WORDS, header="") if kind == "glove.txt" else binary(WORDS))
    with pytest.raises(WordVectorError, match=rf"{kind}\.gz.*truncated"):
        load(tmp_path, f"{kind}.gz", data[: int(share * len(data))])


def test_real_files_are_read_as_gensim_reads_them(real_data, tmp_path):
    for path in (
        real_data / "w2v_googlenews_8k" / "googlenews_8k_300d.bin",
        real_data / "glove" / "glove_100d.bin",
    ):
        loaded = load_word_vectors(path)
        by_gensim = KeyedVectors.load_word2vec_format(str(path), binary=True)
        assert is_right(loaded, by_gensim.index_to_key, by_gensim.vectors)
    some = loaded.index_to_key[::50]
    lines = text(some, loaded[some], header="")
    assert is_right(load(tmp_path, "glove.txt", lines), some, loaded[some])
