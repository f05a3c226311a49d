"""Fill docs/evaluation.md from benchmarks/results; the tests check that they agree.

python -m scripts.update_evaluation_page    # after a benchmark, or `make tables`
"""

from __future__ import annotations

from PIL import Image

from emotionnet_hf.files import write_text
from scripts import update_readme
from scripts.update_data_page import RESULTS, ROOT, read

PAGE = ROOT / "docs" / "evaluation.md"
_DRAWN = RESULTS / "sample_tables"


def embed() -> str:
    """Return the table of features beside the stock pipeline, and what precision costs."""
    r, old = read("embed"), read("embed_avx2")["speed"]["sides"]
    lines = [
        "| | images/s | times stock | (AVX2 only) | change | real trunk: change | neighbours |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, side in r["speed"]["sides"].items():
        cells = [f"{side['images_per_second']:.1f}", f"{side['times_stock']:.2f}"]
        cells.append(f"{old[name]['times_stock']:.2f}" if name in old else "refused")
        cells.append(f"{side['change']['mean_relative']:.1e}")
        real = r["quality"].get(name, {}).get("change")
        cells += [f"{real['mean_relative']:.1e}", f"{real['recall_at_10']:.1%}"] if real else []
        lines.append(f"| {' | '.join([name, *cells, *[''] * (6 - len(cells))])} |")
    return "\n".join(lines) + (
        f"\n\n*{r['speed']['backbone']} of random weights, {r['speed']['pictures']} JPEGs to "
        f"vectors, {r['cores']} cores with {' and '.join(r['cpu']['units'])}, and a CPU with AVX2 "
        "only; stock is the pipeline `image-feature-extraction`. Change: mean, relative to eager "
        f"float32. Real trunk: {r['quality']['trunk']} on {r['quality']['pictures']} emoji, of the "
        "kind that takes 8 bits badly; `embed` prints both for yours (`benchmarks/embed.py`).*"
    )


def retrieval() -> str:
    """Return the table of search beside the flat index that `datasets` makes."""
    r = read("retrieval")
    lines = ["| | flat | ours | ratio |", "| --- | --- | --- | --- |"]
    for threads in ("1 threads", "2 threads"):
        flat, mine = (r[threads][side]["median_milliseconds"] for side in ("flat", "ours"))
        told = f"{flat:,.1f} ms | {mine:,.1f} ms | {r[threads]['times_faster']:.0f}"
        lines.append(f"| a query (median), threads: {threads[0]} | {told} |")
    flat, mine = (r["2 threads"][side]["megabytes"] for side in ("flat", "ours"))
    lines.append(f"| memory of the process | {flat:,.0f} MB | {mine:,.0f} MB | {flat / mine:.1f} |")
    ours = r["ours"]
    how = f"{ours['directions']} directions, {ours['factory']}, nprobe {ours['nprobe']}"
    return "\n".join(lines) + (
        f"\n\n*{r['rows']:,} x {r['dims']}, of {r['vectors']}; {how}, "
        f"recall@10 {r['2 threads']['recall_at_10']:.3f} against the flat index, the default of "
        "`Dataset.add_faiss_index` (`benchmarks/retrieval.py`).*"
    )


def tables() -> str:
    """Return Table 2 of the drawn pictures, as the example it is."""
    lines = (_DRAWN / "table2.md").read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if line.startswith("|")]
    return "\n".join(["Table 2 on drawn pictures (percent):", "", *table])


PARTS = {"embed": embed, "retrieval": retrieval, "tables": tables}


def filled(page: str) -> str:
    """Return the page with its generated parts as the results say."""
    return update_readme.filled(page, {name: part() for name, part in PARTS.items()})


if __name__ == "__main__":
    if (_DRAWN / "figure4.png").is_file():  # too large to keep as it is
        with Image.open(_DRAWN / "figure4.png") as figure:
            small = figure.convert("RGB").reduce(2).quantize(256)
        small.save(ROOT / "docs" / "figure4.png", optimize=True)
    write_text(PAGE, filled(PAGE.read_text("utf-8")))
