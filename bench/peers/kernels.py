"""The peer of benches/kernels.rs: the same numbers from the same files, with NumPy.

Started with the folder of the data and the number of samples in a bucket. The protocol is in src/peer.rs.
"""

import sys
import time
from pathlib import Path

import numpy as np

folder = Path(sys.argv[1])
per_bucket = int(sys.argv[2])

# Into memory, not mapped: reading the file is not what is measured.
values = np.fromfile(folder / "values.f64", dtype="<f8").reshape(-1, per_bucket)
thousandths = np.fromfile(folder / "thousandths.i16", dtype="<i2").reshape(-1, per_bucket)

cases = {
    "mean_f64": lambda: np.nanmean(values, axis=1),
    "mean_i16": lambda: np.mean(thousandths, axis=1),
    "moments_f64": lambda: np.concatenate(
        [
            np.nanmean(values, axis=1),
            np.nanstd(values, axis=1, ddof=1),
            np.nanmin(values, axis=1),
            np.nanmax(values, axis=1),
        ]
    ),
}
answers = {}

print("ready numpy", np.__version__, flush=True)
for line in sys.stdin:
    words = line.split()
    if words[0] == "save":
        answers[words[1]].astype("<f8").tofile(folder / f"{words[1]}.answer.f64")
        print("saved", flush=True)
    else:
        begin = time.perf_counter()
        answers[words[0]] = cases[words[0]]()
        print(time.perf_counter() - begin, flush=True)
