"""What went wrong between here and the Hub, in one line that names the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub import constants, get_token
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

# The class above all errors of the HTTP library: httpx or httpx2, by the client's version.
_HTTP_ERROR: type[Exception] = HfHubHTTPError.__bases__[0]

_LOGIN = "log in with `hf auth login`, or set HF_TOKEN to a token with write permission"
_AGAIN = "start the same push again: what has arrived is not sent again"


class HubError(RuntimeError):
    """The Hub refused something or cannot be reached; the message says what to do."""


class NotLoggedInError(HubError):
    """There is no token, or the Hub does not know it."""


def check_token(token: str | None) -> None:
    """Refuse to begin without a token.

    Args:
        token: What the caller gave; None for the one that is stored or in HF_TOKEN.

    Raises:
        NotLoggedInError: There is none.
    """
    if not (token or get_token()):
        raise NotLoggedInError(f"A push needs a token of the Hub and there is none: {_LOGIN}.")


@contextmanager
def explained(repo_id: str) -> Iterator[None]:
    """Turn what the Hub's client raises into a ``HubError``.

    Args:
        repo_id: The repository, for the messages.

    Yields:
        Nothing.

    Raises:
        HubError: The Hub refused something or cannot be reached.
        ValueError: Something else that the client found wrong, such as a card's metadata.
    """
    try:
        yield
    except (_HTTP_ERROR, OSError, RuntimeError, HFValidationError) as error:
        cause = _cause(error)
        if isinstance(cause, HubError) or not (text := _explanation(cause, repo_id)):
            raise
        known = not _is_unauthorized(cause)
        raise (HubError if known else NotLoggedInError)(text) from error


def _cause(error: BaseException) -> BaseException:
    """The client wraps what happens in a thread that uploads: "Error while uploading ..."."""
    wrapped = type(error) is RuntimeError and isinstance(error.__cause__, (_HTTP_ERROR, OSError))
    return error.__cause__ if wrapped and error.__cause__ else error


def _is_unauthorized(error: BaseException) -> bool:
    return isinstance(error, HfHubHTTPError) and error.response.status_code == 401


def _explanation(error: BaseException, repo_id: str) -> str | None:
    """One line, or None for what is not the Hub's."""
    if isinstance(error, HFValidationError):
        return (
            f"{repo_id!r} cannot be the name of a repository: give OWNER/NAME, of letters, digits, "
            "'-', '_' and '.', at most 96 of them."
        )
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so nothing is asked of the Hub: unset it to push."
    if isinstance(error, HfHubHTTPError):
        return _refusal(error, repo_id)
    if isinstance(error, _HTTP_ERROR):
        return (
            f"The Hub at {constants.ENDPOINT} cannot be reached ({error or type(error).__name__}): "
            f"look at the network, the proxy and HF_ENDPOINT, and {_AGAIN}."
        )
    return None


def _refusal(error: HfHubHTTPError, repo_id: str) -> str:
    """What an answer with an error status means."""
    status, said = error.response.status_code, error.server_message or ""
    if isinstance(error, GatedRepoError):
        where = f"{constants.ENDPOINT}/{repo_id}"
        return f"{repo_id} is gated: ask for access at {where}, then {_LOGIN}."
    if isinstance(error, RevisionNotFoundError):
        return f"{repo_id} has no such revision: give a branch, or refs/pr/N of a pull request."
    if status == 401:
        return f"The Hub does not know this token, or {repo_id} is not yours to see: {_LOGIN}."
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"There is no repository {repo_id}, or your token may not see it: look at the name, "
            f"and {_LOGIN}."
        )
    if status == 403:
        return (
            f"Your token may not write to {repo_id} ({said or 'forbidden'}): use a token with "
            "write permission and a namespace of yours, or open a pull request (--create-pr)."
        )
    if status == 429 or status >= 500:
        return f"The Hub is busy or has trouble (status {status}): wait a little, and {_AGAIN}."
    return f"The Hub refused the push to {repo_id} (status {status}): {said or error}"
