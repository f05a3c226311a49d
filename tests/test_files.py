import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from emotionnet_hf import files
from emotionnet_hf.files import (
    check_replaceable,
    remove_unfinished,
    whole_file,
    whole_folder,
    write_json,
    write_text,
)
from emotionnet_hf.lock import AnotherRunError


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def full_disk(monkeypatch) -> None:
    """Every fsync reports that the disk is full."""

    def refuse(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", refuse)


def test_text_is_written_as_utf_8_and_its_folder_made(tmp_path):
    write_text(tmp_path / "a" / "b.txt", "Größe\n")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "Größe\n".encode()


def test_text_replaces_a_file_and_leaves_nothing_beside_it(tmp_path):
    write_text(tmp_path / "a.txt", "old, and longer")
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new"
    assert names(tmp_path) == {"a.txt"}


def test_a_full_disk_leaves_the_old_text(tmp_path, full_disk):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(OSError, match="No space"):
        write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == {"a.txt"}


def test_text_that_cannot_be_encoded_leaves_the_old_text(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a.txt", "half \ud800")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == {"a.txt"}


def test_a_value_that_json_does_not_know_leaves_the_old_file(tmp_path):
    (tmp_path / "a.json").write_text("1")
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert (tmp_path / "a.json").read_text() == "1"


def test_json_is_readable_by_people(tmp_path):
    write_json(tmp_path / "a.json", {"name": "Größe", "n": [1]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"name": "Größe", "n": [1]}
    assert "Größe" in text
    assert text.endswith("}\n")


def test_a_folder_appears_only_when_it_is_whole(tmp_path):
    target = tmp_path / "deep" / "target"
    with whole_folder(target) as folder:
        (folder / "a").write_text("new")
        assert not target.exists()
        assert folder.parent == target.parent
    assert names(target) == {"a"}
    assert names(target.parent) == {"target"}


def test_an_existing_folder_is_replaced_not_merged(tmp_path):
    target = tmp_path / "target"
    (target / "sub").mkdir(parents=True)
    (target / "sub" / "old").write_text("old")
    with whole_folder(target) as folder:
        (folder / "new").write_text("new")
        assert names(target) == {"sub"}
    assert names(target) == {"new"}
    assert names(tmp_path) == {"target"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_the_old_folder(tmp_path, error):
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "old").write_text("old")
    with pytest.raises(error), whole_folder(tmp_path / "target") as folder:
        (folder / "new").write_text("new")
        raise error
    assert names(tmp_path / "target") == {"old"}
    assert names(tmp_path) == {"target"}


def test_an_exception_leaves_nothing_where_nothing_was(tmp_path):
    with pytest.raises(OSError, match="full"), whole_folder(tmp_path / "target"):
        raise OSError(errno.ENOSPC, "full")
    assert names(tmp_path) == set()


def test_a_failure_of_the_second_rename_puts_the_old_folder_back(tmp_path, monkeypatch):
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "old").write_text("old")
    rename = os.replace

    def replace(source: Path, destination: Path) -> None:
        if str(source).endswith(".unfinished"):
            raise OSError(errno.ENOSPC, "full")
        rename(source, destination)

    monkeypatch.setattr(files.os, "replace", replace)
    with pytest.raises(OSError, match="full"), whole_folder(tmp_path / "target"):
        pass
    assert names(tmp_path / "target") == {"old"}
    assert names(tmp_path) == {"target"}


def test_a_file_is_not_replaced_by_a_folder(tmp_path):
    (tmp_path / "target").write_text("precious")
    with pytest.raises(NotADirectoryError, match="target is a file"):
        whole_folder(tmp_path / "target").__enter__()
    assert (tmp_path / "target").read_text() == "precious"


def kill(tmp_path: Path, script: str) -> None:
    """Run a script that kills itself with SIGKILL, for which no clean-up code runs."""
    source = f"""
        import os, signal, sys, types
        from pathlib import Path
        # Without the package's own __init__, which takes seconds to import.
        sys.modules["emotionnet_hf"] = types.ModuleType("emotionnet_hf")
        sys.modules["emotionnet_hf"].__path__ = [sys.argv[2]]
        from emotionnet_hf import files
        target = Path(sys.argv[1]) / "target"
        {textwrap.indent(textwrap.dedent(script), " " * 8).strip()}
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source), tmp_path, Path(files.__file__).parent],
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


KILLED_WHILE_WRITING = """
    files.os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
    files.write_text(target, "new")
"""
IN_THE_BLOCK = """
    with files.whole_folder(target) as folder:
        (folder / "half").write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)
"""
BETWEEN_THE_RENAMES = """
    rename = os.replace
    def replace(source, destination):
        if str(source).endswith(".unfinished"):
            os.kill(os.getpid(), signal.SIGKILL)
        rename(source, destination)
    files.os.replace = replace
    with files.whole_folder(target) as folder:
        (folder / "new").write_text("new")
"""
AFTER_THE_RENAMES = """
    rename = os.replace
    def replace(source, destination):
        rename(source, destination)
        if str(source).endswith(".unfinished"):
            os.kill(os.getpid(), signal.SIGKILL)
    files.os.replace = replace
    with files.whole_folder(target) as folder:
        (folder / "new").write_text("new")
"""


@pytest.fixture
def target(tmp_path) -> Path:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "old").write_text("old")
    return tmp_path / "target"


def test_kill_9_in_the_block_leaves_the_old_folder(tmp_path, target):
    kill(tmp_path, IN_THE_BLOCK)
    assert names(target) == {"old"}


def test_kill_9_after_the_exchange_leaves_the_new_folder(tmp_path, target):
    kill(tmp_path, AFTER_THE_RENAMES)
    assert names(target) == {"new"}


def test_kill_9_between_the_renames_loses_nothing(tmp_path, target):
    kill(tmp_path, BETWEEN_THE_RENAMES)
    assert names(tmp_path / ".target.replaced") == {"old"}
    with pytest.raises(ValueError, match="again"), whole_folder(target):
        raise ValueError("again")
    assert names(target) == {"old"}


@pytest.mark.parametrize("moment", [IN_THE_BLOCK, BETWEEN_THE_RENAMES, AFTER_THE_RENAMES])
def test_the_next_call_cleans_up_after_kill_9(tmp_path, target, moment):
    kill(tmp_path, moment)
    with whole_folder(target) as folder:
        assert names(folder) == set()
        (folder / "newer").write_text("newer")
    assert names(target) == {"newer"}
    assert names(tmp_path) == {"target"}


def test_kill_9_while_writing_text_leaves_the_old_text(tmp_path):
    (tmp_path / "target").write_text("old")
    kill(tmp_path, KILLED_WHILE_WRITING)
    assert len(unfinished(tmp_path)) == 1
    assert (tmp_path / "target").read_text() == "old"
    write_text(tmp_path / "target", "newer")
    assert names(tmp_path) == {"target"}


def test_whole_file(tmp_path):
    target = tmp_path / "a"
    with whole_file(target) as file:
        file.write(b"new")
        assert not target.exists()
    assert (target.read_bytes(), names(tmp_path)) == (b"new", {"a"})
    with pytest.raises(RuntimeError), whole_file(target) as file:
        file.write(b"half")
        raise RuntimeError
    assert (target.read_bytes(), names(tmp_path)) == (b"new", {"a"})


def test_whole_file_is_unfinished_in_a_folder_of_ones_own(tmp_path):
    (tmp_path / "work").mkdir()
    with whole_file(tmp_path / "a", tmp_path / "work") as file:
        file.write(b"new")
        assert names(tmp_path) == {"work"}
        assert len(names(tmp_path / "work")) == 1
    assert (names(tmp_path), names(tmp_path / "work")) == ({"a", "work"}, set())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's /dev/full")
def test_whole_file_on_a_full_disk(tmp_path, monkeypatch):
    def full(path: Path, folder: Path) -> tuple[Path, object]:
        (folder / "b").symlink_to("/dev/full")
        return folder / "b", (folder / "b").open("wb")

    monkeypatch.setattr(files, "_open_unfinished", full)
    with pytest.raises(OSError, match="No space"), whole_file(tmp_path / "a") as file:
        file.write(b"lost")
    assert list(tmp_path.iterdir()) == []


def unfinished(folder: Path) -> list[str]:
    return sorted(name for name in names(folder) if name.endswith(".unfinished"))


def test_two_writers_of_one_file_do_not_meet_and_the_last_one_wins(tmp_path):
    target = tmp_path / "a"
    with whole_file(target) as first:
        first.write(b"first, a long text")
        first.flush()
        with whole_file(target) as second:  # as another process would, while we write
            second.write(b"second")
            assert len(unfinished(tmp_path)) == 2
        assert target.read_bytes() == b"second"
    assert target.read_bytes() == b"first, a long text"
    assert names(tmp_path) == {"a"}


WRITERS = """
    import sys
    from multiprocessing import get_context
    def write(letter):
        for _ in range(60):
            files.write_text(target, letter * 50_000)
    if __name__ == "__main__":
        context = get_context("fork")
        writers = [context.Process(target=write, args=(letter,)) for letter in "abcd"]
        for writer in writers: writer.start()
        seen = set()
        while any(writer.is_alive() for writer in writers):
            if target.exists():
                text = target.read_text()
                assert len(text) == 50_000 and len(set(text)) == 1, "a mixture"
                seen.add(text[0])
        assert [writer.exitcode for writer in writers] == [0] * 4, "a writer failed"
        assert len(seen) > 1, "they did not write at once"
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_processes_that_write_one_file_at_once_never_mix_and_never_fail(tmp_path):
    kill(tmp_path, WRITERS)  # the end of a script whose checks all held
    assert names(tmp_path) == {"target"}


def test_of_what_is_unfinished_only_what_the_dead_left_is_removed(tmp_path):
    kill(tmp_path, KILLED_WHILE_WRITING)
    (left,) = unfinished(tmp_path)
    (tmp_path / ".target.unfinished").write_text("a name that is not ours")
    with whole_file(tmp_path / "target") as alive:
        alive.write(b"alive")
        assert left not in names(tmp_path)
        write_text(tmp_path / "target", "other")
        assert len(unfinished(tmp_path)) == 2
    assert (tmp_path / "target").read_bytes() == b"alive"
    assert unfinished(tmp_path) == [".target.unfinished"]


def test_a_file_taken_for_left_over_before_it_was_locked_is_begun_again(tmp_path, monkeypatch):
    lock, calls = files.lock_descriptor, []

    def late(descriptor: int, **options: bool) -> bool:
        if not calls:  # another process looked between our opening and our locking
            (found,) = unfinished(tmp_path)
            (tmp_path / found).unlink()
        calls.append(descriptor)
        return lock(descriptor, **options)

    monkeypatch.setattr(files, "lock_descriptor", late)
    write_text(tmp_path / "a", "whole")
    assert len(calls) == 2
    assert ((tmp_path / "a").read_text(), names(tmp_path)) == ("whole", {"a"})


def test_files_are_written_on_a_disk_without_locks(tmp_path, monkeypatch):
    def refuse(descriptor: int, **options: bool) -> bool:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(files, "lock_descriptor", refuse)
    with whole_file(tmp_path / "a") as first:
        write_text(tmp_path / "a", "second")
        first.write(b"first")
    assert ((tmp_path / "a").read_text(), names(tmp_path)) == ("first", {"a"})


def test_a_second_run_may_not_fill_the_folder_that_a_first_one_fills(tmp_path):
    with whole_folder(tmp_path / "target"), ThreadPoolExecutor(1) as other:
        second = other.submit(whole_folder(tmp_path / "target").__enter__)
        with pytest.raises(AnotherRunError, match=f"target \\(process {os.getpid()} on "):
            second.result()
    assert names(tmp_path) == {"target"}


def test_unfinished_work_of_other_names_stays(tmp_path):
    for name in (".b.1-00000000.unfinished", ".a.b.1-00000000.unfinished", ".a.x.unfinished"):
        (tmp_path / name).mkdir()
    (tmp_path / ".a.12-0123abcd.unfinished").mkdir()
    remove_unfinished(tmp_path, "a")
    assert len(names(tmp_path)) == 3
    remove_unfinished(tmp_path)
    assert names(tmp_path) == {".a.x.unfinished"}
    remove_unfinished(tmp_path / "not there")


class RefusedError(ValueError):
    pass


@pytest.fixture
def filled(tmp_path) -> Path:
    """An output of an earlier call, with its mark."""
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "mark.json").touch()
    return folder


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_new_or_an_empty_folder_may_be_filled(tmp_path, overwrite):
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        check_replaceable(tmp_path / name, "mark.json", overwrite=overwrite, source=tmp_path / "in")


def test_an_earlier_output_is_replaced_only_when_asked_to(filled):
    check_replaceable(filled, "mark.json", overwrite=True)
    check_replaceable(str(filled), "mark.json", overwrite=True, source=filled.with_name("out2"))
    with pytest.raises(RefusedError, match=r"out exists; .*--overwrite.*overwrite=True"):
        check_replaceable(filled, "mark.json", overwrite=False, error=RefusedError)
    with pytest.raises(FileExistsError, match="out exists"):
        check_replaceable(filled, "mark.json", overwrite=False)


def test_what_no_earlier_call_made_is_never_replaced(filled):
    (filled / "folder").mkdir()
    for path, mark in (
        (filled, "other.json"),
        (filled, "folder"),  # the mark is a file
        (filled / "mark.json", "mark.json"),  # the output is a folder
    ):
        with pytest.raises(RefusedError, match=f"not overwritten: it has no {mark}"):
            check_replaceable(path, mark, overwrite=True, error=RefusedError)


@pytest.mark.parametrize("source", [".", "in", "deep/in"])
def test_what_the_output_is_made_from_is_never_replaced(filled, monkeypatch, source):
    monkeypatch.chdir(filled)
    for path in (source, filled / source):
        with pytest.raises(RefusedError, match="not overwritten: it holds "):
            check_replaceable(filled, "mark.json", overwrite=True, source=path, error=RefusedError)


def test_what_the_output_is_made_from_is_found_behind_a_link(filled, tmp_path):
    (tmp_path / "link").symlink_to(filled)
    for out, source in ((tmp_path / "link", filled / "in"), (filled, tmp_path / "link" / "in")):
        with pytest.raises(RefusedError, match="it holds"):
            check_replaceable(out, "mark.json", overwrite=True, source=source, error=RefusedError)
