"""What the parser of aiohttp gets to see; how whole answers fare is in test_download.py."""

import asyncio

import pytest
from aiohttp.client_proto import ResponseHandler

from emotionnet_hf.data.fetch.heads import MAX_HEAD, HeadReader, HeadTooLongError

LENGTH = b"Content-Length: 4\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nX: y\r\n"


@pytest.fixture
def passed_on(monkeypatch):
    def run(*pieces):
        seen = []
        monkeypatch.setattr(ResponseHandler, "data_received", lambda _, data: seen.append(data))

        async def main():
            reader = HeadReader(loop=asyncio.get_running_loop())
            for piece in pieces:
                reader.data_received(piece)
            return reader.exception()

        error = asyncio.run(main())
        return b"".join(seen), error

    return run


def split(data, size):
    return [data[i : i + size] for i in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize(
    "again", [LENGTH, b"content-length:4 \r\n", b"CONTENT-LENGTH:   4\r\n" * 3]
)
def test_a_length_that_is_said_again_is_taken_out(passed_on, size, again):
    data = HEAD + LENGTH + b"Z: z\r\n" + again + b"\r\n"
    # The body may look like a head, and is passed on as it is.
    body = b"\r\n\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n"
    expected = HEAD + LENGTH + b"Z: z\r\n\r\n" + body
    assert passed_on(*split(data + body, size)) == (expected, None)


@pytest.mark.parametrize("size", [1, 9, 1000])
def test_all_else_is_passed_on(passed_on, size):
    for data in (
        HEAD + LENGTH + b"Content-Length: 5\r\n\r\nbody",  # the parser refuses it
        HEAD + b"X-Content-Length: 4\r\nX-Content-Length: 4\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 4\n\nbody",
        b"HTTP/1.1 100 Continue\r\n" + LENGTH + b"\r\n" + HEAD + LENGTH + b"\r\nbody",
        b"SSH-2.0-OpenSSH_9.9\r\n\r\nwhat follows",
        b"\r\n" + HEAD + LENGTH + b"\r\n",
    ):
        assert passed_on(*split(data, size)) == (data, None)


def test_behind_an_interim_head_the_next_one_is_looked_at(passed_on):
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"
    seen, _ = passed_on(interim + HEAD + LENGTH * 2 + b"\r\nbody")
    assert seen == interim + HEAD + LENGTH + b"\r\nbody"


def test_a_head_without_end_is_an_error(passed_on):
    for lines in (b"X: " + b"y" * MAX_HEAD, b"X: y\r\n" * (MAX_HEAD // 6 + 1)):
        seen, error = passed_on(*split(HEAD + lines, 8192))
        assert isinstance(error, HeadTooLongError)
        assert len(seen) <= MAX_HEAD
