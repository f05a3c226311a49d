from emotionnet_hf.evaluation.paper_tables import known_numbers
from emotionnet_hf.reproduction.tables import BASELINE, TABLES
from emotionnet_hf.reproduction.trainings import RECIPES, TEXT_MODEL_8


def test_every_number_of_the_paper_has_a_cell():
    counts = {name: len(table.cells) for name, table in TABLES.items()}
    assert counts["table2"] == 2 * 6  # "Previous SOTA" is nobody's to reproduce
    assert counts["table3"] == 5 * 5 and counts["table4"] == 3 * 5 and counts["table5"] == 5
    for number in known_numbers():
        table = number.source.lower().replace(" ", "")
        if table in TABLES and number.method != "Previous SOTA":
            there = {(cell.row, cell.column) for cell in TABLES[table].cells}
            assert (number.method, number.dataset) in there


def test_tables_and_columns_read_as_in_the_paper():
    assert TABLES["table2"].rows == ["ResNet-50", "EmotionNet"]
    assert TABLES["table4"].rows == ["8 categories", "30K categories", "690 categories"]
    assert TABLES["table5"].rows == [f"{p} % of StockEmotion" for p in (10, 25, 50, 75, 100)]
    assert TABLES["table6"].columns == ["EMOTIC-B", "EMOTIC-I"]


def test_every_model_is_one_that_can_be_had():
    models = {cell.model for table in TABLES.values() for cell in table.cells}
    assert models == {BASELINE, TEXT_MODEL_8, *RECIPES}


def test_mean_average_precision_where_a_person_has_several_categories():
    for table in TABLES.values():
        for cell in table.cells:
            if cell.measure == "linear-probe":
                several = cell.dataset.startswith("EMOTIC")
                assert cell.metric == ("mean_average_precision" if several else "accuracy")
