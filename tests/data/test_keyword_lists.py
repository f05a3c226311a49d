import numpy as np
import pyarrow as pa
import pytest
from datasets import ClassLabel, Dataset, Features, List, Value

from emotionnet_hf.data.keyword_lists import KeywordLists

IDS = {"joy": 2, "fear": 3, "awe": 4, "candy cane": 5}
UNKNOWN = 1
NAMES = [["joy", "fear"], [], ["zzz"], ["awe", "joy", "candy cane"], [], ["fear"], ["joy"] * 4]
ROWS = [[IDS.get(name, UNKNOWN) for name in row] for row in NAMES]


def lists_of(keywords: KeywordLists) -> list[list[int]]:
    bounds = zip(keywords.offsets, keywords.offsets[1:], strict=False)
    return [keywords.ids[start:end].tolist() for start, end in bounds]


def names_column(*chunks: list[list[str]]) -> pa.ChunkedArray:
    return pa.chunked_array(list(chunks), type=pa.list_(pa.string()))


@pytest.fixture
def keywords() -> KeywordLists:
    return KeywordLists.from_names(names_column(NAMES), IDS, UNKNOWN)


def test_names_become_ids_in_order(keywords):
    assert lists_of(keywords) == ROWS
    assert len(keywords) == 7
    assert keywords.ids.dtype == keywords.offsets.dtype == np.int64


def test_chunks_are_one_list(keywords):
    chunked = names_column(NAMES[:2], [], NAMES[2:3], NAMES[3:])
    assert lists_of(KeywordLists.from_names(chunked, IDS, UNKNOWN)) == ROWS


@pytest.mark.parametrize(("start", "stop"), [(0, 7), (1, 4), (3, 7), (4, 5), (2, 2)])
def test_a_slice_of_a_column_is_that_slice(start, stop):
    column = names_column(NAMES[:3], NAMES[3:]).slice(start, stop - start)
    assert lists_of(KeywordLists.from_names(column, IDS, UNKNOWN)) == ROWS[start:stop]
    numbers = pa.chunked_array([ROWS]).slice(start, stop - start)
    assert lists_of(KeywordLists.from_ids(numbers)) == ROWS[start:stop]


@pytest.mark.parametrize("kind", [pa.list_, pa.large_list])
def test_both_sizes_of_arrow_lists_are_read(kind):
    column = pa.chunked_array([NAMES], type=kind(pa.string()))
    assert lists_of(KeywordLists.from_names(column, IDS, UNKNOWN)) == ROWS


def test_a_column_without_rows_has_no_lists():
    for column in (names_column(), names_column([])):
        empty = KeywordLists.from_names(column, IDS, UNKNOWN)
        assert len(empty) == 0
        assert empty.multi_hot(3).shape == (0, 3)
        assert empty.padded(0)[0].shape == (0, 1)


def test_a_column_of_empty_lists_is_read():
    empty = KeywordLists.from_names(names_column([[], []]), IDS, UNKNOWN)
    assert lists_of(empty) == [[], []]
    assert empty.padded(0)[1].tolist() == [[0], [0]]


@pytest.fixture
def dataset() -> Dataset:
    features = Features(
        {
            "keywords": List(Value("string")),
            "emotion_keywords": List(ClassLabel(names=["a", "b", "c", "d", "e", "f"])),
        }
    )
    return Dataset.from_dict({"keywords": NAMES, "emotion_keywords": ROWS}, features=features)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data,
        lambda data: data.select([6, 0, 3, 3]),
        lambda data: data.select(range(2, 6)),
        lambda data: data.shuffle(seed=1),
        lambda data: data.select([]),
        lambda data: data.filter(lambda row: row["keywords"]),
    ],
    ids=["whole", "select", "slice", "shuffle", "nothing", "filter"],
)
def test_columns_of_a_data_set_are_read_in_its_order(dataset, change):
    dataset = change(dataset)
    table = dataset.with_format("arrow")[:]
    rows = [[IDS.get(name, UNKNOWN) for name in row] for row in dataset["keywords"]]
    assert lists_of(KeywordLists.from_names(table["keywords"], IDS, UNKNOWN)) == rows
    assert lists_of(KeywordLists.from_ids(table["emotion_keywords"])) == rows


@pytest.mark.parametrize("rows", [[["joy"], None], [["joy"], ["fear", None]], [[None]]])
def test_nulls_among_names_are_refused(rows):
    with pytest.raises(ValueError, match=r"null.*Build the data again"):
        KeywordLists.from_names(names_column(rows), IDS, UNKNOWN)


@pytest.mark.parametrize("rows", [[[1], None], [[1], [2, None]], [[None]]])
def test_nulls_among_ids_are_refused(rows):
    with pytest.raises(ValueError, match=r"null.*Build the data again"):
        KeywordLists.from_ids(pa.chunked_array([rows], type=pa.list_(pa.int64())))


def test_a_null_that_was_sliced_away_does_no_harm():
    column = names_column([["joy", None], None, ["fear"]]).slice(2)
    assert lists_of(KeywordLists.from_names(column, IDS, UNKNOWN)) == [[3]]


def test_some_ids_can_be_left_out(keywords):
    dropped = np.zeros(6, dtype=bool)
    dropped[[2, 1]] = True
    expected = [[i for i in row if i not in (2, 1)] for row in ROWS]
    assert lists_of(keywords.without(dropped)) == expected
    assert lists_of(keywords) == ROWS


@pytest.mark.parametrize("wanted", [[0], [6, 0, 3, 3], [1, 4], [], list(range(7)), [-1, -3]])
def test_rows_are_picked_in_the_order_asked_for(keywords, wanted):
    picked = keywords.rows(np.array(wanted, dtype=np.int64))
    assert lists_of(picked) == [ROWS[i] for i in wanted]


def test_rows_are_picked_by_a_mask(keywords):
    mask = np.array([True, False, False, True, True, False, False])
    assert lists_of(keywords.rows(mask)) == [ROWS[0], ROWS[3], ROWS[4]]


def test_lists_are_padded_side_by_side(keywords):
    ids, mask = keywords.padded(0)
    length = max(map(len, ROWS))
    assert ids.tolist() == [row + [0] * (length - len(row)) for row in ROWS]
    assert mask.tolist() == [[1] * len(row) + [0] * (length - len(row)) for row in ROWS]
    assert ids.dtype == mask.dtype == np.int64


def test_no_list_is_cut():
    ids, mask = KeywordLists.from_names(names_column([["joy"] * 345]), IDS, UNKNOWN).padded(0)
    assert ids.tolist() == [[IDS["joy"]] * 345]
    assert mask.all()


@pytest.mark.parametrize(
    ("longest", "rows"), [(0, 64), (1, 64), (100, 64), (101, 63), (1000, 6), (99_999, 1)]
)
def test_long_lists_are_padded_a_few_at_a_time(longest, rows):
    lists = KeywordLists.from_names(names_column([["joy"] * longest, []]), IDS, UNKNOWN)
    assert lists.rows_at_once(64) == rows


def test_the_padding_id_is_the_one_given(keywords):
    ids, mask = keywords.padded(9)
    assert (ids[mask == 0] == 9).all()


def test_multi_hot_marks_what_a_row_lists(keywords):
    expected = [[float(i in row) for i in range(6)] for row in ROWS]
    hot = keywords.multi_hot(6)
    assert hot.tolist() == expected
    assert hot.dtype == np.float32


def test_multi_hot_refuses_an_id_beyond_its_classes(keywords):
    with pytest.raises(IndexError):
        keywords.multi_hot(5)


def test_many_random_lists_survive_a_chain_of_steps():
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 50, rng.integers(0, 9)).tolist() for _ in range(500)]
    keywords = KeywordLists.from_ids(pa.chunked_array([rows[:123], rows[123:]]))
    dropped = rng.random(50) < 0.3
    order = rng.permutation(500)[:200]
    expected = [[i for i in rows[r] if not dropped[i]] for r in order]
    assert lists_of(keywords.without(dropped).rows(order)) == expected
    assert lists_of(keywords.rows(order).without(dropped)) == expected
