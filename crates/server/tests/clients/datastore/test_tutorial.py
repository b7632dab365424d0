"""The requests of the tutorial of November 2016 in its order: shapes, orders of keys, and figures that are checked otherwise."""

import json
from math import isclose, sqrt

METER_RUN = [
    *("id", "trace", "project", "meter_result", "meter_input", "status", "failure_message", "traceback"),
    *("model_class", "model_kwargs", "formatter_class", "formatter_kwargs", "added", "updated"),
]
METER_RESULT = [
    *("id", "trace", "project", "meter_run", "meter_output", "status", "eemeter_version", "datastore_version"),
    *("model_class", "model_kwargs", "formatter_class", "formatter_kwargs", "added", "updated"),
]
AGGREGATION_RUN = [
    *("id", "group", "aggregation_result", "aggregation_input", "status", "traceback", "failure_message"),
    *("trace_interpretation", "derivative_interpretation", "aggregation_interpretation", "added", "updated"),
]
AGGREGATION_RESULT = [
    *("id", "aggregation_run", "trace_interpretation", "derivative_interpretation", "aggregation_interpretation"),
    *("aggregation_output", "derivatives", "unit"),
    *("baseline_value", "baseline_lower", "baseline_upper", "baseline_n"),
    *("reporting_value", "reporting_lower", "reporting_upper", "reporting_n"),
    *("differential_direction", "differential_value", "differential_lower", "differential_upper", "differential_n"),
    *("eemeter_version", "datastore_version", "added", "updated"),
]
TRACES = ["NATURAL_GAS_MONTHLY", "NATURAL_GAS_DAILY", "ELECTRICITY_15MIN", "ELECTRICITY_HOURLY", "SOLAR_HOURLY", "SOLAR_30MIN"]


def begins(answer: dict, keys: list[str]) -> None:
    """The documented keys come first, in their order."""
    assert list(answer)[: len(keys)] == keys


def trace(datastore, name: str) -> dict:
    return next(row for row in datastore.get("/api/v1/traces/") if row["trace_id"] == f"DEV_SEED_TRACE_{name}")


def test_projects_and_traces(datastore):
    # Other tests add others.
    [project, *_] = datastore.get("/api/v1/projects/")
    assert list(project)[:8] == [
        *("baseline_period_end", "baseline_period_start", "id", "project_id", "project_owner_id"),
        *("reporting_period_end", "reporting_period_start", "zipcode"),
    ]
    assert (project["id"], project["project_id"], project["zipcode"]) == (1, "DEV_SEED_PROJECT", "91104")
    assert project["baseline_period_end"] == "2012-01-01T00:00:00Z"
    assert project["reporting_period_start"] == "2012-02-01T00:00:00Z"
    traces = datastore.get("/api/v1/traces/", projects=project["id"])
    assert [row["trace_id"] for row in traces] == [f"DEV_SEED_TRACE_{name}" for name in TRACES]
    assert [row["id"] for row in traces] == [1, 2, 3, 4, 5, 6]
    assert [row["unit"] for row in traces] == ["THERM"] * 2 + ["KWH"] * 4
    records = datastore.get("/api/v1/trace_records/", trace=1)
    assert list(records[0]) == ["id", "trace_id", "start", "value", "estimated"]
    assert (records[0]["trace_id"], records[0]["start"]) == (1, "2010-01-01T00:00:00Z")
    assert records == sorted(records, key=lambda record: record["start"])


def test_a_meter_run(datastore):
    gas = trace(datastore, "NATURAL_GAS_MONTHLY")
    run = datastore.post("/api/v1/meter_runs/", {"trace": gas["id"]})
    begins(run, METER_RUN)
    assert (run["status"], run["trace"], run["project"], run["model_class"]) == ("PENDING", gas["id"], 1, None)
    run = datastore.ended("meter_runs", run)
    assert run["status"] == "SUCCESS", run["failure_message"]
    result = datastore.get(f"/api/v1/meter_results/{run['meter_result']}/")
    begins(result, METER_RESULT)
    assert (result["status"], result["meter_run"]) == ("SUCCESS", run["id"])
    # Bills: a model of bills.
    assert result["model_class"] == "CaltrackBillingModel"
    assert result["formatter_class"] == "ModelDataBillingFormatter"

    given = datastore.fetch(run["meter_input"])
    assert list(given) == ["type", "trace", "project"]
    assert given["type"] == "SINGLE_TRACE_SIMPLE_PROJECT"
    assert given["trace"]["type"] == "ARBITRARY_START"
    assert given["trace"]["records"][-1]["value"] is None, "the last record only ends the one before"
    assert given["project"]["zipcode"] == "91104"
    output = datastore.fetch(result["meter_output"])
    assert list(output)[:12] == [
        *("status", "failure_message", "logs", "eemeter_version", "model_class", "model_kwargs", "formatter_class"),
        *("formatter_kwargs", "weather_source_station", "weather_normal_source_station", "derivatives"),
        "modeled_energy_trace",
    ]
    assert set(output["modeled_energy_trace"]["fits"]) == {"baseline", "reporting"}
    names = [derivative["derivative_interpretation"] for derivative in output["derivatives"]]
    assert names[:2] == ["annualized_weather_normal", "gross_predicted"]
    # A therm a month all the time: twelve in a normal year, before and after.
    for side in ("baseline", "reporting"):
        assert isclose(output["derivatives"][0][side]["value"], 12, rel_tol=0.02)
        assert len(output["derivatives"][0][side]["demand_fixture"]) == 365

    # The same once more, from its own input, as a text and as an object.
    for meter_input in (json.dumps(given), given):
        again = datastore.post("/api/v1/meter_runs/", {"meter_input": meter_input})
        assert (again["trace"], again["project"]) == (None, None) and again["meter_input"]
        again = datastore.ended("meter_runs", again)
        assert again["status"] == "SUCCESS", again["failure_message"]
        output_again = datastore.fetch(datastore.get(f"/api/v1/meter_results/{again['meter_result']}/")["meter_output"])
        assert output_again["derivatives"] == output["derivatives"]


def test_a_meter_run_with_arguments(datastore):
    daily = trace(datastore, "NATURAL_GAS_DAILY")
    for data, used in [
        ({"model_kwargs": {"heating_base_temp": 64, "cooling_base_temp": 64}}, "CaltrackDailyModel"),
        ({"model_class": "SeasonalElasticNetCVModel", "formatter_class": "ModelDataFormatter"}, "CaltrackDailyModel"),
        ({"formatter_kwargs": {"freq_str": "D"}, "project": 1}, "CaltrackDailyModel"),
    ]:
        run = datastore.post("/api/v1/meter_runs/", {"trace": daily["id"], **data})
        begins(run, METER_RUN)
        assert {key: run[key] for key in data} == data, "what was asked for is said again"
        run = datastore.ended("meter_runs", run)
        assert run["status"] == "SUCCESS", run["failure_message"]
        result = datastore.get(f"/api/v1/meter_results/{run['meter_result']}/")
        assert result["model_class"] == used, "the result names what was used"
        for key, value in data.get("model_kwargs", {}).items():
            assert result["model_kwargs"][key] == value


def test_bulk_runs_groups_and_aggregations(datastore):
    lists = datastore.post("/api/v1/meter_runs/bulk/", {"targets": [{"project": 1}]})
    assert [len(runs) for runs in lists] == [6]
    ended = [datastore.ended("meter_runs", run) for run in lists[0]]
    assert {run["status"] for run in ended} == {"SUCCESS"}, [run["failure_message"] for run in ended]

    def is_electric(name: str) -> dict:
        return {"filter": {"target": "trace_id", "comparison": "==", "value": f"DEV_SEED_TRACE_ELECTRICITY_{name}"}}

    filters = {"filter_boolean": {"boolean": "or", "filter_a": is_electric("15MIN"), "filter_b": is_electric("HOURLY")}}
    group = datastore.post("/api/v1/trace_groups/", {"name": "electricity", "filter_specification": filters})
    assert list(group) == ["id", "name", "filter_specification"]
    assert group["filter_specification"] == filters
    run = datastore.post(
        "/api/v1/aggregation_runs/",
        {
            "group": group["id"],
            "trace_interpretation": "ELECTRICITY_CONSUMPTION_SUPPLIED",
            "derivative_interpretation": "annualized_weather_normal",
        },
    )
    begins(run, AGGREGATION_RUN)
    assert (run["status"], run["aggregation_input"], run["aggregation_interpretation"]) == ("PENDING", None, "SUM")
    run = datastore.ended("aggregation_runs", run)
    assert run["status"] == "SUCCESS", run["failure_message"]
    result = datastore.get(f"/api/v1/aggregation_results/{run['aggregation_result']}/")
    begins(result, AGGREGATION_RESULT)
    assert (result["unit"], result["differential_direction"]) == ("KWH", "BASELINE_MINUS_REPORTING")

    # The same by hand: values add up, bounds are the root of the sum of squares.
    members = [datastore.get(f"/api/v1/meter_derivatives/{pk}/") for pk in result["derivatives"]]
    assert len(members) == 2
    for side in ("baseline", "reporting"):
        total = sum(member[f"{side}_value"] for member in members)
        assert isclose(result[f"{side}_value"], total, rel_tol=1e-12)
        for bound in ("lower", "upper"):
            root = sqrt(sum(member[f"{side}_{bound}"] ** 2 for member in members))
            assert isclose(result[f"{side}_{bound}"], root, rel_tol=1e-12, abs_tol=1e-12)
        assert result[f"{side}_n"] == 730
    assert isclose(result["differential_value"], result["baseline_value"] - result["reporting_value"], abs_tol=1e-9)
    root = sqrt(result["baseline_lower"] ** 2 + result["reporting_upper"] ** 2)
    assert isclose(result["differential_lower"], root, rel_tol=1e-12, abs_tol=1e-12)
    assert result["differential_n"] == 1460

    given = datastore.fetch(run["aggregation_input"])
    pairs = given["derivatives"]["derivative_pairs"]
    assert [pair["label"] for pair in pairs] == result["derivatives"]
    output = datastore.fetch(result["aggregation_output"])
    assert list(output) == [
        *("aggregated", "aggregation_interpretation", "derivative_interpretation", "trace_interpretation", "unit", "status"),
    ]
    assert set(output["status"]) == {str(pk) for pk in result["derivatives"]}
