import pytest

from emotionnet_hf.data.fetch.robots import DISALLOWED, refused_by

US = "emotionnet-hf/1.0 (+https://a.example; otherbot/2)"


@pytest.mark.parametrize(
    ("headers", "directive"),
    [
        ([], ""),
        (["noai"], "noai"),
        (["NoImageAI"], "noimageai"),
        (["nofollow, noindex"], "noindex"),
        (["nofollow , noimageindex,noarchive"], "noimageindex"),
        (["nofollow", "noai"], "noai"),  # sent twice
        (["none"], "none"),
        (["nofollow, noarchive, nosnippet, all"], ""),
        (["noaims, xnoindex"], ""),
        # For whom.
        (["googlebot: noindex"], ""),
        (["googlebot: nofollow, noindex"], ""),
        (["otherbot: noindex"], ""),  # what stands in a comment is not our name
        (["emotionnet-hf: noindex"], "noindex"),
        (["Emotionnet-HF : nofollow, noai"], "noai"),
        (["*: noai"], "noai"),
        (["googlebot: nofollow, emotionnet-hf: noindex"], "noindex"),
        (["emotionnet-hf: nofollow, googlebot: noindex"], ""),
        (["googlebot: noindex", "noindex"], "noindex"),
        # Colons that name nobody.
        (["max-snippet: 20, noai"], "noai"),
        (["max-image-preview:large,noai"], "noai"),
        (["unavailable_after: Wed, 25 Jun 2031 15:00:00 PST, noindex"], "noindex"),
        (["googlebot: max-snippet: 20, noindex"], ""),
    ],
)
def test_directives(headers, directive):
    assert refused_by(headers, US) == directive


def test_what_counts_is_up_to_the_caller():
    assert DISALLOWED == ("noai", "noimageai", "noindex", "noimageindex")
    assert refused_by(["noindex, noai"], US, ["noai"]) == "noai"
    assert refused_by(["noindex, none"], US, ["noai"]) == ""
    assert refused_by(["noindex, noai"], US, []) == ""
