import filecmp
from urllib.parse import urlsplit

import pytest

from emotionnet_hf.loading import urls
from emotionnet_hf.loading.urls import sendable_url
from emotionnet_hf.models import pipeline_urls

# Each as aiohttp, yarl, a URL's parser or a careless quote() would change it.
KEPT = [
    "http://a.example/a%2Cb.jpg?sig=abc%2Fdef%3D&t=1",
    "http://a.example/http%3A%2F%2Fcdn.example%2Fa.jpg",
    "http://a.example/it%27s%28b%29~%7E.jpg",
    "http://a.example/x?u=a%40b",
    "http://a.example/plus+sign.jpg?a=b+c;d",
    "http://a.example/lower%c3%a9.jpg",
    "http://a.example/q?",
    "http://a.example/100%.jpg",
    "http://a.example/a/../b//c/./d.jpg",
    "http://A.example:80/\"<>`{}|\\^[]'!$&()*,;=:@.jpg",
]


@pytest.mark.parametrize("url", KEPT)
def test_what_can_be_sent_is_sent_as_it_is(url):
    assert sendable_url(url) == url


def test_what_cannot_be_sent_is_escaped_once():
    said = {
        "http://a.example/ein Bild.jpg": "http://a.example/ein%20Bild.jpg",
        "http://a.example/café%20.jpg?q=é": "http://a.example/caf%C3%A9%20.jpg?q=%C3%A9",
        "http://a.example/\x7f日本": "http://a.example/%7F%E6%97%A5%E6%9C%AC",
        "  http://a.example/a.jpg#part of it\n": "http://a.example/a.jpg",
        "http://Bücher.example:8080/ü?Bücher.example": (
            "http://xn--bcher-kva.example:8080/%C3%BC?B%C3%BCcher.example"
        ),
        "http://ü@bücher.example/": "http://%C3%BC@xn--bcher-kva.example/",
    }
    for url, sent in said.items():
        assert sendable_url(url) == sent
        assert sendable_url(sent) == sent
        assert urlsplit(sent).hostname


@pytest.mark.parametrize("url", ["http://[a.example/b.jpg", f"http://{'ü' * 99}.example/"])
def test_what_is_no_url_is_a_value_error(url):
    with pytest.raises(ValueError):
        sendable_url(url)


def test_a_checkpoint_takes_this_very_file_along():
    assert filecmp.cmp(urls.__file__, pipeline_urls.__file__, shallow=False)
