"""Publishing models and data sets: everything that belongs together, in one commit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import CommitInfo, CommitOperationAdd, CommitOperationDelete, HfApi, RepoCard
from huggingface_hub.utils import (
    are_progress_bars_disabled,
    disable_progress_bars,
    enable_progress_bars,
    validate_repo_id,
)
from tqdm.auto import tqdm

from emotionnet_hf.data.splits import SPLITS
from emotionnet_hf.hub.cards import (
    EXAMPLE_PICTURE,
    CardError,
    dataset_card,
    example_picture,
    license_of,
    model_card,
)
from emotionnet_hf.hub.dataset_folder import open_dataset
from emotionnet_hf.hub.errors import HubError, check_token, explained
from emotionnet_hf.hub.model_folder import open_model
from emotionnet_hf.hub.privacy import check_paths, check_publishable
from emotionnet_hf.hub.results import read_results

# Files of an earlier push that would be read together with the new ones, and that are surely ours:
# the repository may hold an adapter, code or data of others.
_CODE = (
    *("configuration_emotionnet", "configuration_textcnn", "modeling_emotionnet"),
    *("modeling_strict", "modeling_textcnn", "pipeline_emotion_tagging"),
    *("pipeline_images", "pipeline_urls"),
)
_REPLACED = {
    "model": re.compile(
        r"model(-\d{5}-of-\d{5})?\.safetensors|model\.safetensors\.index\.json|"
        rf"({'|'.join(_CODE)})\.py"
    ),
    "dataset": re.compile(
        rf"data/({'|'.join(SPLITS)})(-\d+)?-\d{{5,}}-of-\d{{5,}}\.parquet|quarantine\.parquet|"
        rf"text/({'|'.join(SPLITS)})\.parquet"
    ),
}
# Large files that are sent, and safe on the Hub, before the next ones begin.
_BATCH = 32


@dataclass(frozen=True)
class PushReport:
    """What was published.

    Attributes:
        repo_id: The repository, as OWNER/NAME.
        url: Its page, or that of the pull request.
        commit: The commit.
        files: Number of files that the push put there or found there unchanged.
        removed: Files of an earlier push that were taken away.
        left_out: Files of the folder that are not published.
        pickles: Those of them that can run code where they are loaded.
    """

    repo_id: str
    url: str
    commit: str
    files: int
    removed: tuple[str, ...]
    left_out: tuple[str, ...]
    pickles: tuple[str, ...] = ()

    def summary(self) -> str:
        """Up to four lines for people."""
        lines = [f"{self.url}: {self.files} files"]
        if self.removed:
            lines.append(f"taken away: {', '.join(self.removed)}")
        if self.left_out:
            lines.append(f"not published: {', '.join(self.left_out)}")
        if self.pickles:
            lines.append(f"{', '.join(self.pickles)}: can run code where loaded, so stays here")
        return "\n".join(lines)


def push_model(
    folder: str | Path,
    repo_id: str,
    *,
    results: Sequence[str | Path] = (),
    datasets: Sequence[str] = (),
    license: str | None = None,
    private: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
    token: str | None = None,
    progress: bool = True,
) -> PushReport:
    """Publish an EmotionNet, a TextCNN or a timm export with a card that says what was measured.

    Weights go as safetensors, with the code for ``trust_remote_code``, tokenizer and image
    processor, in one commit: whoever loads the model sees the old one or the new one. A push that
    was interrupted does not send again what has arrived.

    Args:
        folder: The model's folder, the run folder of its training, or what ``emotionnet convert``
            or ``emotionnet export timm`` wrote.
        repo_id: The repository, as OWNER/NAME, or NAME for one of your own; made if need be.
        results: JSON files of measurements (see ``emotionnet_hf.hub.results``).
        datasets: Repositories of the data sets it was trained on.
        license: Identifier of the licence; None for the one that the folder's README.md names,
            else ``DEFAULT_LICENSE``. Of weights that no training here made it has to be said.
        private: Make the repository private; an existing public one is refused.
        revision: Branch to push to, made if need be.
        create_pr: Open a pull request instead of changing the branch.
        token: Of the Hub; None for the stored one or HF_TOKEN.
        progress: Show progress bars.

    Returns:
        What was published.

    Raises:
        ModelFolderError: The folder is no whole model.
        CardError: The licence is not known, or the Hub refuses the card's metadata.
        ResultsError: A file of results is none.
        PrivateTextError: A file would publish a token or a path of this machine.
        HubError: The Hub refused the push or cannot be reached.
    """
    model = open_model(folder)
    measured = [number for path in results for number in read_results(path, model.kind)]
    # A licence that is missing is told before anything is asked of the Hub.
    license = license_of(model, license)
    push = _Push("model", repo_id, private, revision, create_pr, token)
    card = model_card(
        model,
        push.begin(),
        license=license,
        measured=measured,
        datasets=datasets,
        revision=revision,
    )
    contents = dict(model.contents())
    if model.kind != "textcnn":
        contents[EXAMPLE_PICTURE] = example_picture()
    private_folders = [model.folder.resolve().parent]
    report = push.send(contents, card, model.left_out, private_folders, progress)
    return replace(report, pickles=model.pickles)


def push_dataset(
    folder: str | Path,
    repo_id: str,
    *,
    license: str | None = None,
    private: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
    token: str | None = None,
    progress: bool = True,
) -> PushReport:
    """Publish a built data set, so that ``load_dataset(repo_id)`` opens and streams it.

    Args:
        folder: What ``emotionnet build`` wrote.
        repo_id: See ``push_model``.
        license: Identifier of the licence; None for the one that its README.md names.
        private: See ``push_model``.
        revision: See ``push_model``.
        create_pr: See ``push_model``.
        token: See ``push_model``.
        progress: See ``push_model``.

    Returns:
        What was published.

    Raises:
        DatasetFolderError: The folder is a release, not whole, or has worker ids.
        CardError: There is no licence.
        PrivateTextError: It would publish a token or a path of a machine.
        HubError: The Hub refused the push or cannot be reached.
    """
    dataset = open_dataset(folder)
    # A licence that is missing is told before anything is asked of the Hub.
    dataset_card(dataset, repo_id, license=license)
    push = _Push("dataset", repo_id, private, revision, create_pr, token)
    card = dataset_card(dataset, push.begin(), license=license)
    private_folders = [dataset.folder.resolve().parent]
    return push.send(dict(dataset.contents()), card, dataset.left_out, private_folders, progress)


class _Push:
    """One push: whereto, and by whom."""

    def __init__(
        self,
        kind: str,
        repo_id: str,
        private: bool,
        revision: str | None,
        create_pr: bool,
        token: str | None,
    ) -> None:
        if create_pr and revision:
            raise HubError(
                "A pull request is opened against the main branch: leave out the revision, or "
                "give refs/pr/N to add to a pull request that is open."
            )
        check_token(token)
        self.kind, self.repo_id, self.private = kind, repo_id, private
        self.revision, self.create_pr = revision, create_pr
        self.api = HfApi(token=token)

    def begin(self) -> str:
        """Find the whole name of the repository; nothing is made yet."""
        with explained(self.repo_id):
            validate_repo_id(self.repo_id)
            if "/" not in self.repo_id:
                self.repo_id = f"{self.api.whoami()['name']}/{self.repo_id}"
        return self.repo_id

    def send(
        self,
        contents: Mapping[str, Path | bytes],
        card: RepoCard,
        left_out: tuple[str, ...],
        private_folders: Sequence[Path],
        progress: bool,
    ) -> PushReport:
        """Make the repository and the commit."""
        check_publishable("The card", str(card), private_folders)
        check_paths("The card", str(card))
        whole = {**contents, "README.md": str(card).encode("utf-8")}
        with explained(self.repo_id), _progress_bars(progress):
            _validate(card, self.kind)
            url = self._make_repository()
            removed = self._outdated(whole)
            # Each is hashed here, which takes minutes for a large data set.
            bar = tqdm(whole.items(), desc="Hash files", unit="file", disable=not progress)
            additions = [CommitOperationAdd(name, content) for name, content in bar]
            commit = self._commit(additions, removed)
        page = commit.pr_url or url
        return PushReport(self.repo_id, page, commit.oid, len(whole), tuple(removed), left_out)

    def _make_repository(self) -> str:
        """Make what is not there yet; the repository's page."""
        url = self.api.create_repo(
            self.repo_id, repo_type=self.kind, private=self.private or None, exist_ok=True
        )
        # For a repository that exists `private` changes nothing.
        if self.private and not self.api.repo_info(self.repo_id, repo_type=self.kind).private:
            raise HubError(
                f"{self.repo_id} exists and is public, so a private push is refused: make it "
                "private in its settings, or choose another name."
            )
        if self.revision and not self.revision.startswith("refs/"):
            self.api.create_branch(
                self.repo_id, repo_type=self.kind, branch=self.revision, exist_ok=True
            )
        return str(url)

    def _outdated(self, whole: Mapping[str, object]) -> list[str]:
        """Files of an earlier push that the new ones do not replace by name."""
        there = self.api.list_repo_files(
            self.repo_id, repo_type=self.kind, revision=self.revision or "main"
        )
        return sorted(
            name for name in there if name not in whole and _REPLACED[self.kind].fullmatch(name)
        )

    def _commit(self, additions: list[CommitOperationAdd], removed: list[str]) -> CommitInfo:
        """Send the large files, batch by batch, then make everything visible at once."""
        for start in range(0, len(additions), _BATCH):
            self.api.preupload_lfs_files(
                self.repo_id,
                additions[start : start + _BATCH],
                repo_type=self.kind,
                revision=self.revision,
                create_pr=self.create_pr,
                free_memory=False,
            )
        return self.api.create_commit(
            self.repo_id,
            [*additions, *(CommitOperationDelete(name, is_folder=False) for name in removed)],
            commit_message=f"Push the {self.kind} with emotionnet_hf",
            repo_type=self.kind,
            revision=self.revision,
            create_pr=self.create_pr,
        )


def _validate(card: RepoCard, kind: str) -> None:
    """Ask the Hub whether the card's metadata are right, before anything is made there."""
    try:
        card.validate(kind)
    except ValueError as error:
        said = str(error)
        with suppress(ValueError, KeyError, TypeError):
            said = "; ".join(wrong["message"] for wrong in json.loads(said)["errors"])
        raise CardError(f"The Hub refuses the card's metadata: {said}") from error


@contextmanager
def _progress_bars(wanted: bool) -> Iterator[None]:
    """Show or hide the bars of the Hub's client, and leave its setting as it was."""
    if wanted or are_progress_bars_disabled():
        yield
        return
    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()
