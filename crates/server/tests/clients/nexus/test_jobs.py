"""Exports with their files, and the other jobs."""

import json
import re
import time
import uuid
from datetime import timedelta

import plant
import pytest
from face import models
from nexus_api import NexusException
from plant import BEGIN, END

T1 = f"{plant.CATALOG}/T1"


def finished(nexus, job, seconds: float = 30):
    """The status of a job when it has come to its end."""
    last = models().TaskStatus
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        status = nexus.v1.jobs.get_job_status(job.id)
        if status.status in (last.RAN_TO_COMPLETION, last.FAULTED, last.CANCELED):
            return status
        time.sleep(0.05)
    raise AssertionError(f"the job has not ended: {status}")


def test_csv_is_what_upstream_writes(nexus, tmp_path):
    end = BEGIN + timedelta(minutes=30)
    paths = [f"{T1}/10_min_mean", f"{plant.CATALOG}/counter/10_min_max"]
    configuration = {"row-index-format": "iso-8601", "significant-figures": "6"}
    steps = nexus.export(BEGIN, end, paths, tmp_path, configuration=configuration)
    assert steps[-1] == 1
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["plant_mast_10_min.resource.json", "plant_mast_2020-01-01T00-00-00Z_10_min.csv"]
    first = sum(plant.t1(second) for second in range(600)) / 600
    assert (tmp_path / names[1]).read_bytes().decode() == (
        "\ufeff# date_time: 2020-01-01T00-00-00Z\r\n"
        "# sample_period: 10_min\r\n"
        "# catalog_id: /plant/mast\r\n"
        "ISO 8601 time,T1_10_min_mean (°C),counter_10_min_max\r\n"
        f"2020-01-01T00:00:00.0000000Z,{first:.6g},599\r\n"
        "2020-01-01T00:10:00.0000000Z,NaN,NaN\r\n"
        f"2020-01-01T00:20:00.0000000Z,{first:.6g},1799\r\n"
    )
    sidecar = json.loads((tmp_path / names[0]).read_text(encoding="utf-8"))
    assert sidecar["path"] == [names[1]]
    assert [field["name"] for field in sidecar["schema"]["fields"]] == [
        "ISO 8601 time",
        "T1_10_min_mean (°C)",
        "counter_10_min_max",
    ]


def test_every_file_period_has_its_file(nexus, tmp_path):
    nexus.export(BEGIN, END, [f"{T1}/1_s"], tmp_path, file_period=timedelta(minutes=30))
    names = sorted(path.name for path in tmp_path.glob("*.csv"))
    assert names == ["plant_mast_2020-01-01T00-00-00Z_1_s.csv", "plant_mast_2020-01-01T00-30-00Z_1_s.csv"]
    rows = [(tmp_path / name).read_text(encoding="utf-8-sig").splitlines()[3:] for name in names]
    assert rows[0][0] == rows[1][0] == "Index,T1_1_s (°C)"
    assert [len(part) for part in rows] == [1801, 1801]
    # The index counts from the beginning of each file; four significant figures are the default.
    assert (rows[0][1], rows[1][1]) == ("0,20", "0,20")
    assert (rows[0][-1], rows[1][-1]) == ("1799,94.88", "1799,94.88")


def test_files_bring_the_license(nexus, tmp_path):
    nexus.v1.catalogs.upload_attachment(plant.CATALOG, "License.md", b"Only for tests")
    try:
        nexus.export(BEGIN, END, [f"{T1}/10_min_mean"], tmp_path)
    finally:
        nexus.v1.catalogs.delete_attachment(plant.CATALOG, "License.md")
    assert (tmp_path / "plant_mast_LICENSE.md").read_bytes() == b"Only for tests"


def test_no_format_means_no_files(nexus, tmp_path):
    """As upstream's pre-aggregation does: data are read and not returned."""
    nexus.export(BEGIN, END, [f"{T1}/10_min_mean"], tmp_path, file_format=None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["parquet", "arrow", "json"])
def test_other_formats(nexus, tmp_path, name):
    labels = {description.type: description for description in nexus.v1.writers.get_descriptions()}
    [kind] = [found for found in labels if name in found.lower()]
    nexus.export(BEGIN, END, [f"{T1}/10_min_mean"], tmp_path, file_format=kind)
    assert [path for path in tmp_path.iterdir() if path.stat().st_size > 0]


@pytest.mark.parametrize(
    "paths, file_format, configuration",
    [
        (["/plant/mast/nothing/1_s"], "Nexus.Writers.Csv", {}),
        ([f"{T1}/1_s", f"{T1}/10_min_mean"], "Nexus.Writers.Csv", {}),
        ([f"{T1}/1_s"], "Nexus.Writers.Stone", {}),
    ],
)
def test_exports_that_cannot_be_done_say_why(nexus, tmp_path, paths, file_format, configuration):
    with pytest.raises(Exception) as error:
        nexus.export(BEGIN, END, paths, tmp_path, file_format=file_format, configuration=configuration)
    assert re.search("nothing|period|Stone", str(getattr(error.value, "message", error.value)))
    assert list(tmp_path.iterdir()) == []


def test_jobs_are_listed_with_their_parameters(nexus, tmp_path):
    kind = models()
    parameters = kind.ExportParameters(BEGIN, END, timedelta(0), "Nexus.Writers.Csv", [f"{T1}/10_min_mean"], {})
    job = nexus.v1.jobs.export(parameters)
    assert (type(job.id), job.type) == (uuid.UUID, "export")
    status = finished(nexus, job)
    assert (status.status.name, status.progress, status.exception_message) == ("RAN_TO_COMPLETION", 1, None)
    assert re.fullmatch(r"[0-9a-f-]{36}\.zip", status.result)
    archive = nexus.content(nexus.v1.artifacts.download(status.result))
    assert archive[:2] == b"PK"
    [listed] = [found for found in nexus.v1.jobs.get_jobs() if found.id == job.id]
    assert listed.owner == job.owner
    assert listed.parameters["resourcePaths"] == [f"{T1}/10_min_mean"]


def test_a_job_can_be_cancelled(nexus):
    kind = models()
    end = BEGIN + timedelta(days=3650)
    paths = ["/SAMPLE/LOCAL/unix_time1/40_ms"]
    job = nexus.v1.jobs.export(kind.ExportParameters(BEGIN, end, timedelta(0), "Nexus.Writers.Csv", paths, {}))
    nexus.content(nexus.v1.jobs.cancel_job(job.id))
    assert finished(nexus, job).status.name == "CANCELED"


def test_jobs_that_look_after_the_server(nexus):
    for job in (nexus.v1.jobs.refresh_database(), nexus.v1.jobs.clear_cache(plant.CATALOG, BEGIN, END)):
        status = finished(nexus, job)
        assert (status.status.name, status.exception_message) == ("RAN_TO_COMPLETION", None)


def test_a_job_that_is_not_there(nexus):
    with pytest.raises(NexusException) as error:
        nexus.v1.jobs.get_job_status(uuid.uuid4())
    assert error.value.status_code == "N00.404"
