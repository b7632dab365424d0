"""Exports by plain HTTP."""

import io
import time
import zipfile

import httpx
import plant

BODY = {
    "begin": "2020-01-01T00:00:00Z",
    "end": "2020-01-01T01:00:00Z",
    "type": "Nexus.Writers.Csv",
    "resourcePaths": [f"{plant.CATALOG}/T1/10_s_mean", f"{plant.CATALOG}/counter/10_s_max"],
}


def export(url: str, token: str, **more: object) -> zipfile.ZipFile:
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
        return zipfile.ZipFile(io.BytesIO(http.get(f"/api/v1/artifacts/{status['result']}").content))
