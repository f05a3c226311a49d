"""Fill README's tables from benchmarks/results/*.json; the tests check that they agree.

python -m scripts.update_readme                           # after a benchmark
python -m scripts.update_readme --quickstart quickstart   # after `make quickstart` as well
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.real_keywords import main_tables
from benchmarks.real_tables import ideas_table
from emotionnet_hf.files import write_text

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def quickstart_table(report: dict[str, Any]) -> str:
    """Return the quickstart's table and its time."""
    net, text, soft = report["emotionnet"], report["textcnn"], report["soft_labels"]
    rows = {
        "EmotionNet, from the picture": net["clean"],
        "TextCNN, from the other keywords": text["clean"],
        "best constant guess": net["chance"],
    }
    lines = [
        "| quickstart, test pictures, against the truth | hit@1 | mAP |",
        "| --- | --- | --- |",
    ]
    lines += [
        f"| {name} | {s['hit_at_1']:.3f} | {s['mean_average_precision']:.3f} |"
        for name, s in rows.items()
    ]
    return "\n".join(lines) + (
        f"\n\nThe whole took {sum(report['seconds'].values()):.0f} s on two CPU cores. Of the true "
        f"keywords that uploaders had left out, {soft['missing_restored']:.0%} are among the five "
        f"that TextCNN adds first ({soft['missing_restored_by_chance']:.0%} in a random order); "
        f"but {soft['clean_mass_soft']:.0%} of a soft label's mass lies on true keywords, of the "
        f"uploaders' lists {soft['clean_mass_tagged']:.0%}: true keywords lose "
        f"{soft['clean_mass_tagged'] - soft['clean_mass_soft']:.0%}."
    )


def tables() -> dict[str, str]:
    """Return README's generated parts by name, for the results that are there."""
    parts = {"quickstart": quickstart_table(json.loads((RESULTS / "quickstart.json").read_text()))}
    # The tables of the pages that the benchmarks wrote, without their headings.
    page = (RESULTS / "ablation.md").read_text(encoding="utf-8").partition("\n## ")[2]
    parts["ablation"] = re.sub(r"^(## )?(.* label error)$", r"*\2*", page.strip(), flags=re.M)
    parts["ideas"] = ideas_table(json.loads((RESULTS / "real_tables/table3.json").read_text()))
    parts["real_keywords"] = main_tables(json.loads((RESULTS / "real_keywords.json").read_text()))
    return parts


def filled(page: str, parts: dict[str, str] | None = None) -> str:
    """Return a page with its generated parts as the results say; those of the README if None."""
    for name, text in (tables() if parts is None else parts).items():
        pattern = rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)"
        page = re.sub(pattern, text.replace("\\", r"\\") + "\n", page, flags=re.S)
    return page


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quickstart", type=Path, help="folder of a quickstart to take over")
    quickstart = parser.parse_args().quickstart
    if quickstart:
        shutil.copy(quickstart / "report.json", RESULTS / "quickstart.json")
        picture = Image.open(quickstart / "figures" / "examples.png").convert("RGB")
        picture.quantize(256).save(ROOT / "docs" / "quickstart.png", optimize=True)
    write_text(ROOT / "README.md", filled((ROOT / "README.md").read_text(encoding="utf-8")))
