"""EMOTIC in miniature, written the way that each of its layouts is written."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

ALPHABETICAL = (
    *("Affection", "Anger", "Annoyance", "Anticipation", "Aversion", "Confidence", "Disapproval"),
    *("Disconnection", "Disquietment", "Doubt/Confusion", "Embarrassment", "Engagement", "Esteem"),
    *("Excitement", "Fatigue", "Fear", "Happiness", "Pain", "Peace", "Pleasure", "Sadness"),
    *("Sensitivity", "Suffering", "Surprise", "Sympathy", "Yearning"),
)
FILE_SPLITS = ("train", "val", "test")
BOX = (5, 6, 45, 46)


def person(*annotators, box=BOX):
    """A person; each annotator is a list of categories."""
    return {"box": box, "annotators": annotators}


def pictures():
    """By split: (folder, file name, people). Train has an annotator a person, others have two."""
    return {
        "train": [
            ("mscoco/images", "a.jpg", [person(["Peace", "Affection"]), person(["Fear"])]),
            ("framesdb/images", "a.jpg", [person(["Doubt/Confusion"])]),
        ],
        "val": [("ade20k/images", "c.jpg", [person(["Pain"], ["Pain", "Anger", "Peace"])])],
        "test": [
            ("mscoco/images", "d.jpg", [person(["Esteem"], ["Esteem"])]),
            ("emodb_small/images", "e.jpg", [person(["Pain"], ["Fear"]), person(["Yearning"])]),
        ],
    }


def draw(path, seed, size=(60, 50)):
    noise = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).save(path, quality=95)
    return path


def draw_all(root, data):
    """The files of the pictures."""
    paths = [(folder, name) for rows in data.values() for folder, name, _ in rows]
    for seed, (folder, name) in enumerate(paths):
        draw(root / folder / name, seed)


def struct(rows):
    """A struct array of MATLAB, 1 x N."""
    made = np.empty((1, len(rows)), [(name, object) for name in rows[0]])
    for place, row in enumerate(rows):
        made[0, place] = tuple(row.values())
    return made


def cell(items):
    """A cell array of MATLAB, 1 x N."""
    made = np.empty((1, len(items)), object)
    for place, item in enumerate(items):
        made[0, place] = item
    return made


def mat_person(split, given):
    vad = struct([{"valence": 5.0, "arousal": 4.0, "dominance": 6.0}])
    chosen = struct([{"categories": cell(names)} for names in given["annotators"]])
    rest = {"gender": "Male", "age": "Adult"}
    made = {"body_bbox": np.array([given["box"]], float), "annotations_categories": chosen}
    if split != "train":
        union = sorted({name for names in given["annotators"] for name in names})
        made["combined_categories"] = cell(given.get("combined", union))
    made["annotations_continuous"] = vad
    if split != "train":
        made["combined_continuous"] = vad
    return made | rest


def save_mat(path, data, size=(60, 50)):
    """`Annotations.mat` with the nesting of the real one."""
    tables = {
        split: struct(
            [
                {
                    "filename": name,
                    "folder": folder,
                    "image_size": struct([{"n_col": size[0], "n_row": size[1]}]),
                    "original_database": struct([{"name": folder.split("/")[0]}]),
                    "person": struct([mat_person(split, given) for given in people]),
                }
                for folder, name, people in rows
            ]
        )
        for split, rows in data.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, tables, do_compression=True)


def each_person(data, split):
    return [(folder, name, p) for folder, name, people in data[split] for p in people]


def union(given):
    return list(dict.fromkeys(name for names in given["annotators"] for name in names))


def save_csv(folder, data, size=(60, 50)):
    """The three CSVs, as `mat2py.py` writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in data:
        with (folder / f"{split}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(
                "Index,Folder,Filename,Image Size,BBox,Categorical_Labels,Continuous_Labels,"
                "Gender,Age".split(",")
            )
            for place, (where, name, given) in enumerate(each_person(data, split)):
                row = [place, where, name, list(size), list(given["box"]), union(given)]
                writer.writerow([*row, [5.0, 4.0, 6.0], "Male", "Adult"])


def save_arrays(folder, data):
    """Arrays beside the CSVs; returns what is in them."""
    chance = np.random.default_rng(7)
    made = {}
    for split in data:
        people = each_person(data, split)
        hot = np.array([[name in union(p) for name in ALPHABETICAL] for _, _, p in people], float)
        made[split] = {
            "context": chance.integers(0, 256, (len(people), 24, 24, 3), dtype=np.uint8),
            "body": chance.integers(0, 256, (len(people), 12, 12, 3), dtype=np.uint8),
            "cat": hot,
            "cont": np.full((len(people), 3), 5.0),
        }
        for kind, array in made[split].items():
            np.save(folder / f"{split}_{kind}_arr.npy", array)
    return made


def save_kaggle(folder, data):
    """The re-pack of Kaggle; returns its arrays by name of the file."""
    arrays = {}
    chance = np.random.default_rng(8)
    order = ALPHABETICAL[13:] + ALPHABETICAL[:13]
    for split in data:
        path = folder / "annots_arrs" / f"annot_arrs_{split}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(
                [
                    *",Filename,Width,Height,X_min,Y_min,X_max,Y_max".split(","),
                    *order,
                    *"Valence,Arousal,Dominance,Gender,Crop_name,Arr_name".split(","),
                ]
            )
            for place, (_, name, given) in enumerate(each_person(data, split)):
                names = [f"{kind}_arr_{split}_{place}.npy" for kind in ("crop", "img")]
                for array in names:
                    arrays[array] = chance.integers(0, 256, (16, 16, 3), dtype=np.uint8)
                hot = [float(category in union(given)) for category in order]
                row = [place, f"{split}_{name}", 600, 500, *given["box"], *hot]
                writer.writerow([*row, 5.0, 4.0, 6.0, "Male", *names])
    (folder / "img_arrs").mkdir()
    for name, array in arrays.items():
        np.save(folder / "img_arrs" / name, array)
    return arrays


@pytest.fixture(scope="session")
def emotic_parts():
    """Functions that write EMOTIC."""
    return SimpleNamespace(
        alphabetical=ALPHABETICAL,
        box=BOX,
        pictures=pictures,
        person=person,
        draw=draw,
        draw_all=draw_all,
        struct=struct,
        cell=cell,
        mat_person=mat_person,
        save_mat=save_mat,
        save_csv=save_csv,
        save_arrays=save_arrays,
        save_kaggle=save_kaggle,
    )
