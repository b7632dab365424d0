"""The frictionless package validates what an export holds: the table against its sidecar."""

import io
import time
import zipfile
from pathlib import Path

import frictionless
import httpx
import plant
import pytest

BODY = {
    "begin": "2020-01-01T00:00:00Z",
    "end": "2020-01-01T01:00:00Z",
    "type": "Nexus.Writers.Csv",
    "resourcePaths": [f"{plant.CATALOG}/T1/10_s_mean", f"{plant.CATALOG}/counter/10_s_max"],
}


def export(url: str, token: str, **more: object) -> bytes:
    """Runs an export to its end and returns the archive."""
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30) as http:
        job = http.post("/api/v1/jobs/export", json=BODY | more)
        assert job.status_code == 202, job.text
        for _ in range(600):
            status = http.get(f"/api/v1/jobs/{job.json()['id']}/status").json()
            if status["status"] in ("RanToCompletion", "Faulted", "Canceled"):
                break
            time.sleep(0.05)
        assert status["status"] == "RanToCompletion", status
        return http.get(f"/api/v1/artifacts/{status['result']}").content


# Without `excel`: its times are rounded to nine decimals, and a primary key needs none that are equal.
@pytest.mark.parametrize("row_index", ["index", "unix", "iso-8601"])
@pytest.mark.parametrize("file_period, files", [("00:00:00", 1), ("00:20:00", 3)])
def test_an_export_is_valid(server, admin, tmp_path: Path, row_index: str, file_period: str, files: int):
    archive = export(server.url, admin, filePeriod=file_period, configuration={"row-index-format": row_index})
    zipfile.ZipFile(io.BytesIO(archive)).extractall(tmp_path)
    [sidecar] = tmp_path.glob("*.resource.json")
    assert len(list(tmp_path.glob("*.csv"))) == files
    for table in sorted(tmp_path.glob("*.csv")):
        resource = frictionless.Resource(str(sidecar))
        if files > 1:
            # One at a time: joined, as frictionless would read them, they would repeat their headers.
            resource["path"] = table.name
            resource["scheme"] = "file"
        report = frictionless.validate(resource)
        assert report.valid, report.flatten(["rowPosition", "fieldPosition", "code", "message"])[:5]
        assert report.task.resource.stats["rows"] == 360 // files
