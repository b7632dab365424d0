"""The frictionless package validates what an export holds: the table against its sidecar."""

from pathlib import Path

import frictionless
import pytest
from exporting import export


# Without `excel`: its times are rounded to nine decimals, and a primary key needs none that are equal.
@pytest.mark.parametrize("row_index", ["index", "unix", "iso-8601"])
@pytest.mark.parametrize("file_period, files", [("00:00:00", 1), ("00:20:00", 3)])
def test_an_export_is_valid(server, admin, tmp_path: Path, row_index: str, file_period: str, files: int):
    archive = export(server.url, admin, filePeriod=file_period, configuration={"row-index-format": row_index})
    archive.extractall(tmp_path)
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
