"""The paper's tables, end to end, on real pictures with keywords: emoji in three drawing styles.

    python -m benchmarks.real_tables      # stop and start it as you like

Needs a folder of data that is not part of this project (``--data``); without it, says so.

**No number here can be compared with the paper's.** The benchmarks are stand-ins that a rule makes
of keywords: a picture belongs to a class when its keywords name that class, and no other, by one of
the words in ``WORDS``; of EMOTIC, to every category of whose keywords it has one
(`emotionnet_hf.emotions.EMOTIC`). What is real are pictures, keywords, word vectors and the
ImageNet weights of the trunk.
Emoji of one concept are together: half of the concepts are StockEmotion, the others are the
benchmarks, of which a third is tested on. SE30K8's five workers are that rule five times, and its
keyword lists lack the words that decided, so that its text model has something to find out.

Writes benchmarks/results/real_tables/.
"""

from __future__ import annotations

import csv
import hashlib
import json
import pickle
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.ablation import describe
from benchmarks.measuring import Parser
from emotionnet_hf.emotions import AFFECTNET, EMOTIC, MIKELS, SE30K8, UBE
from emotionnet_hf.files import whole_folder, write_text
from emotionnet_hf.loading.normal_form import normalize_keyword
from scripts import reproduce

DATA = Path(__file__).parents[2] / "shared" / "data"
NEEDED = ("emoji", "w2v_googlenews_8k", "imagenet_backbone", "release_vocabulary")
TRUNK = "mobilenetv2_100.safetensors"
WORDS = {
    "amusement": "amusement funny fun laugh laughing lol haha joke party",
    "anger": "anger angry mad rage furious hate",
    "awe": "awe wow amazed amazing wonder magic",
    "contentment": "content contentment relaxed relax calm peace pleased relieved satisfied",
    "disgust": "disgust disgusting gross sick vomit ill nausea dirty",
    "excitement": "excitement excited celebrate celebration party",
    "fear": "fear scared afraid scary horror danger spooky",
    "sadness": "sadness sad cry crying tears upset depressed unhappy loss grief",
    "joy": "joy happy happiness smile",
    "love": "love heart affection romance valentines",
    "surprise": "surprise surprised shocked shock",
    "neutral": "neutral indifference meh expressionless",
}
# The words of a class of another name.
SAME = {
    "happy": "joy",
    "happiness": "joy",
    "sad": "sadness",
    "surprise(negative)": "shocked shock scream stunned gasp omg",
    "surprise(positive)": "surprise surprised wow amazed",
}
ABOUT = """\
Emoji in three drawing styles with their keywords. The benchmarks are stand-ins that a rule makes of
keywords (benchmarks/real_tables.py has it), so no number can be compared with the paper's.
"""
# What each idea adds: the rows of Table 3 that lack the other one, and the whole.
IDEAS = {"soft labels": "- Embed loss", "embedding loss": "- Soft loss", "both": "EmotionNet"}
TESTED = {"train": 0.55, "val": 0.67, "test": 1.0}
Row = dict[str, Any]


def words_of(label: str) -> set[str]:
    """Return the words that name a class."""
    same = SAME.get(label, label)
    return set(WORDS.get(same, same).split())


def place(group: str, use: str) -> float:
    """Return a number in [0, 1) that depends on a concept alone."""
    digest = hashlib.blake2b(f"{use} {group}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def split_of(group: str) -> str:
    """Return the split of a benchmark that a concept is in."""
    return next(name for name, end in TESTED.items() if place(group, "split") < end)


def of_class(rows: Sequence[Row], classes: Sequence[str]) -> Iterator[tuple[Row, str, set[str]]]:
    """Find the pictures of exactly one class, and the words that say so."""
    named = {label: words_of(label) for label in classes}
    for row in rows:
        there = {w for keyword in row["keywords"] for w in normalize_keyword(keyword).split()}
        hits = [(label, there & names) for label, names in named.items() if there & names]
        if len(hits) == 1:
            yield row, *hits[0]


class Root:
    """The DATA_ROOT in the making.

    Args:
        data: The folder of real data.
        folder: Where to make it.
    """

    def __init__(self, data: Path, folder: Path) -> None:
        self.emoji, self.folder = data / "emoji", folder
        lines = (self.emoji / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        self.training = [row for row in rows if place(row["group"], "half") < 0.5]
        self.held = [row for row in rows if place(row["group"], "half") >= 0.5]

    def make(self, data: Path) -> None:
        """Write every data set."""
        write_text(self.folder / "README.txt", ABOUT)
        vocabulary = data / "release_vocabulary" / "etag2idx.pkl.keep"
        self.stockemotion(vocabulary)
        vectors = next((data / "w2v_googlenews_8k").glob("*.bin"))
        shutil.copyfile(vectors, self.folder / "word_vectors.bin")
        weights = next((data / "imagenet_backbone").glob("*.safetensors"))
        shutil.copyfile(weights, self.folder / TRUNK)
        self.deepemotion()
        self.unbiasedemotion()
        self.affectnet()
        self.emotic()
        self.se30k8(vocabulary)

    def copy(self, row: Row, target: Path) -> None:
        """Copy the picture of a row."""
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.emoji / row["file_name"], target)

    def stockemotion(self, vocabulary: Path) -> None:
        """Write half of the concepts as a folder of pictures with metadata."""
        out = self.folder / "StockEmotion"
        for row in self.training:
            self.copy(row, out / row["file_name"])
        columns = ("file_name", "keywords", "group")
        lines = [json.dumps({name: row[name] for name in columns}) for row in self.training]
        write_text(out / "metadata.jsonl", "\n".join(lines) + "\n")
        shutil.copyfile(vocabulary, out / "emotion_keywords.pkl")

    def deepemotion(self) -> None:
        """Write ``{train,val,test}/<class>/*.png``."""
        for row, label, _ in of_class(self.held, MIKELS):
            name = row["file_name"].replace("/", "-")
            self.copy(row, self.folder / "DeepEmotion" / split_of(row["group"]) / label / name)

    def unbiasedemotion(self) -> None:
        """Write ``images/<emotion>/<object>/*.png``; the drawing style is the object."""
        for row, label, _ in of_class(self.held, UBE):
            name = Path(row["file_name"]).name
            self.copy(row, self.folder / "UnBiasedEmotion/images" / label / row["style"] / name)

    def affectnet(self) -> None:
        """Write the lists of training and validation; the box is the whole picture."""
        fields = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks"
        lists: dict[str, list[str]] = {"training": [], "validation": []}
        for row, label, _ in of_class(self.held, AFFECTNET):
            name = f"{row['style']}/{Path(row['file_name']).name}"
            self.copy(row, self.folder / "AffectNet/Manually_Annotated_Images" / name)
            part = "validation" if split_of(row["group"]) == "test" else "training"
            lists[part].append(f"{name},0,0,128,128,,{AFFECTNET.index(label)},0,0")
        for part, lines in lists.items():
            text = "\n".join([f"{fields},expression,valence,arousal", *lines]) + "\n"
            write_text(self.folder / "AffectNet" / f"{part}.csv", text)

    def emotic(self) -> None:
        """Write CSV files with a person as large as the picture."""
        columns = (
            *("Index", "Folder", "Filename", "Image Size", "BBox", "Categorical_Labels"),
            *("Continuous_Labels", "Gender", "Age"),
        )
        lists: dict[str, list[list[Any]]] = {name: [] for name in TESTED}
        for row in self.held:
            there = {normalize_keyword(keyword) for keyword in row["keywords"]}
            labels = [name for name, words in EMOTIC.items() if there & set(words)]
            if labels:
                name = row["file_name"].replace("/", "-")
                self.copy(row, self.folder / "EMOTIC/emoji/images" / name)
                with Image.open(self.emoji / row["file_name"]) as picture:
                    width, height = picture.size
                rows = lists[split_of(row["group"])]
                size, box = [width, height], [0, 0, width, height]
                rows.append([len(rows), "emoji/images", name, size, box, labels, [5, 5, 5], "", ""])
        for part, rows in lists.items():
            with (self.folder / "EMOTIC" / f"{part}.csv").open("w", newline="") as file:
                csv.writer(file).writerows([columns, *rows])

    def se30k8(self, vocabulary: Path) -> None:
        """Write a release with five workers of one opinion."""
        release = {}
        # As in the paper a part of StockEmotion, and more besides.
        everything = [*self.training, *self.held]
        for cid, (row, label, words) in enumerate(of_class(everything, SE30K8), 1):
            self.copy(row, self.folder / "SE30K8/images" / f"{cid}.png")
            rest = [k for k in row["keywords"] if not words & set(normalize_keyword(k).split())]
            release[cid] = {
                "image_emotion": [[label]] * 5,
                "image_url": "",
                "work_ids": [""] * 5,
                "tags": rest,
                "emotion_tags": [],
                "keys": [],
                "re_path": f"{cid}.png",
            }
        with (self.folder / "SE30K8" / "annotations.pkl").open("wb") as file:
            pickle.dump(release, file)
        shutil.copyfile(vocabulary, self.folder / "SE30K8" / "etag2idx.pkl")


def scale(root: Path) -> str:
    """Return the YAML of what differs from the paper's recipes, for a DATA_ROOT of ours."""
    text = "{epochs: 15, batch_size: 64, learning_rate: 0.05, lr_drop_epochs: [5, 10]}"
    return f"""baseline: untrained
protocol: fast
build: {{validation: 0.05, test: 0.2}}
emotionnet:
  backbone: mobilenetv2_100
  backbone_weights: {root / TRUNK}
  image_size: 64
  crop_scale: [0.6, 1.0]
  batch_size: 32
  optimizer: adamw
  learning_rate: 1.0e-3
  weight_decay: 0.05
  lr_schedule: cosine
  warmup_epochs: 0.5
  # Depthwise convolutions in this layout are many times slower on CPUs.
  channels_last: false
  epochs: 4
  select_on: last
  num_workers: 0
textcnn: {text}
se30k8_textcnn: {text}
"""


def ideas_table(table3: dict[str, Any]) -> str:
    """Return Table 3 as what each idea adds, in the way of `benchmarks.ablation`.

    Args:
        table3: What ``table3.json`` holds.

    Returns:
        Markdown: gains over the training without the paper's losses, in percent, of the same
        seeds, each with its 95 % t interval, and how many of them are above and below 0.
    """
    found = {(cell["row"], cell["column"]): cell for cell in table3["cells"]}
    # EMOTIC-I is EMOTIC-B here: a person is as large as the picture.
    columns = list(dict.fromkeys(c for _, c in found if c != "EMOTIC-I"))
    lines = [f"| real emoji | {' | '.join(columns)} |", "| --- |" + " --- |" * len(columns)]
    base = {column: np.array(found["- Embed & Soft", column]["values"]) for column in columns}
    cells = [f"{100 * values.mean():.1f}" for values in base.values()]
    lines.append(f"| neither | {' | '.join(cells)} |")
    ends: list[tuple[float, float]] = []
    for idea, row in IDEAS.items():
        cells = []
        for column, values in base.items():
            gain = describe(np.array(found[row, column]["values"]), values)
            low, high = gain["gain_interval"]
            ends.append((low, high))
            cells.append(f"{100 * gain['gain']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})")
        lines.append(f"| {idea} | {' | '.join(cells)} |")
    above, below = sum(low > 0 for low, _ in ends), sum(high < 0 for _, high in ends)
    told = f"Of {len(ends)} gains, {above} have an interval above 0 and {below} one below."
    return "\n".join([*lines, "", f"*{told}*"])


def main() -> None:
    """Make the DATA_ROOT and reproduce."""
    parser = Parser("The paper's tables on real emoji.")
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the real data")
    parser.add_argument("--work", type=Path, default=Path("real_tables"), help="for the runs")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results/real_tables")
    parser.add_argument("words", nargs="*", help="more for scripts/reproduce.py, after --")
    arguments = parser.parse_args()
    if missing := [name for name in NEEDED if not (arguments.data / name).exists()]:
        print(f"Skipped: {arguments.data} has no {', no '.join(missing)}. See --data.")
        return
    parser.environment(arguments, work=arguments.work)  # refuses; the tables get it below
    root = arguments.work / "data"
    if not root.is_dir():
        with whole_folder(root) as unfinished:
            Root(arguments.data, unfinished).make(arguments.data)
    where = ["--data-root", root, "--work", arguments.work, "--out", arguments.out]
    settings = arguments.work / "emoji.yaml"
    write_text(settings, scale(root))
    where += ["--scale", settings, *["--allow-dirty"] * arguments.allow_dirty]
    # In this process, so that the tables name this command.
    reproduce.main(["all", *map(str, where), *arguments.words])


if __name__ == "__main__":
    main()
