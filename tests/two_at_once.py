"""Pairs of runs of one command at random delays, some of them killed with SIGKILL.

    python tests/two_at_once.py ROUNDS SEED SOURCE MODEL WORK

Imports the package once and forks a process for each run, so that a hundred pairs take minutes and
not an hour; `test_two_at_once.py` reads the counts that it prints. A pair is right when what is
there equals what an undisturbed run makes, to the byte, or no run of it says that it succeeded.
Where none did, a third run has to go on from what they left, and to end with the same bytes.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from emotionnet_hf.data import build_dataset
from emotionnet_hf.data.build import OutputExistsError
from emotionnet_hf.evaluation.embed import embed
from emotionnet_hf.evaluation.embed.writing import FeaturesExistError
from emotionnet_hf.lock import AnotherRunError

SUCCEEDED, REFUSED, EXISTS, FAILED, KILLED = 0, 3, 4, 5, -signal.SIGKILL


COUNTED = (
    *("rounds", "other arguments", "succeeded", "refused", "exists"),
    *("killed", "killed at work", "taken over", "gone on with"),
)


@dataclass(frozen=True)
class Command:
    """What is run twice.

    Attributes:
        run: Runs it: a folder for what it makes, the variant of its arguments (0 or 1), whether it
            may replace what others have begun.
        lock: Name of its lock.
    """

    run: Callable[[Path, int, bool], object]
    lock: str


def build(source: Path) -> Command:
    def run(folder: Path, variant: int, overwrite: bool) -> object:
        return build_dataset(
            source,
            folder / "out",
            rows_per_shard=(8, 12)[variant],
            num_threads=2,
            progress=False,
            overwrite=overwrite,
        )

    return Command(run, ".out.lock")


def embedding(source: Path, model: Path) -> Command:
    def run(folder: Path, variant: int, overwrite: bool) -> object:
        return embed(
            source,
            model,
            folder / "out.parquet",
            batch_size=(2, 3)[variant],
            rows_per_part=4,
            num_threads=1,
            progress=False,
            overwrite=overwrite,
        )

    return Command(run, ".out.parquet.lock")


def start(command: Command, folder: Path, variant: int, overwrite: bool = False) -> int:
    """Start a run in a process of its own; its number."""
    sys.stdout.flush()
    if pid := os.fork():
        return pid
    status = FAILED
    try:
        command.run(folder, variant, overwrite)
        status = SUCCEEDED
    except AnotherRunError as error:
        status = REFUSED if "another run is at work" in str(error) else FAILED
    except (OutputExistsError, FeaturesExistError):
        status = EXISTS
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(status)


def wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def content(folder: Path) -> dict[str, bytes]:
    """All that is in a folder, hidden files too."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def holder(lock: Path) -> int | None:
    try:
        return int(json.loads(lock.read_text())["pid"])
    except (OSError, ValueError):
        return None


class Stress:
    """Rounds of one command."""

    def __init__(self, command: Command, work: Path, seed: int) -> None:
        self.command, self.work, self.seed = command, work, seed
        self.counts = Counter(dict.fromkeys(COUNTED, 0))
        self.expected = [self._undisturbed(variant) for variant in (0, 1)]
        assert self.expected[0] != self.expected[1], "the variants make the same"

    def _undisturbed(self, variant: int) -> dict[str, bytes]:
        folder = self._folder(f"undisturbed-{variant}")
        before = time.monotonic()
        assert wait(start(self.command, folder, variant)) == SUCCEEDED
        self.seconds = time.monotonic() - before
        return content(folder)

    def _folder(self, name: str) -> Path:
        folder = self.work / name
        folder.mkdir()
        return folder

    def round(self, number: int) -> None:
        """Run a pair, and judge what it leaves."""
        chance = random.Random(f"{self.seed} {number}")
        folder = self._folder(f"round-{number}")
        variants = 0, int(chance.random() < 0.3)
        delay = chance.random() * self.seconds
        # Odd rounds have a victim, mostly the first run, at any moment of its life.
        victim = (0 if chance.random() < 0.75 else 1) if number % 2 else None
        moment = chance.random() * self.seconds + (delay if victim == 1 else 0)
        pids, at_work, began = [0, 0], False, time.monotonic()
        for at, event in sorted([(0.0, 0), (delay, 1), (moment, 2)][: 2 if victim is None else 3]):
            time.sleep(max(0.0, began + at - time.monotonic()))
            if event < 2:
                pids[event] = start(self.command, folder, variants[event])
            else:
                os.kill(pids[victim or 0], signal.SIGKILL)
                ended = wait(pids[victim or 0])
                at_work = (
                    holder(folder / self.command.lock) == pids[victim or 0] and ended == KILLED
                )
                self.counts["killed at work"] += at_work
        statuses = [ended if index == victim else wait(pid) for index, pid in enumerate(pids)]
        self.counts["taken over"] += at_work and SUCCEEDED in statuses
        self._judge(folder, statuses, variants)
        shutil.rmtree(folder)

    def _judge(self, folder: Path, statuses: list[int], variants: tuple[int, int]) -> None:
        told = f"{folder.name}: {statuses} of variants {variants}"
        assert FAILED not in statuses, told
        names = {SUCCEEDED: "succeeded", REFUSED: "refused", EXISTS: "exists", KILLED: "killed"}
        self.counts.update(names[status] for status in statuses)
        self.counts["rounds"] += 1
        self.counts["other arguments"] += variants[0] != variants[1]
        good = [v for status, v in zip(statuses, variants, strict=True) if status == SUCCEEDED]
        assert len(good) < 2, told
        if not good:
            assert KILLED in statuses, told
            assert not {"out", "out.parquet"} & {path.name for path in folder.iterdir()}, told
            self.counts["gone on with"] += 1
            assert wait(start(self.command, folder, 0, overwrite=True)) == SUCCEEDED, told
            good = [0]
        found = content(folder)
        if KILLED in statuses:  # who was killed as it took the lock of a finished run leaves it
            found.pop(self.command.lock, None)
        wrong = {
            name
            for name in {*found, *self.expected[good[0]]}
            if found.get(name) != self.expected[good[0]].get(name)
        }
        assert not wrong, f"{told}: not as of an undisturbed run: {sorted(wrong)}"


def main() -> None:
    rounds, seed = map(int, sys.argv[1:3])
    source, model, work = map(Path, sys.argv[3:])
    counts = {}
    for name, command in {"build": build(source), "embed": embedding(source, model)}.items():
        (work / name).mkdir()
        stress = Stress(command, work / name, seed)
        for number in range(rounds):
            stress.round(number)
        counts[name] = stress.counts
    sys.stdout.write(json.dumps(counts) + "\n")


if __name__ == "__main__":
    main()
