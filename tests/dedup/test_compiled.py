import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from emotionnet_hf.dedup.compiled import compiled, count_bits

REPOSITORY = Path(__file__).resolve().parents[2]


def test_bits_are_counted_as_numpy_counts_them(hard):
    def count(hashes):
        result = np.empty(len(hashes), np.int64)
        for i in range(len(hashes)):
            result[i] = count_bits(hashes[i])
        return result

    for hashes in hard.values():
        assert (compiled(count)(hashes) == np.bitwise_count(hashes)).all()


SCRIPT = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("compiled", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

@module.compiled
def double(number):
    return 2 * number

print(double(21), sum(double.stats.cache_hits.values()))
"""


def run_script(folder: Path, **environ: str) -> str:
    """Run a file of ours with the module alone: all of the package takes long to import."""
    script = folder / "script.py"
    script.write_text(SCRIPT)
    run = subprocess.run(
        [sys.executable, script, REPOSITORY / "emotionnet_hf/dedup/compiled.py"],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout.strip()


def test_machine_code_is_kept_and_used_again(tmp_path):
    assert run_script(tmp_path) == "42 0"
    assert run_script(tmp_path) == "42 1"


def test_works_where_machine_code_cannot_be_kept(tmp_path):
    # Of the places that numba tries only one is left, and that one is not set: as if none of the
    # others could be written to, which a test run by root cannot arrange.
    nowhere = {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator", "NUMBA_CACHE_DIR": ""}
    assert run_script(tmp_path, **nowhere) == "42 0"
    assert run_script(tmp_path, **nowhere) == "42 0"
