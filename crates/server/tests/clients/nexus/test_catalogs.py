"""Catalogs: children, contents, time range, availability, attachments, metadata."""

import uuid
from datetime import datetime, timedelta

import plant
import pytest
from face import GENERATION, IS_FIRST, models
from nexus_api import NexusException
from plant import BEGIN, END


def children(nexus, parent: str):
    return {info.id: info for info in nexus.v1.catalogs.get_child_catalog_infos(parent)}


def test_catalogs_are_found_from_the_root(nexus):
    roots = children(nexus, "/")
    assert "/SAMPLE/LOCAL" in roots or "/SAMPLE/LOCAL" in children(nexus, "/SAMPLE")
    own = roots.get(plant.CATALOG) or children(nexus, "/plant")[plant.CATALOG]
    assert (own.is_readable, own.is_writable, own.is_visible) == (True, True, True)
    if not IS_FIRST:
        assert isinstance(own.pipeline_info.id, uuid.UUID)
        assert own.package_reference_ids == []
        assert len(own.pipeline_info.types) == len(own.pipeline_info.info_urls)
    if not hasattr(nexus.v1, "git"):
        assert own.is_released is True
    assert children(nexus, plant.CATALOG) == {}


def test_a_catalog_has_its_resources(nexus):
    catalog = nexus.v1.catalogs.get(plant.CATALOG)
    assert catalog.id == plant.CATALOG
    resources = {resource.id: resource for resource in catalog.resources}
    assert list(resources) == sorted(resources)
    assert resources["T1"].properties["unit"] == "°C"
    [representation] = resources["T1"].representations
    assert (representation.data_type.name, representation.sample_period) == ("FLOAT64", timedelta(seconds=1))
    sample = {resource.id: resource for resource in nexus.v1.catalogs.get("/SAMPLE/LOCAL").resources}
    assert {"T1", "V1", "unix_time1", "unix_time2"} <= set(sample)
    assert sample["unix_time1"].representations[0].sample_period == timedelta(milliseconds=40)


def test_a_catalog_that_is_not_there(nexus):
    for ask in (nexus.v1.catalogs.get, nexus.v1.catalogs.get_time_range):
        with pytest.raises(NexusException) as error:
            ask("/plant/mast/nowhere")
        assert error.value.status_code == "N00.404"


def test_the_time_range(nexus):
    found = nexus.v1.catalogs.get_time_range(plant.CATALOG)
    assert (found.begin, found.end) == (BEGIN, END)
    # Without a zone, as the clients decode "always".
    endless = nexus.v1.catalogs.get_time_range("/SAMPLE/LOCAL")
    assert (endless.begin, endless.end.year) == (datetime.min, 9999)


def test_availability(nexus):
    step = timedelta(minutes=10)
    found = nexus.v1.catalogs.get_availability(plant.CATALOG, BEGIN, END, step).data
    # The gap of half a minute counts, but is too short for the index to know where it is.
    assert len(found) == 6 and all(0.95 <= share <= 1 for share in found)
    assert sum(found) < 6
    # Python writes this step as "1 day, 2:00:00".
    before = BEGIN - timedelta(days=1, hours=2)
    assert nexus.v1.catalogs.get_availability(plant.CATALOG, before, BEGIN, timedelta(days=1, hours=2)).data == [0]
    assert nexus.v1.catalogs.get_availability("/SAMPLE/LOCAL", BEGIN, END, step).data == [1] * 6


@pytest.mark.parametrize("begin, end, step", [(END, BEGIN, 60), (BEGIN, END, 0), (BEGIN, END, 1)])
def test_availability_that_makes_no_sense(nexus, begin, end, step):
    with pytest.raises(NexusException) as error:
        nexus.v1.catalogs.get_availability(plant.CATALOG, begin, end, timedelta(seconds=step))
    assert error.value.status_code == "N00.422"


def test_attachments_come_and_go(nexus):
    catalogs = nexus.v1.catalogs
    names = ["README.md", "plans/mast +1 ü 100%.bin"]
    content = bytes(range(256)) * 1000
    for name in names:
        catalogs.upload_attachment(plant.CATALOG, name, content)
    assert sorted(catalogs.get_attachments(plant.CATALOG)) == sorted(names)
    for name in names:
        assert nexus.content(catalogs.get_attachment_stream(plant.CATALOG, name)) == content
    catalogs.upload_attachment(plant.CATALOG, names[0], b"another")
    assert nexus.content(catalogs.get_attachment_stream(plant.CATALOG, names[0])) == b"another"
    for name in names:
        catalogs.delete_attachment(plant.CATALOG, name)
    assert catalogs.get_attachments(plant.CATALOG) == []
    with pytest.raises(NexusException) as error:
        catalogs.get_attachment_stream(plant.CATALOG, names[0])
    assert error.value.status_code == "N00.404"


def test_an_attachment_cannot_lie_elsewhere(nexus):
    for name in ("../secret", "/etc/passwd", "a/../../b"):
        with pytest.raises(NexusException) as error:
            nexus.v1.catalogs.upload_attachment(plant.CATALOG, name, b"x")
        assert error.value.status_code.startswith("N00.4")


def test_a_license_is_an_attachment(nexus):
    catalogs = nexus.v1.catalogs
    catalogs.upload_attachment(plant.CATALOG, "LICENSE.md", "Only for tests: é".encode())
    assert catalogs.get_license(plant.CATALOG) == "Only for tests: é"
    catalogs.delete_attachment(plant.CATALOG, "LICENSE.md")
    # Where there is none, the server answers null, which all generations take for an error of their own.
    with pytest.raises(NexusException) as error:
        catalogs.get_license(plant.CATALOG)
    assert error.value.status_code == "N01"


def test_metadata_override_what_the_source_says(nexus):
    kind = models()
    catalogs = nexus.v1.catalogs
    before = catalogs.get_metadata(plant.CATALOG)
    text = f"written by {GENERATION}"
    resource = kind.Resource("T1", {"warning": text}, None)
    overrides = kind.ResourceCatalog(plant.CATALOG, {"readme": text}, [resource])
    catalogs.set_metadata(plant.CATALOG, kind.CatalogMetadata("someone@example.org", ["masts"], overrides))
    found = catalogs.get_metadata(plant.CATALOG)
    assert (found.contact, found.group_memberships) == ("someone@example.org", ["masts"])
    assert found.overrides.properties == {"readme": text}
    catalog = catalogs.get(plant.CATALOG)
    assert catalog.properties["readme"] == text
    [t1] = [resource for resource in catalog.resources if resource.id == "T1"]
    assert (t1.properties["warning"], t1.properties["unit"]) == (text, "°C")
    # Overrides of another catalog are refused, and nothing changes.
    with pytest.raises(NexusException) as error:
        catalogs.set_metadata(plant.CATALOG, kind.CatalogMetadata(None, None, kind.ResourceCatalog("/other", None, None)))
    assert error.value.status_code == "N00.422"
    assert catalogs.get_metadata(plant.CATALOG).contact == "someone@example.org"
    empty = kind.ResourceCatalog(plant.CATALOG, None, None)
    catalogs.set_metadata(plant.CATALOG, kind.CatalogMetadata(before.contact, before.group_memberships, empty))
    assert "readme" not in (catalogs.get(plant.CATALOG).properties or {})
