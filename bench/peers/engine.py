"""The peers of benches/engine: DuckDB, Polars or NumPy answers the same questions, each in every way that might be its fastest.

Started with the folder of the data and the name of the peer. The protocol is in src/peer.rs; `variants SET` imports a set of
samples, unless that was done before, and says which ways there are. With a request as third argument it does this alone and
ends, for those who want to know what a whole process takes.
"""

import json
import os
import sys
import time
from pathlib import Path

folder = Path(sys.argv[1])


class Set:
    """Samples of several series: the files that the benchmark left, and those that a peer made of them."""

    def __init__(self, name):
        self.name = name
        self.folder = folder / name
        about = json.loads((self.folder / "complete.json").read_text())
        self.series, self.len, self.per_bucket = about["series"], about["len"], about["per_bucket"]
        self.first_us, self.step_us = about["first_us"], about["step_us"]
        self.bucket_us = self.step_us * self.per_bucket
        self.dtype = {"FLOAT64": "<f8", "INT16": "<i2"}[about["data_type"]]
        # Side by side where there are few enough, and below each other.
        self.is_wide = 1 < self.series <= 1000
        self.columns = [f"c{at}" for at in range(self.series)]

    def raw(self):
        """One row for each series, mapped."""
        import numpy as np

        return np.memmap(self.folder / "values.raw", dtype=self.dtype, mode="r").reshape(self.series, self.len)

    def make(self, who, make):
        """Has something made, once."""
        note = self.folder / f"{who}-complete.txt"
        if not note.exists():
            make()
            note.write_text("")

    def tables(self):
        """Arrow tables with everything, below each other and, for few series, side by side. A missing sample is a null."""
        import numpy as np
        import pyarrow as pa

        raw = self.raw()
        times = pa.array(self.first_us + self.step_us * np.arange(self.len), pa.timestamp("us"))
        columns = [pa.array(values, from_pandas=True) for values in raw]
        # Parts below each other, so that nothing is copied.
        long = {"time": pa.chunked_array([times] * self.series), "value": pa.chunked_array(columns)}
        if self.series > 1:
            series = [pa.array(np.full(self.len, at, dtype="<i4")) for at in range(self.series)]
            long = {"series": pa.chunked_array(series), **long}
        tables = {"long": pa.table(long)}
        if self.is_wide:
            tables["wide"] = pa.table({"time": times, **dict(zip(self.columns, columns))})
        return tables


class DuckDB:
    """Its own tables, and Parquet as it writes it, by time or by row number."""

    FUNCTIONS = {"mean": "avg", "std": "stddev_samp", "min": "min", "max": "max", "sum": "sum"}
    FILES = {
        "zstd": "COMPRESSION zstd",
        "BYTE_STREAM_SPLIT": "COMPRESSION zstd, PARQUET_VERSION 'V2'",
        "plain": "COMPRESSION uncompressed",
        "snappy": "COMPRESSION snappy",
    }

    def __init__(self):
        import duckdb

        self.title = f"DuckDB {duckdb.__version__}"
        self.connect = duckdb.connect
        self.open = {}

    def make(self, of):
        with self.connect(of.folder / "duckdb.db") as connection:
            for shape, table in of.tables().items():
                connection.register("arrow", table)
                connection.execute(f"CREATE OR REPLACE TABLE {shape} AS SELECT * FROM arrow")
                for name, options in self.FILES.items():
                    # A dictionary instead of splitting would be a plain zstd file again.
                    limit = ", DICTIONARY_SIZE_LIMIT 1" if name == "BYTE_STREAM_SPLIT" else ""
                    path = of.folder / f"duckdb-{shape}-{name}.parquet"
                    connection.execute(f"COPY arrow TO '{path}' (FORMAT parquet, {options}{limit})")
                connection.unregister("arrow")
            connection.execute("CHECKPOINT")

    def variants(self, of):
        of.make("duckdb", lambda: self.make(of))
        ways = []
        for shape in ["long", "wide"] if of.is_wide else ["long"]:
            table = f"{shape}" if of.is_wide else "samples"
            ways += [(f"own {table}, {by}", shape, shape, by) for by in self.buckets(of, None)]
            for name in self.FILES:
                path = of.folder / f"duckdb-{shape}-{name}.parquet"
                source = f"read_parquet('{path}')"
                title = f"{table} in Parquet {name}"
                ways += [(f"{title}, {by}", shape, source, by) for by in self.buckets(of, path)]
        return ways

    def buckets(self, of, path):
        """Ways to say which bucket a row is in."""
        row = "file_row_number" if path else "rowid"
        micros = of.bucket_us
        return {
            "time_bucket": f"time_bucket(INTERVAL {micros} MICROSECONDS, time)",
            "ticks": f"epoch_us(time) // {micros}",
            "row number": f"{row} // {of.per_bucket}",
        }

    def run(self, of, kinds, way):
        title, shape, source, by = way
        if of.name not in self.open:
            self.open[of.name] = self.connect(of.folder / "duckdb.db", read_only=True)
        bucket = self.buckets(of, "read_parquet" in source or None)[by]
        columns = of.columns if shape == "wide" else ["value"]
        values = [f"{self.FUNCTIONS[kind]}({column}) AS {column}_{kind}" for column in columns for kind in kinds]
        # Rows of a series follow each other, and a bucket ends with it: the row number says it all.
        groups = ["series"] if shape == "long" and of.series > 1 and by != "row number" else []
        groups.append("bucket")
        keys = [f"{bucket} AS bucket" if group == "bucket" else group for group in groups]
        listed = ", ".join(groups)
        query = f"SELECT {', '.join(keys + values)} FROM {source} GROUP BY {listed} ORDER BY {listed}"
        found = self.open[of.name].execute(query).fetchnumpy()
        return [found[f"{column}_{kind}"] for column in columns for kind in kinds]

    def other(self, request):
        return {
            "ingest": self.ingest,
            "verify_ingest": self.verify_ingest,
            "ingest_bytes": lambda: self.parquet().stat().st_size,
        }[request]()

    def parquet(self):
        return folder / "ingest" / "duckdb.parquet"

    def ingest(self):
        path = self.parquet()
        path.unlink(missing_ok=True)
        begin = time.perf_counter()
        with self.connect() as connection:
            csv = folder / "ingest" / "wide.csv"
            query = f"SELECT * FROM read_csv('{csv}')"
            connection.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet, COMPRESSION zstd)")
        for name in (path, path.parent):
            file = os.open(name, os.O_RDONLY)
            os.fsync(file)
            os.close(file)
        return time.perf_counter() - begin

    def verify_ingest(self):
        import numpy as np
        import pyarrow.parquet as pq

        table = pq.read_table(self.parquet())
        expected = np.fromfile(folder / "ingest" / "values.raw", dtype="<f8").reshape(4, -1)
        found = [np.array_equal(table[f"channel_{at}"].to_numpy(), expected[at]) for at in range(4)]
        return all(found)


class Polars:
    """Parquet as it writes it, by time or by row number."""

    FILES = {"zstd": "zstd", "plain": "uncompressed", "lz4": "lz4"}

    def __init__(self):
        import polars

        self.pl = polars
        self.title = f"Polars {polars.__version__}"

    def make(self, of):
        for shape, table in of.tables().items():
            frame = self.pl.from_arrow(table)
            for name, compression in self.FILES.items():
                frame.write_parquet(of.folder / f"polars-{shape}-{name}.parquet", compression=compression)

    def variants(self, of):
        of.make("polars", lambda: self.make(of))
        ways = []
        for shape in ["wide", "long"] if of.is_wide else ["long"]:
            for name in self.FILES:
                path = of.folder / f"polars-{shape}-{name}.parquet"
                for by in ["group_by_dynamic", "ticks", "row number"]:
                    for engine in ["in-memory", "streaming"]:
                        table = shape if of.is_wide else "samples"
                        ways.append((f"{table} in Parquet {name}, {by}, {engine}", shape, path, by, engine))
        return ways

    def run(self, of, kinds, way):
        title, shape, path, by, engine = way
        pl = self.pl
        columns = of.columns if shape == "wide" else ["value"]
        values = [getattr(pl.col(column), kind)().alias(f"{column}_{kind}") for column in columns for kind in kinds]
        has_series = shape == "long" and of.series > 1
        if by == "row number":
            # Rows of a series follow each other, and a bucket ends with it: the row number says it all.
            frame = pl.scan_parquet(path, row_index_name="row")
            frame = frame.group_by((pl.col("row") // of.per_bucket).alias("bucket")).agg(values).sort("bucket")
        elif by == "ticks":
            frame = pl.scan_parquet(path)
            bucket = (pl.col("time").to_physical() // of.bucket_us).alias("bucket")
            keys = ["series"] if has_series else []
            frame = frame.group_by(*keys, bucket).agg(values).sort(*keys, "bucket")
        else:
            frame = pl.scan_parquet(path).set_sorted("time") if not has_series else pl.scan_parquet(path)
            groups = {"group_by": "series"} if has_series else {}
            frame = frame.group_by_dynamic("time", every=f"{of.bucket_us}us", **groups).agg(values)
            frame = frame.sort(["series", "time"] if has_series else ["time"])
        found = frame.collect(engine=engine)
        return [found[f"{column}_{kind}"].to_numpy() for column in columns for kind in kinds]


class NumPy:
    """A file of the plain values, mapped into memory: nothing to decode, nothing to verify, on one core."""

    def __init__(self):
        import numpy

        self.np = numpy
        self.title = f"NumPy {numpy.__version__}"

    def variants(self, of):
        return ["mapped, NaN left out"]

    def run(self, of, kinds, way):
        np = self.np
        values = of.raw().reshape(of.series, -1, of.per_bucket)
        if of.dtype == "<f8":
            functions = {
                "mean": lambda block: np.nanmean(block, axis=-1),
                "std": lambda block: np.nanstd(block, axis=-1, ddof=1),
                "min": lambda block: np.nanmin(block, axis=-1),
                "max": lambda block: np.nanmax(block, axis=-1),
                "sum": lambda block: np.nansum(block, axis=-1),
            }
        else:
            functions = {"mean": lambda block: np.mean(block, axis=-1)}
        return [functions[kind](block) for block in values for kind in kinds]

    def bound(self, of):
        """Seconds for adding everything up, whatever it is: what the memory delivers to one core."""
        raw = of.raw()
        begin = time.perf_counter()
        self.np.sum(raw)
        return time.perf_counter() - begin


peer = {"duckdb": DuckDB, "polars": Polars, "numpy": NumPy}[sys.argv[2]]()
sets = {}
ways = {}
answer = []


def variants(name):
    if name not in ways:
        sets[name] = Set(name)
        ways[name] = peer.variants(sets[name])
    return [way if isinstance(way, str) else way[0] for way in ways[name]]


def run(name, kinds, variant):
    global answer
    variants(name)
    begin = time.perf_counter()
    answer = peer.run(sets[name], kinds.split("+"), ways[name][int(variant)])
    return time.perf_counter() - begin


def save():
    import numpy as np

    # What misses everywhere is an array with a mask.
    np.ma.filled(np.ma.concatenate(answer).astype("<f8"), np.nan).tofile(folder / "peer.answer.f64")


def reply(line):
    words = line.split()
    if words[0] == "variants":
        return json.dumps(variants(words[1]))
    if words[0] == "run":
        return str(run(*words[1:]))
    if words[0] == "bound":
        return str(peer.bound(sets[words[1]]))
    if words[0] == "save":
        save()
        return "saved"
    return json.dumps(peer.other(words[0]))


if len(sys.argv) > 3:
    print(reply(sys.argv[3]))
else:
    print("ready", peer.title, flush=True)
    for line in sys.stdin:
        print(reply(line), flush=True)
