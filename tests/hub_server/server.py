"""The server: HTTP in front of the storage."""

import hashlib
import json
import re
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tests.hub_server.cards import complaints
from tests.hub_server.faults import Faults
from tests.hub_server.storage import Refused, Storage, is_lfs

KINDS = r"(?P<kind>models|datasets)"
NAME = r"(?P<name>[^/]+/[^/]+)"
REVISION = r"(?P<revision>[^/]+)"


@dataclass(frozen=True)
class Request:
    """What came in, for tests to look at."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    user: str | None

    @property
    def range(self):
        return self.headers.get("range")


class HubServer:
    """A Hub in a thread of this process.

    Attributes:
        url: What `HF_ENDPOINT` has to be.
        storage: What is kept; tests make private and gated repositories here.
        tokens: Token -> (user, may write). `WRITE`, `READ` and `OTHER` are there from the start.
        faults: What goes wrong.
        requests: Everything that was asked, in order.
        part_size: Objects larger than that are uploaded in parts.
    """

    WRITE, READ, OTHER = "hf_alice_may_write", "hf_alice_may_read", "hf_bob_may_write"

    def __init__(self):
        self.storage, self.faults = Storage(), Faults()
        self.tokens = {
            self.WRITE: ("alice", True),
            self.READ: ("alice", False),
            self.OTHER: ("bob", True),
        }
        self.requests = []
        self.part_size = 64 * 1024 * 1024

    def __enter__(self):
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.daemon_threads = True
        self._http.hub = self
        self.port = self._http.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.faults.released.set()
        self._http.shutdown()
        self._http.server_close()

    def environment(self, token=None):
        """What a client's process needs to have among its variables."""
        values = {"HF_ENDPOINT": self.url, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
        values["HF_TOKEN"] = token or ""
        return values | {"HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "*"}

    def repository(self, name, kind="model"):
        return self.storage.repositories[kind, name]

    def read(self, name, path, kind="model", revision="main"):
        """Content of a file."""
        return self.storage.content(self.repository(name, kind).commit(revision).files[path])

    def paths(self, name, kind="model", revision="main"):
        files = self.repository(name, kind).commit(revision).files
        return sorted(set(files) - {".gitattributes"})

    def asked(self, method, pattern):
        """The requests of a method whose path matches."""
        return [r for r in self.requests if r.method == method and re.search(pattern, r.path)]


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._handle()

    do_HEAD = do_POST = do_PUT = do_GET

    def _handle(self):
        hub, parts = self.server.hub, urlsplit(self.path)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.user, self.writes = hub.tokens.get(token, (None, False))
        self.query = parse_qs(parts.query)
        headers = {name.lower(): value for name, value in self.headers.items()}
        hub.requests.append(
            Request(self.command, parts.path, self.query, headers, self.user),
        )
        try:
            self._route(parts.path, known=not token or self.user is not None)
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _route(self, path, known):
        try:
            if not known:
                raise Refused(401, "Invalid credentials in Authorization header")
            for method, pattern, action in ROUTES:
                match = re.fullmatch(pattern, path)
                if match and self.command in method:
                    action(self, **{k: unquote(v or "") for k, v in match.groupdict().items()})
                    return
            raise Refused(404, f"Sorry, we can't find {path}")
        except Refused as refused:
            self._refuse(refused)

    def _refuse(self, refused):
        self._body()
        headers = {"X-Error-Message": refused.message}
        if refused.code:
            headers["X-Error-Code"] = refused.code
        self._answer({"error": refused.message, **refused.more}, refused.status, headers)

    def _answer(self, value, status=200, headers=None):
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        kind = "application/octet-stream" if isinstance(value, bytes) else "application/json"
        for name, text in {
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            **(headers or {}),
        }.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _body(self, share=1.0):
        """What was sent, read once; `share` of it when the connection is to break."""
        if not hasattr(self, "_read") or self._read[0] is not self.headers:
            self._read = (self.headers, self._receive(share))
        return self._read[1]

    def _receive(self, share):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(int(self.headers.get("Content-Length", 0)) * share))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def _break(self):
        """Drop the connection with an answer owed."""
        self.close_connection = True
        self.connection.close()
        raise ConnectionError

    # Who may do what -----------------------------------------------------------------------------

    def _find(self, kind, name):
        repository = self.server.hub.storage.repositories.get((kind.rstrip("s"), name))
        if repository and (not repository.private or self.user == repository.owner):
            return repository
        if self.user is None:
            raise Refused(401, "Invalid username or password.", "RepoNotFound")
        raise Refused(404, "Repository not found", "RepoNotFound")

    def _may_read_files(self, repository):
        if not repository.gated or self.user in {repository.owner, *repository.readers}:
            return
        where = f"Access to {repository.kind} {repository.id} is restricted"
        if self.user is None:
            raise Refused(401, f"{where}. You must be authenticated to access it.", "GatedRepo")
        raise Refused(403, f"{where} and you are not in the authorized list.", "GatedRepo")

    def _may_write(self, repository, pull_request=False):
        if self.user is None:
            raise Refused(401, "Invalid username or password.", "RepoNotFound")
        if not self.writes or (self.user != repository.owner and not pull_request):
            raise Refused(403, "Forbidden: you must use a write token to upload to a repository.")

    # The API -------------------------------------------------------------------------------------

    def whoami(self):
        if self.user is None:
            raise Refused(401, "Invalid username or password.")
        self._answer({"type": "user", "name": self.user, "orgs": []})

    def create(self):
        asked = json.loads(self._body())
        if self.user is None:
            raise Refused(401, "Invalid username or password.")
        owner, kind = asked.get("organization") or self.user, asked.get("type") or "model"
        if owner != self.user or not self.writes:
            raise Refused(403, f'You don\'t have the rights to create a {kind} under "{owner}"')
        name = f"{owner}/{asked['name']}"
        private = asked.get("visibility") == "private" or asked.get("private") is True
        url = f"{self.server.hub.url}/{_prefix(kind)}{name}"
        if (kind, name) in self.server.hub.storage.repositories:
            raise Refused(409, "You already created this repo", url=url)
        self.server.hub.storage.create(kind, name, private)
        self._answer({"url": url, "name": name})

    def validate(self):
        asked = json.loads(self._body())
        wrong = complaints(asked["content"], asked["repoType"])
        answer = {"errors": [{"message": text} for text in wrong], "warnings": []}
        self._answer(answer, 400 if wrong else 200)

    def info(self, kind, name, revision="main"):
        repository = self._find(kind, name)
        commit = repository.commit(revision or "main")
        self._answer(
            {
                **{"_id": "0", "id": name, "modelId": name, "author": repository.owner},
                **{"sha": commit.oid, "private": repository.private, "disabled": False},
                **{"gated": "manual" if repository.gated else False, "downloads": 0, "likes": 0},
                **{"tags": [], "lastModified": "2026-01-01T00:00:00.000Z"},
                "siblings": [{"rfilename": path} for path in sorted(commit.files)],
            }
        )

    def refs(self, kind, name):
        repository = self._find(kind, name)
        found = {True: [], False: []}
        for branch, commits in repository.branches.items():
            ref = branch if branch.startswith("refs/") else f"refs/heads/{branch}"
            entry = {"name": branch, "ref": ref, "targetCommit": commits[-1].oid}
            found[branch.startswith("refs/pr/")].append(entry)
        answer = {"branches": found[False], "converts": [], "tags": []}
        self._answer(answer | {"pullRequests": found[True]})

    def branch(self, kind, name, revision):
        repository = self._find(kind, name)
        self._may_write(repository)
        start = json.loads(self._body()).get("startingPoint")
        self.server.hub.storage.branch(repository, revision, start)
        self._answer({})

    def preupload(self, kind, name, revision):
        repository = self._find(kind, name)
        self._may_write(repository, "create_pr" in self.query)
        files = repository.commit(revision).files
        self._answer(
            {
                "files": [
                    {
                        "path": asked["path"],
                        "uploadMode": "lfs" if is_lfs(asked["path"], asked["size"]) else "regular",
                        "shouldIgnore": False,
                        "oid": files[asked["path"]].etag if asked["path"] in files else None,
                    }
                    for asked in json.loads(self._body())["files"]
                ]
            }
        )

    def commit(self, kind, name, revision):
        repository, create_pr = self._find(kind, name), "create_pr" in self.query
        self._may_write(repository, create_pr)
        lines = self._body().decode()
        commit, number = self.server.hub.storage.apply(repository, revision, lines, create_pr)
        url = f"{self.server.hub.url}/{_prefix(repository.kind)}{name}"
        answer = {"commitUrl": f"{url}/commit/{commit.oid}", "commitOid": commit.oid}
        self._answer(answer | {"pullRequestUrl": number and f"{url}/discussions/{number}"})

    def tree(self, kind, name, revision, path=""):
        repository = self._find(kind, name)
        recursive = self.query.get("recursive", ["False"])[0].lower() == "true"
        found, start = {}, path and f"{path}/"
        for place, file in sorted(repository.commit(revision).files.items()):
            if not place.startswith(start):
                continue
            steps = place[len(start) :].split("/")
            for depth in range(1, len(steps) if recursive else min(len(steps), 2)):
                folder = start + "/".join(steps[:depth])
                found[folder] = {"type": "directory", "oid": "0" * 40, "size": 0, "path": folder}
            if recursive or len(steps) == 1:
                found[place] = _entry(place, file)
        if path and not found:
            raise Refused(404, f"{path} does not exist on {revision}", "EntryNotFound")
        self._answer(list(found.values()))

    def paths(self, kind, name, revision):
        files = self._find(kind, name).commit(revision).files
        body = self._body().decode()
        asked = json.loads(body) if body.startswith("{") else parse_qs(body)
        found = []
        for path in asked.get("paths", []):
            if path in files:
                found.append(_entry(path, files[path]))
            elif any(place.startswith(f"{path}/") for place in files):
                found.append({"type": "directory", "oid": "0" * 40, "size": 0, "path": path})
        self._answer(found)

    # Files ---------------------------------------------------------------------------------------

    def resolve(self, name, revision, path, kind=""):
        repository = self._find(kind or "models", name)
        self._may_read_files(repository)
        commit = repository.commit(revision)
        headers = {"X-Repo-Commit": commit.oid}
        if path not in commit.files:
            self.send_response(404)
            headers |= {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"}
            for key, value in (headers | {"Content-Length": "0"}).items():
                self.send_header(key, value)
            return self.end_headers()
        file = commit.files[path]
        headers["ETag"] = f'"{file.etag}"'
        if file.lfs is None:
            return self._send(self.server.hub.storage.content(file), path, headers)
        headers |= {"X-Linked-Etag": f'"{file.lfs}"', "X-Linked-Size": str(file.size)}
        # Another host, as the real one's: a client must not send its token there.
        place = f"http://localhost:{self.server.hub.port}/cdn/{file.lfs}/{quote(path)}"
        return self._answer(b"", 302, headers | {"Location": place})

    def cdn(self, oid, path):
        self._send(self.server.hub.storage.objects[oid], path, {"ETag": f'"{oid}"'})

    def _send(self, content, path, headers):
        """Answer with a file, or the range of it that was asked for."""
        status, whole = 200, len(content)
        headers |= {"Accept-Ranges": "bytes"}
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(asked[1]), min(int(asked[2] or whole - 1), whole - 1)
            if first >= whole:
                return self._answer(b"", 416, {"Content-Range": f"bytes */{whole}"})
            status, content = 206, content[first : last + 1]
            headers["Content-Range"] = f"bytes {first}-{last}/{whole}"
        faults = self.server.hub.faults
        if self.command == "GET" and faults.cuts(faults.cut_downloads, path.split("/")[-1]):
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            self._break()
        return self._answer(content, status, headers)

    # LFS -----------------------------------------------------------------------------------------

    def batch(self, name, kind=""):
        self._may_write(self._find(kind or "models", name), pull_request=True)
        objects = json.loads(self._body())["objects"]
        answer = [{**asked, **self._actions(asked["oid"], asked["size"])} for asked in objects]
        self._answer({"transfer": "basic", "objects": answer})

    def _actions(self, oid, size):
        """How to upload an object; nothing for one that is here."""
        hub = self.server.hub
        if oid in hub.storage.objects:
            return {}
        place, header = f"{hub.url}/lfs/{oid}", {}
        if size > hub.part_size:
            count = -(-size // hub.part_size)
            header = {f"{n:05d}": f"{place}?part={n}" for n in range(1, count + 1)}
            header["chunk_size"] = str(hub.part_size)
            place = f"{place}/complete"
        verify = {"href": f"{hub.url}/lfs/{oid}/verify"}
        return {"actions": {"upload": {"href": place, "header": header}, "verify": verify}}

    def put(self, oid):
        hub, part = self.server.hub, int(self.query.get("part", ["0"])[0])
        name = f"{oid}#{part}" if part else oid
        hub.faults.hold(name)
        if hub.faults.cuts(hub.faults.cut_uploads, name, "*"):
            self._body(share=0.5)
            self._break()
        content = self._body()
        if part:
            hub.storage.parts[oid, part] = content
        else:
            self._store(oid, content)
        self._answer(b"", headers={"ETag": f'"{hashlib.md5(content).hexdigest()}"'})

    def complete(self, oid):
        storage, asked = self.server.hub.storage, json.loads(self._body())
        parts = [storage.parts[oid, part["partNumber"]] for part in asked["parts"]]
        self._store(oid, b"".join(parts))
        self._answer({})

    def _store(self, oid, content):
        if hashlib.sha256(content).hexdigest() != oid:
            raise Refused(400, "the content has another digest")
        self.server.hub.storage.objects[oid] = content

    def verify(self, oid):
        content = self.server.hub.storage.objects.get(oid)
        if content is None or len(content) != json.loads(self._body())["size"]:
            raise Refused(404, "no such object")
        self._answer({})


def _prefix(kind):
    return "datasets/" if kind == "dataset" else ""


def _entry(path, file):
    entry = {"type": "file", "oid": file.oid, "size": file.size, "path": path}
    if file.lfs:
        entry["lfs"] = {"oid": file.lfs, "size": file.size, "pointerSize": 130}
    return entry


API = f"/api/{KINDS}/{NAME}"
PREFIX = r"/(?:(?P<kind>datasets)/)?"
ROUTES = [
    ("GET", "/api/whoami-v2", _Handler.whoami),
    ("POST", "/api/repos/create", _Handler.create),
    ("POST", "/api/validate-yaml", _Handler.validate),
    ("GET", f"{API}", _Handler.info),
    ("GET", f"{API}/revision/{REVISION}", _Handler.info),
    ("GET", f"{API}/refs", _Handler.refs),
    ("POST", f"{API}/branch/{REVISION}", _Handler.branch),
    ("POST", f"{API}/preupload/{REVISION}", _Handler.preupload),
    ("POST", f"{API}/commit/{REVISION}", _Handler.commit),
    ("GET", f"{API}/tree/{REVISION}(?:/(?P<path>.+))?", _Handler.tree),
    ("POST", f"{API}/paths-info/{REVISION}", _Handler.paths),
    ("GET HEAD", f"{PREFIX}{NAME}/resolve/{REVISION}/(?P<path>.+)", _Handler.resolve),
    ("GET HEAD", r"/cdn/(?P<oid>\w{64})/(?P<path>.+)", _Handler.cdn),
    ("POST", rf"{PREFIX}{NAME}\.git/info/lfs/objects/batch", _Handler.batch),
    ("PUT", r"/lfs/(?P<oid>\w{64})", _Handler.put),
    ("POST", r"/lfs/(?P<oid>\w{64})/complete", _Handler.complete),
    ("POST", r"/lfs/(?P<oid>\w{64})/verify", _Handler.verify),
]
