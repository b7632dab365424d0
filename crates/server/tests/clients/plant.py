"""The catalog that the tests have written themselves, /plant/mast: what is in it, and what has to come out.

An hour of seconds. Values are multiples of 1/8, so sums of them are exact and means can be compared for equality.
"""

import math
from datetime import datetime, timedelta, timezone
from pathlib import Path

CATALOG = "/plant/mast"
BEGIN = datetime(2020, 1, 1, tzinfo=timezone.utc)
END = BEGIN + timedelta(hours=1)
SECONDS = 3600
# Nothing was measured in these.
GAP = range(615, 645)


def t1(second: int) -> float:
    """Degrees Celsius, floating-point."""
    return math.nan if second in GAP else 20 + second % 600 / 8


def counter(second: int) -> float:
    """Integers, as floats like all that is read."""
    return math.nan if second in GAP else float(second)


def mean(values: list[float]) -> float:
    """With the gate: at least 99 % of them must be valid."""
    valid = [value for value in values if not math.isnan(value)]
    return sum(valid) / len(valid) if len(valid) >= 0.99 * len(values) else math.nan


def means(value, seconds: int) -> list[float]:
    """Of each so many seconds of the hour."""
    return [mean([value(second) for second in range(begin, begin + seconds)]) for begin in range(0, SECONDS, seconds)]


def same(found, expected) -> bool:
    """Equal in every bit that matters: NaN where NaN is expected."""
    found, expected = list(found), list(expected)
    pairs = zip(found, expected)
    return len(found) == len(expected) and all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in pairs)


def write_csv(path: Path) -> None:
    lines = ["time,T1 (°C),counter"]
    for second in range(SECONDS):
        if second not in GAP:
            time = (BEGIN + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ")
            lines.append(f"{time},{t1(second)},{second}")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
