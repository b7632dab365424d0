"""Who one is, tokens, and the descriptions that the server gives of itself."""

import uuid
from datetime import datetime, timedelta, timezone

import plant
import pytest
from face import IS_FIRST, Nexus, models
from nexus_api import NexusException
from plant import BEGIN, END, same

NEXT_YEAR = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=365)
PATH = f"{plant.CATALOG}/T1/10_min_mean"


def make_token(nexus: Nexus, description: str, pattern: str) -> str:
    """A token that may read what the pattern says."""
    users, kind = nexus.v1.users, models()
    if IS_FIRST:
        return users.generate_refresh_token(description)
    request = getattr(kind, "CreateTokenRequest", kind.PersonalAccessToken)
    return users.create_token(request(description, NEXT_YEAR, [kind.TokenClaim("CanReadCatalog", pattern)]))


def tokens(nexus: Nexus) -> dict:
    users = nexus.v1.users
    return users.get_refresh_tokens(users.get_me().user_id) if IS_FIRST else users.get_tokens()


def test_me(nexus):
    me = nexus.v1.users.get_me()
    assert me.user_id
    assert me.name if hasattr(me, "name") else me.user.name
    if IS_FIRST:
        assert me.is_admin is True


def test_tokens_are_made_used_listed_and_deleted(nexus, server, request):
    description = f"made by {request.node.name}"
    token = make_token(nexus, description, "^/plant/.*$")
    other = Nexus(server.url, "async" if IS_FIRST else "sync")
    other.sign_in(token)
    assert len(other.load(BEGIN, END, [PATH])[PATH].values) == 6
    [(key, listed)] = [(key, found) for key, found in tokens(nexus).items() if found.description == description]
    uuid.UUID(str(key))
    if not IS_FIRST:
        assert abs(listed.expires - NEXT_YEAR) < timedelta(seconds=1)
        assert [(claim.type, claim.value) for claim in listed.claims] == [("CanReadCatalog", "^/plant/.*$")]
    delete = nexus.v1.users.delete_refresh_token if IS_FIRST else nexus.v1.users.delete_token
    delete(key)
    assert key not in tokens(nexus)
    with pytest.raises(NexusException) as error:
        other.load(BEGIN, END, [PATH])
    assert error.value.status_code == "N00.401"
    other.close()


@pytest.mark.skipif(IS_FIRST, reason="its tokens have no claims")
def test_a_token_may_read_what_it_says_and_nothing_else(nexus, server):
    token = make_token(nexus, "elsewhere", "^/elsewhere$")
    other = Nexus(server.url, "sync")
    other.sign_in(token)
    with pytest.raises(NexusException) as error:
        other.load(BEGIN, END, [PATH])
    assert error.value.status_code == "N00.403"
    with pytest.raises(NexusException) as error:
        other.v1.catalogs.upload_attachment(plant.CATALOG, "a.txt", b"a")
    assert error.value.status_code == "N00.403"
    # Whoever has a token can delete it by its value.
    other.v1.users.delete_token_by_value(token)
    with pytest.raises(NexusException) as error:
        other.v1.users.get_me()
    assert error.value.status_code == "N00.401"
    other.close()


def test_a_wrong_token(fresh):
    with pytest.raises(NexusException) as error:
        fresh.sign_in("wrong")
        fresh.v1.users.get_me()
    assert error.value.status_code == "N00.401"


@pytest.mark.skipif(not IS_FIRST, reason="later ones send the token that they were given")
def test_signing_in_twice_uses_the_token_that_was_kept(fresh, admin):
    for _ in range(2):
        fresh.sign_in(admin)
        assert fresh.client.is_authenticated
        assert fresh.v1.users.get_me().is_admin


def test_what_can_be_read_and_written(nexus):
    for found in (nexus.v1.sources.get_descriptions(), nexus.v1.writers.get_descriptions()):
        assert found
        for description in found:
            assert description.type and description.version
            assert isinstance(description.additional_information, dict)
    writers = {description.type: description for description in nexus.v1.writers.get_descriptions()}
    assert writers["Nexus.Writers.Csv"].additional_information["label"] == "CSV + Schema (*.csv)"
    labels = [description.additional_information["label"] for description in writers.values()]
    assert labels == sorted(labels)


def test_the_system(nexus):
    system = nexus.v1.system
    if hasattr(models(), "SystemResponse"):
        found = system.get()
        assert found.version and found.decimation_available in (True, False)
    elif not IS_FIRST:
        assert system.get_default_file_type() == "Nexus.Writers.Csv"


@pytest.mark.skipif(IS_FIRST, reason="it knows registrations only")
def test_pipelines_come_and_go(nexus, tmp_path):
    """A folder of files becomes a catalog, and goes away with its pipeline."""
    kind, sources = models(), nexus.v1.sources
    before = sources.get_pipelines()
    plant.write_csv(tmp_path / "mast.csv")
    settings = {"catalog": "/piped/mast", "template": "*.csv"}
    registration = kind.DataSourceRegistration("Sheaf.Sources.Folder", str(tmp_path), settings, None)
    # A pattern of visibility, after one of release or before a switch.
    is_newest = "disabled" in kind.DataSourcePipeline.__annotations__
    key = sources.create_pipeline(kind.DataSourcePipeline([registration], *([None, False] if is_newest else [None, None])))
    assert isinstance(key, uuid.UUID)
    found = {str(id): pipeline for id, pipeline in sources.get_pipelines().items()}
    assert found[str(key)].registrations[0].type == "Sheaf.Sources.Folder"
    path = "/piped/mast/T1/10_min_mean"
    assert same(nexus.load(BEGIN, END, [path])[path].values, plant.means(plant.t1, 600))
    sources.delete_pipeline(key)
    assert sources.get_pipelines() == before
    with pytest.raises(NexusException):
        nexus.load(BEGIN, END, [path])


def test_packages_are_not_to_be_had(nexus):
    with pytest.raises(NexusException) as error:
        nexus.v1.package_references.get()
    assert error.value.status_code == "N00.501"
    assert len(error.value.message) > 50
