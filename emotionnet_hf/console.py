"""What a command shows: a line a message, bars that nothing tears, output that cannot fail.

For commands alone; a library leaves the streams and the loggers of a process to their owner.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import datasets
import huggingface_hub.utils as hub
import transformers
from tqdm import tqdm

# Libraries that tell at INFO what they do, line by line, and at WARNING what matters.
_NOISY = (
    *("httpx", "httpx2", "httpcore", "httpcore2", "asyncio", "datasets", "gensim", "faiss"),
    *("fsspec", "timm", "accelerate", "urllib3", "filelock", "smart_open", "matplotlib"),
)
# "No CUDA runtime is found": on import, of a machine that has the compiler and no GPU.
_SILENT = ("torch.utils.cpp_extension",)
# Libraries with handlers of their own, which write into bars.
_OWN_HANDLERS = ("transformers", "datasets", "huggingface_hub", "optuna", "accelerate")
_LONGEST = 600


class _BesideBars(logging.StreamHandler):
    """A handler whose lines stand above the bars instead of in them."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            tqdm.write(self.format(record), file=sys.stderr)
        except Exception:  # as logging's own handlers do: what cannot be told ends no work
            self.handleError(record)


def speak(format: str = "%(message)s") -> None:
    """Log to stderr beside the bars, silence what is no news, and let no letter end the work.

    Args:
        format: Of the lines.
    """
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's or the file's encoding lacks is written with escapes.
        if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
            reconfigure(errors="backslashreplace")
    logging.basicConfig(level=logging.INFO, format=format, handlers=[_BesideBars()])
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _SILENT:
        logging.getLogger(name).setLevel(logging.ERROR)
    for name in _OWN_HANDLERS:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True


def write(text: str) -> None:
    """Write a line to stdout, above the bars."""
    tqdm.write(text, file=sys.stdout)
    sys.stdout.flush()


def complain(text: str) -> None:
    """Write a line to stderr, above the bars."""
    tqdm.write(text, file=sys.stderr)
    sys.stderr.flush()


def one_line(error: BaseException) -> str:
    """Tell an error in one line that a person can read.

    Args:
        error: The error.

    Returns:
        Its text without ends of lines; what is longer than a person reads is cut.
    """
    line = " ".join(str(error).split()) or type(error).__name__
    if len(line) <= _LONGEST:
        return line
    return f"{line[:_LONGEST]} ... ({len(line) - _LONGEST:,} more characters: --debug)"


@contextmanager
def bars(wanted: bool) -> Iterator[None]:
    """Show the bars of our own work and of downloads, or none at all, also in child processes.

    Transformers' "Loading weights" takes no time worth a bar and is never shown.

    Args:
        wanted: Whether to show any.
    """
    before = datasets.are_progress_bars_disabled(), hub.are_progress_bars_disabled()
    names = ("HF_DATASETS_DISABLE_PROGRESS_BARS", "HF_HUB_DISABLE_PROGRESS_BARS")
    environ = {name: os.environ.get(name) for name in names}
    active = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()  # with the Hub's
    if wanted and not before[1]:
        hub.enable_progress_bars()
    if not wanted:
        datasets.disable_progress_bars()
        os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        if active:
            transformers.utils.logging.enable_progress_bar()
        for disabled, enable, disable in (
            (before[0], datasets.enable_progress_bars, datasets.disable_progress_bars),
            (before[1], hub.enable_progress_bars, hub.disable_progress_bars),
        ):
            (disable if disabled else enable)()
        for name, value in environ.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
