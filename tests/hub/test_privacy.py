import json
from pathlib import Path

import pytest

from emotionnet_hf.hub.privacy import (
    PrivateTextError,
    check_paths,
    check_publishable,
    is_local_path,
    local_paths,
    name_only,
    public_value,
    publishable_json,
)

TOKEN = f"hf_{'Ab1' * 11}"


@pytest.mark.parametrize(
    ("text", "local", "name"),
    [
        ("/data/sets/emotic", True, "emotic"),
        ("/data/sets/emotic/", True, "emotic"),
        (r"C:\Users\me\emotic", True, "emotic"),
        (r"\\server\share\emotic", True, "emotic"),
        ("~/emotic", True, "emotic"),
        ("file:///data/emotic", True, "emotic"),
        ("alice/emotic", False, "alice/emotic"),
        ("https://stock.example/1.jpg", False, "https://stock.example/1.jpg"),
        ("mean_average_precision", False, "mean_average_precision"),
        ("/", False, "/"),
        ("", False, ""),
    ],
)
def test_local_paths(text, local, name):
    assert is_local_path(text) == local
    assert name_only(text) == name


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("cannot open '/mnt/nfs/a.png': gone", ["/mnt/nfs/a.png"]),
        ("--data=/mnt/nfs/words --seed=1", ["/mnt/nfs/words"]),
        ("[/mnt/a,/mnt/b]", ["/mnt/a", "/mnt/b"]),
        ("data:/mnt/a", ["/mnt/a"]),
        ("see (/mnt/a).", ["/mnt/a"]),
        (r"root: C:\sets\words, D:\x", [r"C:\sets\words", r"D:\x"]),
        ("see file:///mnt/a", ["file:///mnt/a"]),
        ("in ~/sets", ["~/sets"]),
        ("https://stock.example/a/1.jpg, hf://x/y and/or 2024/1689 a / b", []),
        ("<b>bold</b> text, ./here, ../there, a:b", []),
    ],
)
def test_paths_are_found_whatever_stands_around_them(text, found):
    assert local_paths(text) == found
    if found:
        with pytest.raises(PrivateTextError, match="x holds a path of a machine"):
            check_paths("x", {"a": [text]})
        with pytest.raises(PrivateTextError, match="x holds a path of a machine"):
            check_paths("x", {text: 1})
    else:
        check_paths("x", [text, {text: text}, 1, None])


def test_values_have_names_in_the_place_of_paths():
    value = {"a": ["--data=/mnt/nfs/words", {"b": r"C:\sets\x"}, 3, None], "c": "alice/words"}
    assert public_value(value) == {"a": ["--data=words", {"b": "x"}, 3, None], "c": "alice/words"}
    assert public_value("/home/my sets/words") == "words"
    assert public_value("see /mnt/a, /mnt/a/b") == "see a, b"


def test_origins_are_names_and_everything_else_stays():
    value = {"_name_or_path": "/home/me/run", "a": [{"name_or_path": "alice/m"}], "b": "/x/y"}
    cleaned = json.loads(publishable_json(json.dumps(value)))
    assert cleaned == value | {"_name_or_path": "run"}
    text = '{"b" :   "/x/y"}'
    assert publishable_json(text) == text


@pytest.mark.parametrize(
    "text",
    [
        f"see {Path.home()}/data",
        f"see {Path.cwd()}",
        f'"{Path.cwd()}"',
        "made in /mnt/disk7/sets/words.",
        json.dumps({"x": "/mnt/disk7/sets"}),
    ],
)
def test_paths_of_this_machine_are_refused(text):
    with pytest.raises(PrivateTextError, match=r"card holds a path of this machine.*replace it"):
        check_publishable("card", text, [Path("/mnt/disk7/sets")])


def test_tokens_are_refused():
    with pytest.raises(PrivateTextError, match=r"card holds .* token .*revoke") as caught:
        check_publishable("card", f'token="{TOKEN}"')
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "see /mnt/disk7/sets-of-others and /mnt/disk70/sets",
        "hf_hub_download, hf_model_with_a_rather_long_name",
        "a / b, and/or, https://huggingface.co/alice/m",
    ],
)
def test_other_texts_pass(text):
    check_publishable("card", text, [Path("/mnt/disk7/sets"), Path("/")])
