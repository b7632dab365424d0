"""The HDF5 library, as h5py brings it along, reads what an export holds."""

import io
import json
import math

import h5py
import plant
import pytest
from exporting import export
from serving import sheaf

OTHER = "/plant/other"


@pytest.fixture(scope="module")
def other(server, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A second catalog, with the same samples."""
    table = tmp_path_factory.mktemp("tables") / "other.csv"
    plant.write_csv(table)
    sheaf("ingest", table, "--catalog", OTHER, folder=server.folder)


def parameters(*paths: str, **more: object) -> dict[str, object]:
    return {"type": "Nexus.Writers.Hdf5", "resourcePaths": list(paths)} | more


def maxima(seconds: range) -> list[float]:
    """Of the counter, in each ten of these seconds; with the gate, all of them must be there."""
    tens = [seconds[begin : begin + 10] for begin in range(0, len(seconds), 10)]
    return [math.nan if set(ten) & set(plant.GAP) else plant.counter(ten[-1]) for ten in tens]


def test_all_catalogs_are_in_one_file(server, admin, other):
    paths = [f"{plant.CATALOG}/T1/10_s_mean", f"{OTHER}/T1/10_s_mean", f"{plant.CATALOG}/counter/10_s_max"]
    archive = export(server.url, admin, **parameters(*paths, f"{plant.CATALOG}/T1/10_s_count"))
    assert archive.namelist() == ["2020-01-01T00-00-00Z_10_s.h5"]
    with h5py.File(io.BytesIO(archive.read(archive.namelist()[0]))) as file:
        assert dict(file.attrs) == {"date_time": "2020-01-01T00-00-00Z", "sample_period": "10_s"}
        assert sorted(file) == ["plant_mast", "plant_other"]
        mast = file["plant_mast"]
        assert {name: sorted(mast[name]) for name in mast} == {
            "T1": ["dataset_10_s_count", "dataset_10_s_mean"],
            "counter": ["dataset_10_s_max"],
        }
        assert json.loads(mast["T1"].attrs["properties"])["unit"] == "°C"
        for dataset in mast["T1/dataset_10_s_mean"], file["plant_other/T1/dataset_10_s_mean"]:
            assert (dataset.dtype, dataset.shape) == ("<f8", (360,))
            assert plant.same(dataset[:], plant.means(plant.t1, 10))
        assert plant.same(mast["counter/dataset_10_s_max"][:], maxima(range(plant.SECONDS)))


def test_every_file_period_has_its_file(server, admin):
    path = f"{plant.CATALOG}/counter/10_s_max"
    archive = export(server.url, admin, **parameters(path, begin="2020-01-01T00:10:00Z", filePeriod="00:20:00"))
    assert archive.namelist() == [f"2020-01-01T00-{minute}-00Z_10_s.h5" for minute in ("00", "20", "40")]
    # The first file is not full.
    for name, seconds in zip(archive.namelist(), [range(600, 1200), range(1200, 2400), range(2400, 3600)]):
        with h5py.File(io.BytesIO(archive.read(name))) as file:
            assert file.attrs["date_time"] == name.removesuffix("_10_s.h5")
            assert plant.same(file["plant_mast/counter/dataset_10_s_max"][:], maxima(seconds))
