"""What the server keeps: repositories with commits on branches, and LFS objects by their digest."""

import base64
import hashlib
import itertools
import json
import threading
from dataclasses import dataclass, field

DEFAULT_BRANCH = "main"
# What the .gitattributes of a new repository says, as far as tests need it.
LFS_ENDINGS = (".safetensors", ".parquet", ".onnx", ".bin", ".jpg", ".png")
LFS_SIZE = 10_000_000


class Refused(Exception):
    """An answer that is an error; `more` is what it says besides the message."""

    def __init__(self, status, message, code=None, **more):
        super().__init__(message)
        self.status, self.message, self.code, self.more = status, message, code, more


@dataclass(frozen=True)
class File:
    """A file of a commit; `lfs` is the digest of its content where that is an LFS object."""

    size: int
    oid: str
    lfs: str | None = None

    @property
    def etag(self):
        return self.lfs or self.oid


@dataclass(frozen=True)
class Commit:
    oid: str
    title: str
    files: dict[str, File]


@dataclass
class Repository:
    kind: str  # model or dataset
    id: str
    private: bool = False
    gated: bool = False
    readers: set[str] = field(default_factory=set)  # users that a gated repository lets in
    branches: dict[str, list[Commit]] = field(default_factory=dict)
    pulls: int = 0

    @property
    def owner(self):
        return self.id.partition("/")[0]

    def commit(self, revision):
        """The commit of a branch, pull request or object id."""
        if revision in self.branches:
            return self.branches[revision][-1]
        for commits in self.branches.values():
            for commit in commits:
                if commit.oid == revision:
                    return commit
        raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def titles(self, branch=DEFAULT_BRANCH):
        return [commit.title for commit in self.branches[branch]]


class Storage:
    """Repositories and objects; every method is one step, whole or not at all."""

    def __init__(self):
        self.repositories = {}
        self.blobs = {}  # git object id -> content
        self.objects = {}  # SHA-256 -> content
        self.parts = {}  # (SHA-256, number of the part) -> content
        self.lock = threading.Lock()
        self._counter = itertools.count()

    def create(self, kind, name, private=False):
        with self.lock:
            repository = Repository(kind, name, private)
            content = "".join(
                f"*{end} filter=lfs diff=lfs merge=lfs -text\n" for end in LFS_ENDINGS
            )
            first = self._commit({".gitattributes": self._keep(content.encode())}, "initial commit")
            repository.branches[DEFAULT_BRANCH] = [first]
            self.repositories[kind, name] = repository
            return repository

    def branch(self, repository, name, start=None):
        with self.lock:
            if name in repository.branches:
                raise Refused(409, "Reference already exists")
            repository.branches[name] = [repository.commit(start or DEFAULT_BRANCH)]

    def content(self, file):
        return self.objects[file.lfs] if file.lfs else self.blobs[file.oid]

    def apply(self, repository, revision, lines, create_pr):
        """Make the commit that a client sent; it, and the number of its pull request."""
        header, *operations = [json.loads(line) for line in lines.splitlines() if line.strip()]
        with self.lock:
            if revision not in repository.branches:
                raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
            files = dict(repository.branches[revision][-1].files)
            for operation in operations:
                self._do(files, operation["key"], operation["value"])
            commit = self._commit(files, header["value"]["summary"])
            if not create_pr:
                repository.branches[revision].append(commit)
                return commit, None
            repository.pulls += 1
            history = [*repository.branches[revision], commit]
            repository.branches[f"refs/pr/{repository.pulls}"] = history
            return commit, repository.pulls

    def _do(self, files, key, value):
        if key == "file":
            files[value["path"]] = self._keep(base64.b64decode(value["content"]))
        elif key == "lfsFile":
            content = self.objects.get(value["oid"])
            if content is None:
                raise Refused(400, f"LFS pointer to a missing object: {value['path']}")
            pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{value['oid']}\n"
            files[value["path"]] = File(len(content), git_oid(pointer.encode()), value["oid"])
        elif key == "deletedFile":
            del files[value["path"]]
        else:
            raise Refused(400, f"unknown operation {key}")

    def _keep(self, content):
        oid = git_oid(content)
        self.blobs[oid] = content
        return File(len(content), oid)

    def _commit(self, files, title):
        named = f"{next(self._counter)} {title} {sorted(files)}"
        return Commit(hashlib.sha1(named.encode()).hexdigest(), title, files)


def git_oid(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def is_lfs(path, size):
    return size > 0 and (path.endswith(LFS_ENDINGS) or size > LFS_SIZE)
