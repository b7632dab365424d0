"""One face for the clients of three generations, so that the same tests can be asked of all of them.

What differs between them is only here: 1.0.6 is asynchronous and flat, 2.0.0 has a synchronous client beside it and a level
for the version, and from b56 on data come as an Arrow stream with a precision.
"""

import asyncio
import inspect
from datetime import datetime, timedelta
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import nexus_api

GENERATION = version("nexus-api")
IS_FIRST = GENERATION.startswith("1.")
HAS_ARROW = hasattr(nexus_api, "V2") or not IS_FIRST and int(GENERATION.rpartition("b")[2]) >= 56
FLAVOURS = ["async"] if IS_FIRST else ["sync", "async"]


def models() -> ModuleType:
    """The module with the classes of requests and answers."""
    # By name: 2.0.0b55 has a class V1, too.
    return import_module("nexus_api._nexus_api" if IS_FIRST else "nexus_api.V1")


class Waiting:
    """An object whose coroutines run to their end when they are called."""

    def __init__(self, inner: Any, loop: asyncio.AbstractEventLoop):
        self._inner = inner
        self._loop = loop

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if callable(value):
            return lambda *args, **more: self._result(value(*args, **more))
        return Waiting(value, self._loop) if type(value).__module__.startswith("nexus_api") else value

    def _result(self, value: Any) -> Any:
        return self._loop.run_until_complete(value) if inspect.isawaitable(value) else value


class Nexus:
    """A client of this environment's generation."""

    def __init__(self, url: str, flavour: str):
        self._loop = asyncio.new_event_loop()
        kind = nexus_api.NexusAsyncClient if flavour == "async" else nexus_api.NexusClient
        inner = kind.create(url)
        self.client = Waiting(inner, self._loop) if flavour == "async" else inner
        # The sub clients of version 1: `.catalogs`, `.jobs`, …
        self.v1 = self.client if IS_FIRST else self.client.v1

    def close(self) -> None:
        leave = self.client.__getattr__("__aexit__") if isinstance(self.client, Waiting) else self.client.__exit__
        leave(None, None, None)
        self._loop.close()

    def sign_in(self, token: str) -> None:
        self.client.sign_in(token)

    def load(self, begin: datetime, end: datetime, paths: list[str], *, single: bool = False) -> dict[str, Any]:
        """Path to what the client makes of it; `.values` are floats, of single precision where it can be asked for."""
        if not HAS_ARROW:
            return self.client.load(begin, end, paths, None)
        from nexus_api import V2

        precision = V2.Precision.FLOAT32 if single else V2.Precision.FLOAT64
        return self.client.load(begin, end, paths, precision)

    def export(
        self,
        begin: datetime,
        end: datetime,
        paths: list[str],
        folder: Path,
        *,
        file_period: timedelta = timedelta(0),
        file_format: str | None = "Nexus.Writers.Csv",
        configuration: dict[str, object] | None = None,
    ) -> list[float]:
        """Exports into the folder; returns the progress of each step that was reported."""
        steps: list[float] = []
        args = [begin, end, file_period, file_format, paths, configuration or {}, str(folder)]
        if HAS_ARROW:
            from nexus_api import V2

            args.append(V2.Precision.FLOAT64)
        self.client.export(*args, lambda progress, _: steps.append(progress))
        return steps

    def content(self, response: Any) -> bytes:
        """The body of an answer that the client hands on as it is."""
        if isinstance(self.client, Waiting):
            return self._loop.run_until_complete(response.aread())
        return response.read()
