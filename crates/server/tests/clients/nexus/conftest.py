"""Clients of the generation that is installed, signed in."""

import os
import tempfile

# The first generation keeps tokens in the home folder, and looks for that when it is imported.
os.environ["HOME"] = tempfile.mkdtemp()

import pytest  # noqa: E402
from face import FLAVOURS, Nexus  # noqa: E402


@pytest.fixture(scope="session", params=FLAVOURS)
def nexus(request: pytest.FixtureRequest, server, admin):
    """Of an administrator."""
    client = Nexus(server.url, request.param)
    client.sign_in(admin)
    yield client
    client.close()


@pytest.fixture(params=FLAVOURS)
def fresh(request: pytest.FixtureRequest, server):
    """Signed in by nobody yet."""
    client = Nexus(server.url, request.param)
    yield client
    client.close()
