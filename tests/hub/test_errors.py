import importlib

import pytest
from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from emotionnet_hf.hub.errors import HubError, NotLoggedInError, check_token, explained

# httpx2 or httpx, by the version of the client.
http = importlib.import_module(HfHubHTTPError.__bases__[0].__module__.partition(".")[0])


def message(action):
    """What a user reads, which is one line."""
    with pytest.raises(HubError) as caught, explained("alice/emotions"):
        action()
    assert caught.value.__cause__ is not None
    (line,) = str(caught.value).splitlines()
    return type(caught.value), line


def fetch(token=None, revision=None):
    return lambda: hf_hub_download("alice/emotions", "x.txt", token=token, revision=revision)


def test_missing_and_private_repositories(hub):
    kind, line = message(lambda: HfApi(token=False).model_info("alice/emotions"))
    assert kind is NotLoggedInError
    assert "hf auth login" in line
    kind, line = message(lambda: HfApi().model_info("alice/emotions"))
    assert kind is HubError
    assert line.startswith("There is no repository alice/emotions, or your token may not see it")
    hub.storage.create("model", "alice/emotions", private=True)
    kind, line = message(lambda: HfApi(token=hub.OTHER).model_info("alice/emotions"))
    assert "There is no repository" in line
    assert HfApi().model_info("alice/emotions").private


def test_gated_repository(hub):
    repository = hub.storage.create("model", "alice/emotions")
    repository.gated = True
    for token in (False, hub.OTHER):
        _, line = message(fetch(token))
        assert line.startswith("alice/emotions is gated: ask for access at")
        assert f"{hub.url}/alice/emotions" in line
        assert "hf auth login" in line


def test_revision_token_and_permission(hub):
    hub.storage.create("model", "alice/emotions")
    _, line = message(fetch(revision="v9"))
    assert "has no such revision" in line
    kind, line = message(lambda: HfApi(token="hf_stale").whoami())
    assert kind is NotLoggedInError
    _, line = message(lambda: HfApi(token=hub.READ).create_branch("alice/emotions", branch="b"))
    assert "may not write to alice/emotions (Forbidden: you must use a write token" in line


def test_network(hub, monkeypatch, impatient):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    _, line = message(lambda: HfApi().whoami())
    assert line.startswith("The Hub at http://127.0.0.1:9 cannot be reached")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    _, line = message(lambda: HfApi().whoami())
    assert line.startswith("HF_HUB_OFFLINE is set")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (503, "has trouble (status 503): wait a little, and start the same push again"),
        (429, "is busy or has trouble (status 429)"),
        (409, "The Hub refused the push to alice/emotions (status 409): no such thing"),
    ],
)
def test_other_answers(status, said):
    from huggingface_hub.utils import hf_raise_for_status

    request = http.Request("POST", "http://127.0.0.1/api/x")
    answer = http.Response(status, request=request, json={"error": "no such thing"})
    _, line = message(lambda: hf_raise_for_status(answer))
    assert said in line


def test_what_a_thread_met_is_unwrapped():
    def upload():
        raise RuntimeError("Error while uploading 'a' to the Hub.") from http.ConnectError("gone")

    _, line = message(upload)
    assert "cannot be reached (gone)" in line


@pytest.mark.parametrize(
    "error", [FileNotFoundError("a.json"), ValueError("bad"), RuntimeError("bug"), HubError("told")]
)
def test_what_is_not_of_the_hub_passes(error):
    with pytest.raises(type(error)) as caught, explained("alice/emotions"):
        raise error
    assert caught.value is error


def test_explained_errors_keep_their_cause(hub):
    with pytest.raises(HubError) as caught, explained("alice/emotions"):
        HfApi().model_info("alice/emotions")
    assert isinstance(caught.value.__cause__, RepositoryNotFoundError)


def test_token_is_looked_for_where_the_client_looks(monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(NotLoggedInError, match="there is none"):
        check_token(None)
    check_token("hf_x")
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    check_token(None)
