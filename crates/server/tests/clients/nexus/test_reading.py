"""Search and load: what upstream's notebooks do, and what is written in `plant.py`."""

import math
import re
from datetime import timedelta, timezone

import plant
import pytest
from face import HAS_ARROW, Nexus
from nexus_api import NexusException
from plant import BEGIN, END, same

SAMPLE = "/SAMPLE/LOCAL"
T1 = f"{plant.CATALOG}/T1"


def values(nexus: Nexus, path: str, begin=BEGIN, end=END) -> list[float]:
    return list(nexus.load(begin, end, [path])[path].values)


def test_what_is_searched_for_is_found_under_the_words_that_were_asked(nexus):
    paths = [f"{T1}/1_s", f"{T1}/60_s_mean", f"{T1}/10_min_max#base=1_s", f"{plant.CATALOG}/counter/1000_ms"]
    found = nexus.v1.catalogs.search_catalog_items(paths)
    assert list(found) == paths
    item = found[paths[0]]
    assert (item.catalog.id, item.catalog.resources) == (plant.CATALOG, None)
    assert (item.resource.id, item.resource.properties["unit"], item.resource.representations) == ("T1", "°C", None)
    assert (item.representation.data_type.name, item.representation.sample_period) == ("FLOAT64", timedelta(seconds=1))
    assert item.parameters is None
    # Of what is computed, type and period are those of the result.
    computed = found[paths[1]].representation
    assert (computed.data_type.name, computed.sample_period) == ("FLOAT64", timedelta(minutes=1))
    assert found[paths[3]].representation.data_type.name == "INT64"


@pytest.mark.parametrize(
    "path, why",
    [
        ("/plant/mast/T2/1_s", "not there"),
        ("/plant/mast/T1/2_s", "no such representation"),
        ("/plant/mast/T1/10_min_median_of_nothing", "no such kind"),
        ("/plant/mast/T1/1_week", "no such unit"),
        ("T1", "no path at all"),
    ],
)
def test_what_is_not_there_is_an_error_that_names_it(nexus, path, why):
    with pytest.raises(NexusException) as error:
        nexus.v1.catalogs.search_catalog_items([f"{T1}/1_s", path])
    assert error.value.status_code == "N00.422", why
    assert path in error.value.message


def test_original_samples(nexus):
    for path, value in [(f"{T1}/1_s", plant.t1), (f"{plant.CATALOG}/counter/1_s", plant.counter)]:
        expected = [value(second) for second in range(plant.SECONDS)]
        assert same(values(nexus, path), expected)


def test_a_response_says_what_it_is(nexus):
    path = f"{T1}/10_min_mean"
    response = nexus.load(BEGIN, END, [path])[path]
    about = response.info if HAS_ARROW else response
    assert (about.name, about.unit, about.sample_period) == ("T1", "°C", timedelta(minutes=10))
    assert about.catalog_item.resource.id == "T1"


@pytest.mark.parametrize("seconds, period", [(5, "5_s"), (60, "60_s"), (600, "10_min"), (600, "600_s")])
def test_means(nexus, seconds, period):
    assert same(values(nexus, f"{T1}/{period}_mean"), plant.means(plant.t1, seconds))


def test_several_at_once_keep_their_order_and_their_keys(nexus):
    kinds = ["mean", "min", "max", "sum", "mean#base=1_s"]
    paths = [f"{T1}/10_min_{kind}" for kind in kinds]
    found = nexus.load(BEGIN, END, paths)
    assert list(found) == paths
    assert same(found[paths[0]].values, found[paths[4]].values)
    # The first ten minutes have no gap.
    numbers = [plant.t1(second) for second in range(600)]
    first = [list(found[path].values)[0] for path in paths[:4]]
    assert first == [sum(numbers) / 600, min(numbers), max(numbers), sum(numbers)]
    # The second ten have: too few samples for any of them.
    assert all(math.isnan(list(found[path].values)[1]) for path in paths)


def test_resampling_holds_values(nexus):
    found = values(nexus, f"{T1}/200_ms_resampled", BEGIN, BEGIN + timedelta(seconds=2))
    assert found == [plant.t1(0)] * 5 + [plant.t1(1)] * 5


def test_outside_of_what_was_measured_there_is_nothing(nexus):
    before = BEGIN - timedelta(hours=1)
    found = values(nexus, f"{T1}/10_min_mean", before, END)
    assert same(found, [math.nan] * 6 + plant.means(plant.t1, 600))


def test_times_without_a_zone_are_utc_and_other_zones_are_converted(nexus):
    expected = plant.means(plant.t1, 600)
    naive = [time.replace(tzinfo=None) for time in (BEGIN, END)]
    assert same(values(nexus, f"{T1}/10_min_mean", *naive), expected)
    elsewhere = [time.astimezone(timezone(timedelta(hours=5, minutes=30))) for time in (BEGIN, END)]
    assert same(values(nexus, f"{T1}/10_min_mean", *elsewhere), expected)


@pytest.mark.skipif(not HAS_ARROW, reason="only the newest generation can ask for it")
def test_single_precision(nexus):
    path = f"{plant.CATALOG}/counter/1_s"
    found = nexus.load(BEGIN, END, [path], single=True)[path].values
    assert found.itemsize == 4
    # All of them fit.
    assert same(found, [plant.counter(second) for second in range(plant.SECONDS)])


def test_more_than_a_buffer_holds(nexus):
    path = f"{SAMPLE}/T1/1_s"
    found = values(nexus, path, BEGIN, BEGIN + timedelta(days=5))
    assert len(found) == 5 * 86_400
    assert found[:60] * 7200 == found


@pytest.mark.parametrize(
    "path, begin, end, status",
    [
        (f"{T1}/10_min_mean", BEGIN + timedelta(seconds=1), END, "N00.422"),
        (f"{T1}/1_s", END, BEGIN, "N00.422"),
        (f"{T1}/1500_ms_mean", BEGIN, END, "N00.422"),
    ],
)
def test_what_cannot_be_computed_is_refused_before_the_first_byte(nexus, path, begin, end, status):
    with pytest.raises(NexusException) as error:
        nexus.load(begin, end, [path])
    assert error.value.status_code == status
    assert re.search("begin|period", error.value.message)


def test_the_notebooks_run(nexus):
    """Upstream's samples load these two."""
    paths = [f"{SAMPLE}/T1/1_s", f"{SAMPLE}/T1/5_s_mean"]
    end = BEGIN + timedelta(minutes=2)
    # One after the other: the newest generation takes only paths of one period at once.
    found = {path: nexus.load(BEGIN, end, [path])[path] for path in paths}
    original, means = (list(found[path].values) for path in paths)
    assert (len(original), len(means)) == (120, 24)
    assert original[:60] == original[60:]
    for index, value in enumerate(means):
        expected = sum(original[5 * index : 5 * index + 5]) / 5
        assert math.isclose(value, expected, rel_tol=1e-12)
    about = found[paths[0]].info if HAS_ARROW else found[paths[0]]
    assert about.unit == "°C"


def test_unix_times_of_the_sample(nexus):
    path = f"{SAMPLE}/unix_time2/1_s"
    found = values(nexus, path, BEGIN, BEGIN + timedelta(seconds=3))
    assert found == [BEGIN.timestamp() + second for second in range(3)]


def test_a_configuration_travels_with_the_requests(nexus):
    with nexus.client.attach_configuration({"Nexus.Sources.Sample": {"user": "tést", "password": "1234"}}):
        assert len(values(nexus, f"{SAMPLE}/T1/1_s", BEGIN, BEGIN + timedelta(seconds=10))) == 10


def test_the_sample_behind_a_sign_in_opens_with_a_configuration(nexus):
    path, end = "/SAMPLE/REMOTE/T1/1_s", BEGIN + timedelta(seconds=10)
    with pytest.raises(NexusException):
        values(nexus, path, BEGIN, end)
    with nexus.client.attach_configuration({"Nexus.Sources.Sample": {"user": "test", "password": "1234"}}):
        assert values(nexus, path, BEGIN, end) == values(nexus, f"{SAMPLE}/T1/1_s", BEGIN, end)


def test_nothing_is_readable_without_a_token(fresh):
    with pytest.raises(NexusException) as error:
        fresh.load(BEGIN, END, [f"{T1}/1_s"])
    assert error.value.status_code == "N00.401"
