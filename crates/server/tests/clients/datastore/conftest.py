"""A server with the seed of developers, and the token that everybody knows."""

import time

import pytest
import requests
from serving import Server, sheaf

# As the tutorial has it.
TOKEN = "tokstr"


class Datastore:
    """`requests` with the address and the token, as notebooks use it."""

    def __init__(self, url: str):
        self.url = url
        self.headers = {"Authorization": f"Bearer {TOKEN}"}

    def get(self, path: str, **parameters):
        response = requests.get(self.url + path, params=parameters, headers=self.headers, timeout=60)
        assert response.status_code == 200, f"{path}: {response.status_code} {response.text}"
        return response.json()

    def post(self, path: str, data, status: int = 201):
        response = requests.post(self.url + path, json=data, headers=self.headers, timeout=60)
        assert response.status_code == status, f"{path}: {response.status_code} {response.text}"
        return response.json()

    def fetch(self, url: str):
        """What an answer names by its URL, with the same token."""
        response = requests.get(url, headers=self.headers, timeout=60)
        assert response.status_code == 200, f"{url}: {response.status_code} {response.text}"
        return response.json()

    def ended(self, kind: str, run: dict) -> dict:
        """The run, once it has ended."""
        until = time.monotonic() + 120
        while time.monotonic() < until:
            run = self.get(f"/api/v1/{kind}/{run['id']}/")
            if run["status"] not in ("PENDING", "RUNNING"):
                return run
            time.sleep(0.1)
        raise AssertionError(f"{kind} {run} does not end")


@pytest.fixture(scope="session")
def datastore(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("seeded")
    sheaf("dev-seed", folder=folder)
    with Server(folder) as server:
        yield Datastore(server.url)
        print("--- what the server printed:", "".join(server.log), sep="\n")
