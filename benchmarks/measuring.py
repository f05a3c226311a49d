"""What all measurements here share: they are of committed code, and say of which."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from emotionnet_hf.environment import DirtyTreeError, committed_environment, note_work


class Parser(argparse.ArgumentParser):
    """A command line with ``--allow-dirty``."""

    def __init__(self, description: str) -> None:
        super().__init__(description=description)
        self.add_argument(
            "--allow-dirty",
            action="store_true",
            help="measure code that no commit has; the results say so",
        )

    def environment(
        self, arguments: argparse.Namespace, seeds: Sequence[int] = (), work: Path | None = None
    ) -> dict[str, Any]:
        """Describe code and machine before the work starts; end with 2 where code was changed.

        Args:
            arguments: The parsed ones.
            seeds: Of the measurement; none where nothing is drawn.
            work: Folder of resumable work, if there is one.
        """
        try:
            now = committed_environment(seeds, allow_dirty=arguments.allow_dirty)
        except DirtyTreeError as error:
            self.error(str(error))
        return now if work is None else note_work(work, now)
