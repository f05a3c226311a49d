from emotionnet_hf.data.benchmarks.dropped import NO_PICTURE, Dropped


def test_reasons_are_told_by_frequency_with_the_first_example():
    dropped = Dropped()
    for number in range(3):
        dropped.add(NO_PICTURE, f"v/{number}.jpg")
    dropped.add("listed twice")
    dropped.add("a line", "x" * 500)
    assert dropped.counts == {NO_PICTURE: 3, "listed twice": 1, "a line": 1}
    first, line, twice = dropped.told().split("; ")
    assert first == "no picture on disk (3), such as v/0.jpg"
    assert line == f"a line (1), such as {'x' * 200}" and twice == "listed twice (1)"


def test_only_rows_of_published_splits_are_absent():
    dropped = Dropped()
    dropped.add(NO_PICTURE, "a.jpg")
    dropped.add(NO_PICTURE, "b.jpg", lost_from="test")
    dropped.add(NO_PICTURE, "c.jpg", lost_from="test")
    assert dropped.absent == {"test": ["b.jpg", "c.jpg"]} and dropped.counts[NO_PICTURE] == 3
