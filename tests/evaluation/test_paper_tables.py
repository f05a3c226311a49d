import pytest

from emotionnet_hf.data.benchmarks import BENCHMARKS
from emotionnet_hf.evaluation.paper_tables import known_numbers, known_table
from emotionnet_hf.hub.results import PAPER


def values(source, method):
    return {n.dataset: n.value for n in known_numbers(source=source) if n.method == method}


def test_every_cell_is_there():
    counts = {f"Table {n}": len(known_numbers(source=f"Table {n}")) for n in range(2, 7)}
    assert counts == {"Table 2": 17, "Table 3": 25, "Table 4": 15, "Table 5": 5, "Table 6": 4}
    assert len(known_numbers(source="published since")) == 13


def test_tables_repeat_one_another():
    first, second = (values(f"Table {n}", "EmotionNet") for n in (2, 3))
    assert {name: first[name] for name in second} == second
    ablated = values("Table 3", "- Embed & Soft")
    assert ablated == values("Table 4", "690 categories")
    assert values("Table 5", "100 % of StockEmotion")["UnBiasedEmotion"] == 0.7898
    assert ablated["UnBiasedEmotion"] == 0.7898
    sota = values("Table 2", "Previous SOTA")
    assert values("Table 6", "Previous SOTA").items() <= sota.items()


def test_cards_have_the_same_numbers():
    compared = 0
    for number in PAPER["emotionnet"]:
        if not number.where.startswith("Table"):
            continue
        (known,) = [
            n
            for n in known_numbers(source=number.where)
            # Cards may call AffectNet-7 AffectNet.
            if n.dataset.removesuffix("-7") == number.dataset.removesuffix("-7")
            and n.method == "EmotionNet"
        ]
        assert (known.value, known.metric, known.protocol) == (
            *(number.value, number.metric, number.protocol),
        )
        compared += 1
    assert compared == 8


@pytest.mark.parametrize("name", ["EMOTIC-B", "EMOTIC-I"])
def test_later_numbers_for_emotic_count_for_both(name):
    later = [n for n in known_numbers(name) if n.source == "published since"]
    assert len(later) == 5 and {n.metric for n in later} == {"mean_average_precision"}


def test_names_are_those_of_the_benchmarks():
    assert {n.dataset for n in known_numbers()} - {"EMOTIC"} <= set(BENCHMARKS)
    assert all(0 < n.value < 1 for n in known_numbers())
    assert {n.dataset for n in known_numbers("SE30K8")} == {"SE30K8"}


def test_table_for_people():
    table = known_table("EMOTIC-I")
    assert "| EmotionNet | 30.96 | linear-probe | Table 2 |" in table
    assert "| EmotionNet | 24.24 | zero-shot | Table 6 |" in table
    assert "| EmotionCLIP | 32.90 | linear | published since |" in table
    assert known_table("EmoSet-118K") == "The paper has no number for this benchmark."
