"""A pandas DataFrame as JSON, and back: index, column labels, dtypes and every cell are the same.

Integers, floats, booleans, dates, durations, strings, categories and the nullable dtypes are known, and objects
that are strings, numbers, booleans or None. The result is compared with the original before it is sealed.
"""

from __future__ import annotations

from math import isfinite
from typing import Any, Final

import numpy as np
import pandas as pd

from registry_pipeline.canonical import json_line, parse_strict_json
from registry_pipeline.errors import RefusedError

_ADVICE: Final = "convert the column (`astype`), call reset_index(), or return bytes in a format of your choice"
_NOT_A_TIME: Final = np.iinfo("int64").min
"""How numpy stores NaT."""
_NAMES: Final = {"inf": float("inf"), "-inf": float("-inf"), "nan": float("nan")}


def encode(frame: Any) -> bytes:
    """Return a DataFrame as JSON; raise RefusedError if what `decode` makes of it differs."""
    if frame.attrs:
        raise RefusedError("the DataFrame has attrs, which are not sealed", "set `frame.attrs = {}`")
    document = {
        "index": _encode_index(frame.index),
        "columns": _encode_index(frame.columns),
        "data": [_encode_array(frame.iloc[:, number]) for number in range(frame.shape[1])],
    }
    try:
        data = json_line(document)
        # The dtypes of pandas are open to extensions and change between releases, so the result is compared.
        pd.testing.assert_frame_equal(
            decode(data), frame, check_exact=True, check_index_type=True, check_column_type=True
        )
    except (AssertionError, NotImplementedError, OverflowError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise RefusedError(f"the DataFrame would not be loaded as it is: {reason}", _ADVICE) from None
    return data


def decode(data: bytes) -> Any:
    """Return the DataFrame that `encode` returned as JSON; raise ValueError if it is another document."""
    document = parse_strict_json(data)
    try:
        index, columns = _decode_index(document["index"]), _decode_index(document["columns"])
        # Columns are numbered first: labels may be duplicated.
        arrays = {number: _decode_array(column) for number, column in enumerate(document["data"])}
        frame = pd.DataFrame(arrays, index=None if arrays else index)
        frame.index, frame.columns = index, columns
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a sealed DataFrame: {error!r}") from None
    return frame


def to_records(frame: Any) -> list[dict[str, Any]]:
    """Return each row as an object by column label: times as ISO 8601, missing cells as None; without the index.

    Raises:
        RefusedError: two columns have the same label as strings, as 1 and "1".
    """
    labels = [str(label) for label in frame.columns]
    if len(set(labels)) < len(labels):
        raise RefusedError("two columns have the same label, so the rows have no JSON form", "rename a column")
    columns = [(label, [_to_json_cell(cell) for cell in frame.iloc[:, number]]) for number, label in enumerate(labels)]
    return [{label: cells[row] for label, cells in columns} for row in range(len(frame))]


def _to_json_cell(cell: Any) -> Any:
    if pd.isna(cell):
        return None
    plain = cell.isoformat() if hasattr(cell, "isoformat") else cell.item() if isinstance(cell, np.generic) else cell
    return str(plain) if isinstance(plain, float) and not isfinite(plain) else plain


def _encode_index(index: Any) -> dict[str, Any]:
    if index.nlevels != 1 or not isinstance(index.name, str | None):
        raise RefusedError("the DataFrame has an index of several levels, or whose name is not a string", _ADVICE)
    if type(index) is pd.RangeIndex:
        return {"name": index.name, "range": [index.start, index.stop, index.step]}
    freq = getattr(index, "freqstr", None) if isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex) else None
    return {"name": index.name, "freq": freq, **_encode_array(index)}


def _decode_index(document: Any) -> Any:
    if "range" in document:
        start, stop, step = document["range"]
        return pd.RangeIndex(start, stop, step, name=document["name"])
    values = _decode_array(document)
    index: Any = pd.Index(values, dtype=values.dtype, name=document["name"])
    if document["freq"] is not None:
        index.freq = document["freq"]
    return index


def _encode_array(values: Any) -> dict[str, Any]:
    """Return the dtype and the cells of a Series or Index."""
    dtype = values.dtype
    name = str(dtype)
    if isinstance(dtype, pd.CategoricalDtype):
        array = pd.Categorical(values)
        categories = _encode_index(dtype.categories)
        return {"dtype": "category", "ordered": dtype.ordered, "categories": categories, "cells": array.codes.tolist()}
    if isinstance(dtype, pd.StringDtype):
        cells = [None if pd.isna(cell) else str(cell) for cell in values]
        return {"dtype": name, "storage": dtype.storage, "cells": cells}
    if isinstance(dtype, np.dtype | pd.DatetimeTZDtype) and dtype.kind in "mM":
        # Numbers since 1970 (UTC), or of the duration, in the unit that the dtype names.
        numbers = values.to_numpy(dtype=f"{dtype.kind}8[{np.datetime_data(_naive(dtype))[0]}]").view("int64")
        return {"dtype": name, "cells": [None if n == _NOT_A_TIME else n for n in numbers.tolist()]}
    if isinstance(dtype, np.dtype) and dtype.kind in "biu":
        return {"dtype": name, "cells": values.tolist()}
    if isinstance(dtype, np.dtype) and name in ("float16", "float32", "float64"):
        return {"dtype": name, "cells": [x if isfinite(x) else str(x) for x in values.tolist()]}
    if name in ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64", "boolean"):
        return {"dtype": name, "cells": [None if pd.isna(cell) else cell for cell in values.tolist()]}
    if name in ("Float32", "Float64"):
        cells = [None if cell is pd.NA else cell if isfinite(cell) else str(cell) for cell in values.tolist()]
        return {"dtype": name, "cells": cells}
    if name == "object":
        return {"dtype": name, "cells": [_encode_object(cell) for cell in values]}
    raise RefusedError(f"the dtype {name} of the DataFrame cannot be sealed", _ADVICE)


def _naive(dtype: Any) -> Any:
    """Return the dtype of the numbers behind dates: without the time zone."""
    return np.dtype(f"M8[{dtype.unit}]") if isinstance(dtype, pd.DatetimeTZDtype) else dtype


def _encode_object(cell: Any) -> Any:
    if type(cell) is float:
        return cell if isfinite(cell) else {"float": str(cell)}
    if type(cell) in (str, int, bool, type(None)):
        return cell
    raise RefusedError(f"a cell of the dtype object is a {type(cell).__name__}, which cannot be sealed", _ADVICE)


def _decode_array(document: Any) -> Any:
    """Return the array of a column or index, with its dtype."""
    name, cells = document["dtype"], document["cells"]
    if name == "category":
        categories = _decode_index(document["categories"])
        return pd.Categorical.from_codes(cells, categories, ordered=document["ordered"])
    if "storage" in document:
        # `str` is the dtype of strings since pandas 3; it and `string` differ in how they mark a missing cell.
        kind = (
            pd.StringDtype(document["storage"], na_value=np.nan)
            if name == "str"
            else pd.StringDtype(document["storage"])
        )
        return pd.array(cells, dtype=kind)
    if name.startswith(("datetime64", "timedelta64")):
        return _decode_times(name, [_NOT_A_TIME if cell is None else cell for cell in cells])
    if name.startswith("float"):
        return np.array([float(cell) for cell in cells], dtype=name)
    if name.startswith("Float"):
        return pd.array([None if cell is None else float(cell) for cell in cells], dtype=name)
    if name == "object":
        array = np.empty(len(cells), dtype=object)
        array[:] = [_NAMES[cell["float"]] if isinstance(cell, dict) else cell for cell in cells]
        # A bare array of strings would become the dtype `str`.
        return pd.Series(array, dtype=object)
    return pd.array(cells, dtype=name) if name[0].isupper() or name == "boolean" else np.array(cells, dtype=name)


def _decode_times(name: str, numbers: list[int]) -> Any:
    unit = name.partition("[")[2].partition(",")[0].removesuffix("]")
    array = np.array(numbers, dtype="int64").view(f"{'M' if name.startswith('d') else 'm'}8[{unit}]")
    if "," not in name:
        return array
    zone = name.partition(", ")[2].removesuffix("]")
    return pd.DatetimeIndex(array).tz_localize("UTC").tz_convert(zone)
