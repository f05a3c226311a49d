from scripts import update_data_page


def test_page_says_what_the_results_say():
    page = (update_data_page.ROOT / "docs" / "data.md").read_text(encoding="utf-8")
    assert update_data_page.filled(page) == page
    assert "rows a second" in page


def test_a_number_that_no_result_has_is_replaced():
    found = update_data_page.filled("<!-- fetch_images -->\n| 9,999 |\n<!-- /fetch_images -->\n")
    assert "9,999" not in found
    assert "| latency |" in found
