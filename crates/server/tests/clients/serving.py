"""The program as a server: on a free port, with a data folder of its own."""

import os
import re
import subprocess
import threading
from pathlib import Path

START_SECONDS = 60
END_SECONDS = 30


def environment() -> dict[str, str]:
    """Without settings of whoever runs the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith("SHEAF_")}


def sheaf(*args: str | Path, folder: Path) -> str:
    """Runs a command of the program on a data folder and returns what it prints."""
    command = [os.environ["SHEAF_PROGRAM"], *map(str, args), "--data-dir", str(folder)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command} ended with {done.returncode}: {done.stderr}"
    return done.stdout


class Server:
    """Use it as a context manager: it ends with the block."""

    def __init__(self, folder: Path, *flags: str):
        self.folder = folder
        self.flags = flags
        self.log: list[str] = []
        self.url = ""
        self._listens = threading.Event()
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Server":
        command = [os.environ["SHEAF_PROGRAM"], "serve", "--listen", "127.0.0.1:0", "--data-dir", str(self.folder)]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self._process = subprocess.Popen([*command, *self.flags], env=environment(), text=True, **pipes)
        threading.Thread(target=self._follow, args=[self._process.stdout], daemon=True).start()
        if not self._listens.wait(START_SECONDS) or not self.url:
            self._process.kill()
            raise AssertionError("the server did not say where it listens:\n" + "".join(self.log))
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise AssertionError("the server did not end:\n" + "".join(self.log)) from None

    def token(self, *rights: str) -> str:
        """A new token, made beside the running server."""
        return sheaf("token", "create", "--name", "test", *rights, folder=self.folder).splitlines()[-1].strip()

    def _follow(self, lines) -> None:
        """Collects what is printed, and finds the address in it."""
        for line in lines:
            self.log.append(line)
            found = re.search(r"https?://127\.0\.0\.1:\d+", line)
            if found and not self.url:
                self.url = found.group()
                self._listens.set()
        # The process has ended: nobody needs to wait any longer.
        self._listens.set()
