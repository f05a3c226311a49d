"""Reading tables that strangers made: one way for every command.

CSV (commas, semicolons), TSV, JSON lines, JSON and Parquet, also packed (.gz, .bz2, .xz, .zst). A
row comes with its number and line, its values are as they are written, and a row that cannot be
read says why and costs nothing but itself. What a value means is told by `cells`; what a list of
keywords is by `emotionnet_hf.loading.normal_form.parse_keywords`, and which file a name means by
`emotionnet_hf.loading.release.inside`.
"""

from emotionnet_hf.data.tables.cells import (
    CellError,
    cell_value,
    cell_values,
    count_cell,
    id_cell,
    is_missing,
    printable,
    text_cell,
)
from emotionnet_hf.data.tables.table import (
    TABLE_ENDINGS,
    Row,
    Table,
    TableError,
    TableNotFoundError,
    check_parquet_name,
    find_table,
    open_table,
    tables_named,
)
from emotionnet_hf.data.tables.text import bare_suffix, read_lines, read_records

__all__ = [
    "TABLE_ENDINGS",
    "CellError",
    "Row",
    "Table",
    "TableError",
    "TableNotFoundError",
    "bare_suffix",
    "cell_value",
    "cell_values",
    "check_parquet_name",
    "count_cell",
    "find_table",
    "id_cell",
    "is_missing",
    "open_table",
    "printable",
    "read_lines",
    "read_records",
    "tables_named",
    "text_cell",
]
