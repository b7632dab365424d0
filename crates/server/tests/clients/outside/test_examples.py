"""The examples of docs/API.md do what they say: every `sh` block runs, and prints the `text` block that follows it."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from serving import Server, sheaf

PAGE = Path(__file__).parents[5] / "docs" / "API.md"
BLOCK = re.compile(r"^```sh\n(?P<commands>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```\n)?", re.MULTILINE | re.DOTALL)


def examples() -> list[tuple[str, str | None]]:
    return [(found["commands"], found["output"]) for found in BLOCK.finditer(PAGE.read_text(encoding="utf-8"))]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory):
    """Runs commands beside a server with the demo: the page begins there. Later blocks see files of earlier ones."""
    data, folder = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("folder")
    sheaf("demo", "--no-serve", folder=data)
    with Server(data) as server:
        variables = os.environ | {"SHEAF": server.url, "TOKEN": server.token("--admin"), "LC_ALL": "C.UTF-8"}
        command = ["bash", "-euo", "pipefail", "-c"]
        yield lambda text: subprocess.run(
            [*command, text], cwd=folder, env=variables, capture_output=True, text=True, timeout=120
        )


def test_there_are_examples():
    assert len(examples()) > 5


@pytest.mark.parametrize("commands, output", examples())
def test_an_example(shell, commands, output):
    done = shell(commands)
    assert done.returncode == 0, done.stdout + done.stderr
    if output is not None:
        assert done.stdout == output
