import pytest

from emotionnet_hf import __version__
from emotionnet_hf.data.fetch.settings import FetchError, FetchSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("concurrency", 0),
        ("per_host", 0),
        ("max_bytes", 0),
        ("max_pixels", -1),
        ("shorter_side", 0),
        ("host_delay", -0.1),
        ("retries", -1),
        ("backoff", -1.0),
        ("max_rest", -1.0),
        ("max_redirects", -1),
        ("connect_timeout", 0.0),
        ("stall_timeout", 0.0),
        ("total_timeout", float("nan")),
        ("user_agent", ""),
        ("user_agent", "a\r\nCookie: b"),
        ("user_agent", "\u00fc"),
    ],
)
def test_values_out_of_range_are_named(name, value):
    with pytest.raises(FetchError, match=name):
        FetchSettings(**{name: value})


def test_we_say_who_we_are():
    assert FetchSettings().user_agent == f"emotionnet-hf/{__version__}"
