"""The peer of benches/store: the same samples, written and read with PyArrow and DuckDB.

Started with the folder of the data. The protocol is in src/peer.rs; beside cases that are timed there are questions that
are answered with JSON. What is written is synced, file and folder, before the clock stops.
"""

import json
import os
import sys
import time
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

folder = Path(sys.argv[1])
mine = folder / "peer"
mine.mkdir(exist_ok=True)

FIRST_MS = 18_262 * 86_400 * 1000  # 2020-01-01
STEP_MS = 10
HOUR = 360_000  # slots at 100 Hz
LEVELS = {"default level": None, "level 3": 3}

table = None  # of the benchmark's samples, with their times


def times(slots):
    return pa.array(FIRST_MS + STEP_MS * slots, pa.timestamp("ms"))


def load():
    global table
    values = np.fromfile(folder / "values.f64", dtype="<f8")
    table = pa.table({"time": times(np.arange(len(values))), "value": values})


def sync(path):
    for name in (path, path.parent):
        file = os.open(name, os.O_RDONLY)
        os.fsync(file)
        os.close(file)


def write_parquet(path, what, level=None):
    pq.write_table(what, path, compression="zstd", compression_level=level)
    sync(path)


def write_duckdb_parquet(path, what):
    with duckdb.connect() as connection:
        connection.register("samples", what)
        connection.execute(f"COPY samples TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
    sync(path)


def write_duckdb_table(path, what):
    with duckdb.connect(path) as connection:
        connection.register("samples", what)
        connection.execute("CREATE TABLE channel AS SELECT * FROM samples")
        connection.execute("CHECKPOINT")
    sync(path)


# What a case writes, and with what.
writes = {
    "pyarrow": (mine / "pyarrow.parquet", write_parquet, lambda: table),
    "pyarrow_values": (mine / "pyarrow_values.parquet", write_parquet, lambda: table.select(["value"])),
    "duckdb": (mine / "duckdb.parquet", write_duckdb_parquet, lambda: table),
    "duckdb_table": (mine / "duckdb.db", write_duckdb_table, lambda: table),
}


def write(case):
    path, how, what = writes[case]
    path.unlink(missing_ok=True)
    what = what()
    begin = time.perf_counter()
    how(path, what)
    return time.perf_counter() - begin


def size(case):
    return writes[case][0].stat().st_size


def verify_column():
    column = pq.read_table(writes["pyarrow"][0], columns=["value"])["value"].to_numpy()
    return bool(np.array_equal(column.view("<u8"), table["value"].to_numpy().view("<u8")))


def read_column(threads):
    begin = time.perf_counter()
    pq.read_table(writes["pyarrow"][0], columns=["value"], use_threads=threads)
    return time.perf_counter() - begin


def sizes(name, dtype, slots):
    """Bytes of a shape's samples in everything that could hold them."""
    values = np.fromfile(folder / f"{name}.values", dtype=dtype)
    if slots == "dense":
        slots = np.arange(len(values))
    else:
        slots = np.fromfile(folder / f"{name}.slots", dtype="<i8")
    # A missing sample is a null, for those who have such.
    present = pa.array(values, from_pandas=True)
    versions = {
        "with times": pa.table({"time": times(slots), "value": present}),
        "with slots": pa.table({"slot": slots, "value": present}),
        "values only": pa.table({"value": present}),
    }
    if len(values) < slots[-1] + 1 <= 64_000_000:
        everything = np.full(slots[-1] + 1, np.nan)
        everything[slots] = values
        everything = pa.array(everything, from_pandas=True)
        all_slots = np.arange(slots[-1] + 1)
        versions["all slots, with times"] = pa.table({"time": times(all_slots), "value": everything})
        versions["all slots, with slots"] = pa.table({"slot": all_slots, "value": everything})
    path = mine / "shape.parquet"
    found = {}
    for version, what in versions.items():
        for label, level in LEVELS.items():
            pq.write_table(what, path, compression="zstd", compression_level=level)
            found[f"PyArrow, {label}, {version}"] = path.stat().st_size
        with duckdb.connect() as connection:
            connection.register("samples", what)
            connection.execute(f"COPY samples TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
        found[f"DuckDB, {version}"] = path.stat().st_size
    path.unlink()
    return found


day = None  # its values
day_path = mine / "day.parquet"


def make_day():
    global day
    day = np.fromfile(folder / "day.f64", dtype="<f8")
    write_parquet(day_path, pa.table({"time": times(np.arange(len(day))), "value": day}))


def hour(who, first):
    """Seconds to read an hour of the day that it is known to be in, in a process that has begun before."""
    begin_ms = FIRST_MS + STEP_MS * first
    begin, end = (np.datetime64(ms, "ms").astype(object) for ms in (begin_ms, begin_ms + STEP_MS * HOUR))
    started = time.perf_counter()
    if who == "pyarrow":
        filters = [("time", ">=", begin), ("time", "<", end)]
        found = pq.read_table(day_path, columns=["value"], filters=filters)["value"].to_numpy()
    else:
        with duckdb.connect() as connection:
            query = "SELECT value FROM read_parquet(?) WHERE time >= ? AND time < ? ORDER BY time"
            found = connection.execute(query, [str(day_path), begin, end]).fetchnumpy()["value"]
    seconds = time.perf_counter() - started
    expected = day[first : first + HOUR]
    assert np.array_equal(np.asarray(found).view("<u8"), expected.view("<u8")), f"{who} read another hour"
    return seconds


def forget(where):
    """Takes all files below a folder out of the page cache."""
    for path in (folder / where).rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)
    return True


questions = {
    "load": load,
    "write": write,
    "size": size,
    "verify_column": verify_column,
    "read_column": lambda how: read_column(how == "threads"),
    "sizes": sizes,
    "make_day": make_day,
    "hour": lambda who, first: hour(who, int(first)),
    "forget": forget,
}

print(f"ready PyArrow {pa.__version__}, DuckDB {duckdb.__version__}", flush=True)
for line in sys.stdin:
    words = line.split()
    answer = questions[words[0]](*words[1:])
    print(json.dumps(answer), flush=True)
