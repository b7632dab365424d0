"""schemathesis makes up requests from the OpenAPI document: the server never fails, and only answers what is documented."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_every_answer_is_documented(server, admin):
    command = [
        *(sys.executable, "-m", "schemathesis.cli"),
        *("--config-file", str(HERE / "schemathesis.toml")),
        *("run", f"{server.url}/openapi/v1.json"),
        *("--header", f"Authorization: Bearer {admin}"),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600)
    print(done.stdout)
    assert done.returncode == 0, "see the report above"


def test_the_server_is_still_well(server, admin):
    """Whatever it has been asked."""
    import requests

    answer = requests.get(f"{server.url}/health/ready", timeout=30)
    assert answer.status_code == 200, answer.text
    me = requests.get(f"{server.url}/api/v1/users/me", headers={"Authorization": f"Bearer {admin}"}, timeout=30)
    assert me.status_code == 200, me.text
    assert "panicked" not in "".join(server.log)
