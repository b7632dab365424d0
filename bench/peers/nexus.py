"""The public client of Nexus, asked for samples as a notebook asks.

    nexus.py URL BEGIN END PATH…

Speaks the language of `bench/src/peer.rs`: `load` loads all paths and replies with the seconds it took; `save load` checks
that all of them came, with as many values as there are seconds.
"""

import sys
import time
from datetime import datetime
from importlib.metadata import version

from nexus_api import V2, NexusClient


def main(url: str, begin: datetime, end: datetime, paths: list[str]) -> None:
    client = NexusClient.create(url)
    print(f"ready nexus-api {version('nexus-api')}", flush=True)
    loaded: dict = {}
    for line in sys.stdin:
        match line.split():
            case ["load"]:
                started = time.perf_counter()
                loaded = client.load(begin, end, paths, V2.Precision.FLOAT64)
                print(time.perf_counter() - started, flush=True)
            case ["save", "load"]:
                seconds = int((end - begin).total_seconds())
                assert list(loaded) == paths and all(len(loaded[path].values) == seconds for path in paths)
                print("saved", flush=True)
            case _:
                sys.exit(f"{line!r} is not known")


if __name__ == "__main__":
    _, url, begin, end, *paths = sys.argv
    main(url, datetime.fromisoformat(begin), datetime.fromisoformat(end), paths)
