from scripts import update_evaluation_page


def test_page_says_what_the_results_say():
    page = update_evaluation_page.PAGE.read_text(encoding="utf-8")
    assert update_evaluation_page.filled(page) == page
    assert "times stock" in page and "threads: 1" in page and "| EmotionNet |" in page


def test_a_number_that_no_result_has_is_replaced():
    for name in update_evaluation_page.PARTS:
        found = update_evaluation_page.filled(f"<!-- {name} -->\n| 9,999 |\n<!-- /{name} -->\n")
        assert "9,999" not in found and found.count("|") > 10
