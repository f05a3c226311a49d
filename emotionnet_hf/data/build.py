"""From a folder of images with keywords, or a release, to a Hub-ready data set.

    out/
        README.md            card with the features; `load_dataset(out)` needs nothing else
        data/{split}-{i}-of-{n}.parquet
        data/train-{percent}-{i}-of-{n}.parquet   where there are subsets (Table 5)
        text/{split}.parquet of SE30K8: the text split, without pictures
        quarantine.parquet   rows that could not be used, with reasons
        build.json           arguments, counts, versions

All work happens in a sibling folder, `out.building`, shard by shard, and is moved into place by one
rename. A build that was stopped, however rudely, goes on where it was when started again with the
same arguments on the same files, and ends with the same bytes.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm.auto import tqdm

from emotionnet_hf import __version__
from emotionnet_hf.data.additions import Additions, common_keywords
from emotionnet_hf.data.card import dataset_card
from emotionnet_hf.data.plan import (
    BuildError,
    BuildSettings,
    Plan,
    make_plan,
    reason_kind,
    split_of,
    told,
)
from emotionnet_hf.data.release_sources import open_source
from emotionnet_hf.data.sources import Source
from emotionnet_hf.data.splits import PAPER_TEST_SHARE, PAPER_VALIDATION_SHARE, check_shares
from emotionnet_hf.data.writing import ShardResult, ShardWriter
from emotionnet_hf.emotions import default_vocabulary
from emotionnet_hf.files import (
    check_replaceable,
    explained_full_disk,
    move_into_place,
    put_back,
    remove_unfinished,
    whole_file,
    write_json,
    write_text,
)
from emotionnet_hf.keywords import Vocabulary
from emotionnet_hf.loading.images import MAX_PIXELS
from emotionnet_hf.loading.release import Rejected
from emotionnet_hf.loading.schema import se30k8_features
from emotionnet_hf.lock import one_run

logger = logging.getLogger(__name__)

# Libraries whose version can change the bytes of a shard.
_LIBRARIES = ("datasets", "imagehash", "numpy", "pillow", "pyarrow")


class OutputExistsError(BuildError, FileExistsError):
    """The output folder exists already."""


@dataclass(frozen=True)
class BuildReport:
    """What was built.

    Attributes:
        out: The data-set folder.
        rows: Images of each split that has any.
        quarantined: Rows in quarantine by kind of reason.
        mean_keywords: Keywords per image.
        mean_emotion_keywords: Emotion keywords per image.
        resumed_shards: Shards that an earlier, interrupted run had finished.
        rows_per_second: Rows read, labelled and written by this run, good and bad; what an earlier
            run had finished is not among them.
    """

    out: Path
    rows: dict[str, int]
    quarantined: dict[str, int]
    mean_keywords: float
    mean_emotion_keywords: float
    resumed_shards: int
    rows_per_second: float

    def summary(self) -> str:
        """Two or three lines for people."""
        splits = ", ".join(f"{count:,} {split}" for split, count in self.rows.items())
        lines = [
            f"{self.out}: {sum(self.rows.values()):,} images ({splits})",
            f"{self.mean_keywords:.2f} keywords per image, "
            f"{self.mean_emotion_keywords:.2f} of them emotional; "
            f"{self.rows_per_second:,.0f} rows a second",
        ]
        if self.quarantined:
            reasons = Counter(self.quarantined)
            lines.append(f"{reasons.total():,} rows in quarantine: {told(reasons)}")
        return "\n".join(lines)


def build_dataset(
    source: str | Path,
    out: str | Path,
    *,
    emotions: Vocabulary | None = None,
    validation: float | None = None,
    test: float | None = None,
    seed: int = 0,
    subsets: bool = False,
    all_keywords: int | None = None,
    duplicates: str | Path | None = None,
    counts: str | Path | None = None,
    basic8: str | Path | None = None,
    min_emotion_keywords: int | None = None,
    max_pixels: int = MAX_PIXELS,
    rows_per_shard: int = 4096,
    shorter_side: int | None = None,
    num_threads: int | None = None,
    progress: bool = True,
    overwrite: bool = False,
) -> BuildReport:
    """Build a data set that plain `datasets.load_dataset(out)` opens and streams.

    Args:
        source: Folder of images with metadata (see `read_source`), or a release of StockEmotion
            or SE30K8 (see `emotionnet_hf.loading.release`).
        out: The data-set folder to make.
        emotions: The emotion keywords; if None, those of the release, or our default list.
        validation: Share of the validation split, in expectation; the paper's if None.
        test: Share of the test split, in expectation; the paper's if None.
        seed: Another seed gives another split.
        subsets: Deal the training images to the nested subsets of Table 5, which then are
            configurations `subset_10` to `subset_75`. A StockEmotion release always is.
        all_keywords: Number the keywords that at least so many images have, for the column
            `keyword_ids` and the configuration `all_keywords` of Table 4. A StockEmotion release
            brings numbers of its own.
        duplicates: What `emotionnet dedup` wrote: near-duplicates of images that stay go to
            quarantine; their keywords are not merged into those of the image that stays.
        counts: What `emotionnet count-people` wrote, for the columns `people` and `faces`.
        basic8: What `emotionnet pseudo-label` wrote, for the columns `basic8` and
            `basic8_scores`.
        min_emotion_keywords: Images with fewer go to quarantine; 1 if None (SE30K8: 0).
        max_pixels: Images with more pixels go to quarantine, undecoded.
        rows_per_shard: Rows of a Parquet file, and what a kill costs at most.
        shorter_side: Shrink larger images to this shorter side; None keeps files as they are.
        num_threads: Threads that decode; None for one per core.
        progress: Show progress bars.
        overwrite: Replace `out` if an earlier build made it.

    Returns:
        The counts.

    Raises:
        SourceError: The source cannot be read.
        ReleaseError: The release contradicts itself.
        BuildError: An argument is out of range, or there would be no image in the data set.
        OutputExistsError: `out` exists (and, with `overwrite`, was not made by a build).
        AnotherRunError: Another build of `out` is at work.
        DiskFullError: No space left; the same call goes on where it was.
    """
    out = Path(out).resolve()
    threads = (os.cpu_count() or 1) if num_threads is None else num_threads
    building = out.with_name(f"{out.name}.building")
    with explained_full_disk(building), one_run(out):
        # A build that was killed between the two renames left the old data set there.
        put_back(out)
        check_replaceable(
            out, "build.json", overwrite=overwrite, source=Path(source), error=OutputExistsError
        )
        opened = open_source(source, seed=seed)
        if opened.own_splits and not validation is test is None:
            raise BuildError(f"{source} has splits of its own; leave out validation and test")
        if opened.all_keywords and all_keywords is not None:
            raise BuildError(f"{source} numbers its keywords itself; leave out all_keywords")
        settings = BuildSettings(
            emotions=emotions or opened.emotions or default_vocabulary(),
            validation=PAPER_VALIDATION_SHARE if validation is None else validation,
            test=PAPER_TEST_SHARE if test is None else test,
            seed=seed,
            subsets=subsets or opened.subsets,
            all_keywords=all_keywords,
            min_emotion_keywords=(
                opened.min_emotion_keywords
                if min_emotion_keywords is None
                else min_emotion_keywords
            ),
            max_pixels=max_pixels,
            rows_per_shard=rows_per_shard,
            shorter_side=shorter_side,
        )
        _check(settings, threads)
        additions = Additions.read(
            duplicates=duplicates,
            counts=counts,
            basic8=basic8,
            all_keywords=common_keywords(opened, all_keywords) if all_keywords else (),
        )
        return _Build(opened, out, building, settings, additions).run(threads, progress)


def _check(settings: BuildSettings, threads: int) -> None:
    smallest = dict.fromkeys(("max_pixels", "rows_per_shard", "shorter_side", "all_keywords"), 1)
    values = settings.arguments() | {"num_threads": threads}
    for name, least in (smallest | {"min_emotion_keywords": 0, "num_threads": 1}).items():
        if values[name] is not None and values[name] < least:
            raise BuildError(f"{name}={values[name]} has to be at least {least}")
    try:
        check_shares(settings.validation, settings.test)
    except ValueError as error:
        raise BuildError(str(error)) from error


class _Build:
    """One build: a plan, its shards, the finishing."""

    def __init__(
        self,
        source: Source,
        out: Path,
        building: Path,
        settings: BuildSettings,
        additions: Additions,
    ) -> None:
        self.source, self.out, self.building, self.settings = source, out, building, settings
        self.additions = additions
        self.dataset = building / "dataset"
        self.notes = building / "notes"
        self.versions = {name: version(name) for name in _LIBRARIES}
        self.versions["emotionnet_hf"] = __version__

    def run(self, threads: int, progress: bool) -> BuildReport:
        start = time.monotonic()
        plan = self._plan(progress)
        self.features = self.source.features(
            self.settings.emotions,
            people=plan.people,
            faces=plan.faces,
            basic8=self.additions.basic8 is not None,
            all_keywords=self.source.all_keywords or self.additions.all_keywords,
        )
        totals, rejected, resumed, found = self._write_shards(plan, threads, progress)
        parts = {part: total for part, total in totals.items() if total.rows}
        quarantine = sorted([*plan.quarantine(), *rejected], key=lambda item: item.row)
        reasons = Counter(reason_kind(item.reason) for item in quarantine)
        if not parts:
            shutil.rmtree(self.building, ignore_errors=True)
            raise BuildError(f"no image of {self.source.folder} is usable: {told(reasons)}")
        rows: Counter[str] = Counter()
        for part, total in parts.items():
            rows[split_of(part)] += total.rows
        report = BuildReport(
            out=self.out,
            rows=dict(rows),
            quarantined=dict(sorted(reasons.items())),
            mean_keywords=sum(t.keywords for t in parts.values()) / rows.total(),
            mean_emotion_keywords=sum(t.emotion_keywords for t in parts.values()) / rows.total(),
            resumed_shards=resumed,
            rows_per_second=(rows.total() + len(quarantine) - found) / (time.monotonic() - start),
        )
        self._describe(report, parts, quarantine)
        self._move_into_place()
        return report

    def _plan(self, progress: bool) -> Plan:
        """Plan anew, and clear away an interrupted build that followed another plan."""
        fingerprint = self.building / "plan.json"
        draft = self.building / "plan"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            plan = make_plan(
                self.source,
                self.settings,
                draft,
                additions=self.additions,
                versions=self.versions,
                progress=progress,
            )
        except ValueError:
            if not fingerprint.is_file():  # nothing there that another call could continue
                shutil.rmtree(self.building, ignore_errors=True)
            raise
        # Compared as text: what a kill or a stranger left there need not be JSON.
        wanted = f'{{"fingerprint": "{plan.fingerprint}"}}\n'
        if not fingerprint.is_file() or fingerprint.read_text("utf-8", "replace") != wanted:
            fingerprint.unlink(missing_ok=True)
            shutil.rmtree(self.dataset, ignore_errors=True)
            shutil.rmtree(self.notes, ignore_errors=True)
            write_text(fingerprint, wanted)
        (self.dataset / "data").mkdir(parents=True, exist_ok=True)
        self.notes.mkdir(exist_ok=True)
        for folder in (self.building, self.dataset, self.notes):
            remove_unfinished(folder)
        return plan

    def _write_shards(
        self, plan: Plan, threads: int, progress: bool
    ) -> tuple[dict[str, ShardResult], list[Rejected], int, int]:
        """Write every shard that is not finished.

        Returns:
            Totals, rejected rows, and how many shards, and rows, were found finished.
        """
        writer = ShardWriter(
            plan=plan,
            source=self.source.folder,
            features=self.features,
            data=self.dataset / "data",
            notes=self.notes,
            max_pixels=self.settings.max_pixels,
            shorter_side=self.settings.shorter_side,
        )
        totals: dict[str, ShardResult] = {part: ShardResult() for part in plan.rows}
        rejected: list[Rejected] = []
        resumed = found = 0
        bar = tqdm(total=sum(plan.rows.values()), unit="image", disable=not progress)
        with bar, ThreadPoolExecutor(threads) as pool:
            for shard in plan.shards():
                result = writer.finished(shard)
                if result:
                    resumed += 1
                    found += shard.rows
                    bar.update(shard.rows)
                result = result or writer.write(shard, pool, threads, bar.update)
                totals[shard.part].add(result)
                rejected.extend(result.rejected)
        if resumed:
            logger.info("%d shards were finished by an earlier run", resumed)
        return totals, rejected, resumed, found

    def _describe(
        self, report: BuildReport, parts: dict[str, ShardResult], quarantine: list[Rejected]
    ) -> None:
        """Write what stands beside the data; nothing in it depends on when or where."""
        for path in (self.dataset / "data").iterdir():
            if path.name.partition("-of-")[0].rpartition("-")[0] not in parts:
                path.unlink()  # a part of which no picture was usable
        card = dataset_card(
            self.out.name,
            self.features,
            parts,
            len(quarantine),
            self.source,
            self._write_text(),
        )
        write_text(self.dataset / "README.md", card)
        columns = {
            "row": pa.array([item.row for item in quarantine], pa.int64()),
            "file_name": pa.array([item.file_name for item in quarantine], pa.string()),
            "reason": pa.array([item.reason for item in quarantine], pa.string()),
        }
        self._write_table(pa.table(columns), self.dataset / "quarantine.parquet")
        write_json(
            self.dataset / "build.json",
            {
                # Only the folder's name: the data set may be published, the disk is private.
                "source": self.source.folder.resolve().name,
                "arguments": self.settings.arguments(),
                "emotion_vocabulary_size": len(self.settings.emotions),
                "rows": report.rows,
                "quarantined": report.quarantined,
                "mean_keywords": report.mean_keywords,
                "mean_emotion_keywords": report.mean_emotion_keywords,
                "versions": self.versions,
            },
        )

    def _write_text(self) -> dict[str, ShardResult]:
        """Write the configuration without pictures, if there is one: small, so whole each time."""
        written = {}
        schema = se30k8_features(self.settings.emotions, pictures=False).arrow_schema
        for split, rows in self.source.text_rows(self.settings.emotions).items():
            table = pa.Table.from_pylist(rows, schema=schema)
            path = self.dataset / "text" / f"{split}.parquet"
            path.parent.mkdir(exist_ok=True)
            self._write_table(table, path)
            written[split] = ShardResult(len(rows), 0, 0, table.nbytes, path.stat().st_size)
        return written

    def _write_table(self, table: pa.Table, path: Path) -> None:
        with whole_file(path, self.notes) as file:
            pq.write_table(table, file)

    def _move_into_place(self) -> None:
        move_into_place(self.dataset, self.out)
        shutil.rmtree(self.building, ignore_errors=True)
