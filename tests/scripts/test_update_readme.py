from scripts import update_readme


def test_readme_says_what_the_results_say():
    readme = (update_readme.ROOT / "README.md").read_text(encoding="utf-8")
    assert update_readme.filled(readme) == readme


def test_a_number_that_no_result_has_is_replaced():
    found = update_readme.filled("<!-- quickstart -->\n| 0.999 |\n<!-- /quickstart -->\n")
    assert "0.999" not in found
    assert "hit@1" in found
