"""In which environment something was measured or trained: versions, machine, commit."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

_PACKAGES = (
    *("torch", "torchvision", "timm", "transformers", "datasets", "accelerate"),
    *("huggingface_hub", "safetensors", "gensim", "numpy", "pillow"),
)


def environment() -> dict[str, Any]:
    """Return Python, platform, package versions and the git commit of the package's checkout."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "git_commit": _git_commit(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def _git_commit() -> str | None:
    """Return the commit of the package's own checkout, None where it is no checkout."""
    checkout = Path(__file__).resolve().parents[1]
    # Installed into an environment inside some other project, git would tell that one's commit.
    if not (checkout / ".git").exists():
        return None
    try:
        asked = subprocess.run(
            ["git", "-C", str(checkout), "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:  # there is no git
        return None
    return asked.stdout.strip() or None
