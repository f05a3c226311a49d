import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features, List, Value

EMOTIONS = ["awe", "calm", "fear", "joy", "never"]
CLASSES = ["anger", "fear", "joy"]

FEATURES = Features(
    {
        "keywords": List(Value("string")),
        "emotion_keywords": List(ClassLabel(names=EMOTIONS)),
        "people": Value("int32"),
        "faces": Value("int32"),
        "annotations": List(List(ClassLabel(names=CLASSES))),
        "label": ClassLabel(names=CLASSES),
    }
)


@pytest.fixture(scope="session")
def write_built():
    """Write splits of rows as a built folder; only the columns that the first row has."""

    def write(folder, splits: dict[str, list[dict]], rows_per_shard=7):
        (folder / "data").mkdir(parents=True)
        columns = next(rows for rows in splits.values() if rows)[0]
        features = Features({name: FEATURES[name] for name in columns})
        for split, rows in splits.items():
            total = max(1, -(-len(rows) // rows_per_shard))
            for i in range(total):
                part = rows[i * rows_per_shard : (i + 1) * rows_per_shard]
                table = pa.Table.from_pylist(part, schema=features.arrow_schema)
                path = folder / "data" / f"{split}-{i:05d}-of-{total:05d}.parquet"
                pq.write_table(table, path, row_group_size=3)
        return folder

    return write
