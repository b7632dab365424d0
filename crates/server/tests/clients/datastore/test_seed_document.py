"""What the document on running aggregations asks, and what it says comes back."""

from math import isclose

import pytest
import requests


@pytest.fixture(scope="module")
def metered(datastore):
    """Two projects with traces of electricity and of gas, all of them metered: the setup that the document refers to."""
    pks = []
    for name in ("SETUP_1", "SETUP_2"):
        project = datastore.post(
            "/api/v1/projects/",
            {
                "project_id": name,
                "zipcode": "91104",
                "baseline_period_end": "2012-01-01T00:00:00Z",
                "reporting_period_start": "2012-02-01T00:00:00Z",
            },
        )
        pks.append(project["id"])
    mappings, records = [], []
    for index in range(4):
        interpretation, unit = [("E_C_S", "KWH"), ("NG_C_S", "THERM")][index % 2]
        trace = {"trace_id": f"SETUP_TRACE_{index}", "interpretation": interpretation, "unit": unit}
        [trace] = datastore.post("/api/v1/traces/bulk_upsert_verbose/", [trace])
        mappings.append({"project_id": pks[index // 2], "trace_id": trace["id"]})
        months = [f"{year}-{month:02}-01T00:00:00Z" for year in range(2010, 2015) for month in range(1, 13)]
        values = [30.0 + index + (month % 5) for month in range(len(months) - 1)] + [None]
        rows = zip(months, values, strict=True)
        records += [{"trace_id": trace["id"], "start": at, "value": value, "estimated": False} for at, value in rows]
    datastore.post("/api/v1/project_trace_mappings/bulk_upsert_verbose/", mappings)
    datastore.post("/api/v1/trace_records/bulk_upsert/", records, status=200)
    targets = [{"project": pk} for pk in pks]
    lists = datastore.post("/api/v1/meter_runs/bulk/", {"targets": targets})
    assert [len(runs) for runs in lists] == [2, 2]
    for run in sum(lists, []):
        assert datastore.ended("meter_runs", run)["status"] == "SUCCESS"
    return pks


def test_a_single_aggregation(datastore, metered):
    data = {
        "projects": metered,
        "derivatives": [],
        "traces": [],
        "trace_interpretation": "E_C_S",
        "derivative_interpretation": "annualized_weather_normal",
        "aggregation_interpretation": "SUM",
    }
    run = datastore.post("/api/v1/aggregation_runs/", data)
    keys = [
        *("id", "status", "projects", "traces", "derivatives", "aggregation_input"),
        *("trace_interpretation", "derivative_interpretation", "aggregation_interpretation"),
    ]
    assert list(run)[: len(keys)] == keys
    assert {key: run[key] for key in data} == data
    assert run["status"] == "PENDING"
    assert run["aggregation_input"].startswith("http")
    given = datastore.fetch(run["aggregation_input"])
    assert given["type"] == "BASIC_AGGREGATION"
    pairs = given["derivatives"]["derivative_pairs"]
    assert len(pairs) == 2
    run = datastore.ended("aggregation_runs", run)
    assert run["status"] == "SUCCESS", run["failure_message"]
    result = datastore.get(f"/api/v1/aggregation_results/{run['aggregation_result']}/")
    assert isclose(result["baseline_value"], sum(pair["baseline_value"] for pair in pairs), rel_tol=1e-12)


def test_bulk_aggregations(datastore, metered):
    data = {"targets": [{"projects": metered, "derivatives": [], "traces": []}]}
    [runs] = datastore.post("/api/v1/aggregation_runs/bulk/", data)
    keys = [
        *("id", "status", "derivatives", "projects", "traces", "aggregation_input"),
        *("trace_interpretation", "derivative_interpretation", "aggregation_interpretation"),
    ]
    assert all(list(run)[: len(keys)] == keys for run in runs)
    names = {"ELECTRICITY_CONSUMPTION_SUPPLIED": "E_C_S", "NATURAL_GAS_CONSUMPTION_SUPPLIED": "NG_C_S"}
    kinds = [(names[run["trace_interpretation"]], run["derivative_interpretation"]) for run in runs]
    assert kinds == [
        ("E_C_S", "annualized_weather_normal"),
        ("E_C_S", "gross_predicted"),
        ("NG_C_S", "annualized_weather_normal"),
        ("NG_C_S", "gross_predicted"),
    ]
    assert {run["status"] for run in runs} == {"PENDING"}
    assert {run["aggregation_interpretation"] for run in runs} == {"SUM"}
    ids = [run["id"] for run in runs]
    assert ids == list(range(ids[0], ids[0] + 4))
    # As the comments of the document have it.
    data["targets"][0]["trace_interpretations"] = ["NG_C_S"]
    data["targets"][0]["derivative_interpretations"] = ["gross_predicted", "annualized_weather_normal"]
    [runs] = datastore.post("/api/v1/aggregation_runs/bulk/", data)
    kinds = [(run["trace_interpretation"], run["derivative_interpretation"]) for run in runs]
    assert kinds == [("NG_C_S", "gross_predicted"), ("NG_C_S", "annualized_weather_normal")]
    for run in runs:
        assert datastore.ended("aggregation_runs", run)["status"] == "SUCCESS"


def test_inconsistencies_are_errors(datastore, metered):
    errors = datastore.post("/api/v1/aggregation_runs/", {"projects": metered}, status=400)
    assert list(errors) == ["derivative_interpretation"]
    assert "gross_predicted" in errors["derivative_interpretation"][0]
    data = {"projects": metered, "derivative_interpretation": "gross_predicted"}
    errors = datastore.post("/api/v1/aggregation_runs/", data, status=400)
    assert "NATURAL_GAS_CONSUMPTION_SUPPLIED" in errors["trace_interpretation"][0]


def test_only_who_shows_the_token_may_ask(datastore):
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        response = requests.get(f"{datastore.url}/api/v1/projects/", headers=headers, timeout=30)
        assert response.status_code == 401 and list(response.json()) == ["detail"], response.text
