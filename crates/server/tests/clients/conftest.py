"""One server for all tests of a run, with the catalog of `plant.py` in it."""

import plant
import pytest
from serving import Server, sheaf


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("data")
    table = tmp_path_factory.mktemp("tables") / "mast.csv"
    plant.write_csv(table)
    sheaf("ingest", table, "--catalog", plant.CATALOG, folder=folder)
    with Server(folder) as server:
        yield server
        print("--- what the server printed:", "".join(server.log), sep="\n")


@pytest.fixture(scope="session")
def admin(server: Server) -> str:
    """The token of an administrator."""
    return server.token("--admin")
