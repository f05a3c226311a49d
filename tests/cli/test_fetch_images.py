import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from emotionnet_hf import cli
from emotionnet_hf.cli import fetch_images, main


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    if fetch_images not in cli._COMMANDS:
        monkeypatch.setattr(cli, "_COMMANDS", (*cli._COMMANDS, fetch_images))


@pytest.fixture
def server():
    """Pictures of 80x60 anywhere but at /no; remembers what was asked for."""
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((80, 60)).convert("RGB").save(buffer, "JPEG")
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers["User-Agent"]))
            self.send_response(404 if self.path == "/no" else 200)
            self.send_header("Content-Length", str(len(buffer.getvalue())))
            if self.path == "/noai":
                self.send_header("X-Robots-Tag", "noai")
            self.end_headers()
            self.wfile.write(buffer.getvalue())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        running.url, running.asked = f"http://127.0.0.1:{running.server_port}", asked
        yield running
        running.shutdown()
        thread.join()


def run(*words) -> int:
    return main([str(word) for word in ("fetch-images", *words, "--no-progress")])


def write(tmp_path, *lines):
    path = tmp_path / "urls.csv"
    path.write_text("file_name,url\n" + "\n".join(lines))
    return path


LOCAL = "--allow-private-addresses"


def test_every_picture_is_there(server, tmp_path, capsys):
    urls = write(tmp_path, f"a.jpg,{server.url}/a", f"b/c.jpg,{server.url}/c")
    words = (urls, "--out", tmp_path / "out", LOCAL, "--shorter-side", 30, "--user-agent", "me/2")
    assert run(*words) == 0
    assert "2 of 2 pictures are there" in capsys.readouterr().out
    assert Image.open(tmp_path / "out" / "b" / "c.jpg").size == (40, 30)
    assert sorted(server.asked) == [("/a", "me/2"), ("/c", "me/2")]
    assert run(*words) == 0
    assert len(server.asked) == 2


def test_failures_are_told_as_json_and_by_the_exit_code(server, tmp_path, capsys):
    urls = write(tmp_path, f"a.jpg,{server.url}/a", f"b.jpg,{server.url}/no")
    assert run(urls, "--out", tmp_path / "out", LOCAL, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["fetched"], report["failed"]) == (1, 1)
    assert report["reasons"] == {"HTTP 404": 1}
    assert report["out"] == str(tmp_path / "out")
    assert run(urls, "--out", tmp_path / "out", LOCAL) == 1
    assert "1 failed: HTTP 404 (1); see failures.csv" in capsys.readouterr().out
    assert len(server.asked) == 2
    assert run(urls, "--out", tmp_path / "out", LOCAL, "--retry-failed") == 1
    assert len(server.asked) == 3


def test_what_others_may_not_use_is_a_failure_unless_told_otherwise(server, tmp_path, capsys):
    urls = write(tmp_path, f"a.jpg,{server.url}/noai", f"b.jpg,{server.url}/b")
    assert run(urls, "--out", tmp_path / "out", LOCAL) == 1
    assert "1 failed: not allowed (1)" in capsys.readouterr().out
    assert "not allowed: X-Robots-Tag noai" in (tmp_path / "out/failures.csv").read_text()
    assert run(urls, "--out", tmp_path / "1", LOCAL, "--disallowed-directives", "noindex") == 0
    assert run(urls, "--out", tmp_path / "2", LOCAL, "--disallowed-directives") == 0


def test_loopback_needs_the_flag(server, tmp_path, capsys):
    assert run(write(tmp_path, f"a.jpg,{server.url}/a"), "--out", tmp_path / "out") == 1
    assert "refused address (1)" in capsys.readouterr().out
    assert server.asked == []


def test_limit_of_bytes(server, tmp_path, capsys):
    urls = write(tmp_path, f"a.jpg,{server.url}/a")
    assert run(urls, "--out", tmp_path / "out", LOCAL, "--max-bytes", "100") == 1
    assert "too many bytes (1)" in capsys.readouterr().out


def test_list_that_is_not_there_is_one_line(tmp_path, capsys):
    assert run(tmp_path / "none.txt", "--out", tmp_path / "out") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("emotionnet: there is no file")


@pytest.mark.parametrize(
    "words",
    [
        ("--per-host", "0"),
        ("--retries", "-1"),
        ("--max-bytes", "20X"),
        ("--max-bytes", "0M"),
        ("--max-bytes", "1KM"),
        ("--host-delay", "-1"),
        ("--total-timeout", "0"),
        ("--backoff", "nan"),
        ("--shorter-side", "a"),
    ],
)
def test_bad_usage(words, tmp_path):
    with pytest.raises(SystemExit) as stopped:
        run(tmp_path / "urls.txt", "--out", tmp_path / "out", *words)
    assert stopped.value.code == 2
