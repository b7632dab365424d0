"""People sign in with a browser, at a real OpenID provider: its pages, its cookies, its tokens."""

import os
import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import plant
import pytest
from browser import Browser
from serving import Server, sheaf

CLIENT, SECRET = "sheaf", "only for tests"
ME = "/api/v1/users/me"


@pytest.fixture(scope="module")
def issuer():
    command = ["node", os.environ["SHEAF_PROVIDER"], CLIENT, SECRET, "/signin-oidc/test", "/"]
    provider = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert provider.stdout is not None
    yield provider.stdout.readline().strip()
    provider.terminate()
    provider.wait(10)


@pytest.fixture(scope="module")
def service(issuer: str, tmp_path_factory: pytest.TempPathFactory):
    """A server that knows the provider; nobody has signed in yet."""
    folder = tmp_path_factory.mktemp("data")
    table, settings = folder.with_name("mast.csv"), folder.with_name("sheaf.toml")
    plant.write_csv(table)
    sheaf("ingest", table, "--catalog", plant.CATALOG, folder=folder)
    settings.write_text(
        f'[[auth.oidc]]\nscheme = "test"\nname = "Test"\nissuer = "{issuer}"\n'
        f'client_id = "{CLIENT}"\nclient_secret = "{SECRET}"\n'
    )
    with Server(folder, "--config", str(settings)) as server:
        yield server


def begin(browser: Browser, service: Server, return_url: str = "/api"):
    """To the first page of the provider."""
    url = f"{service.url}/api/v1/users/authenticate"
    return browser.follow(browser.http.post(url, params={"scheme": "test", "returnUrl": return_url}))


def to_callback(browser: Browser, service: Server, name: str) -> str:
    """Through the pages of the provider; returns the URL that it sends the browser back to."""
    page = begin(browser, service)
    here = f"{service.url}/signin-oidc/"
    answer = browser.follow(browser.submit(page, login=name, password="whatever"), until=here)
    if answer.status_code == 200:
        # Does the person agree that this server learns the name?
        answer = browser.follow(browser.submit(answer), until=here)
    return browser.visited[-1]


def sign_in(browser: Browser, service: Server, name: str):
    return browser.follow(browser.http.get(to_callback(browser, service, name)))


def test_a_browser_signs_in_and_out(service):
    browser = Browser()
    assert browser.http.get(service.url + ME).status_code == 401
    page = sign_in(browser, service, "anna")
    assert page.status_code == 200, page.text
    assert urlsplit(str(page.url)).path.startswith("/api")
    me = browser.http.get(service.url + ME)
    assert me.status_code == 200, me.text
    assert me.json()["user"]["name"] == "Name of anna"
    cookies = [cookie for cookie in browser.http.cookies.jar if cookie.domain.startswith("127.0.0.1")]
    session = [cookie for cookie in cookies if cookie.has_nonstandard_attr("HttpOnly")]
    assert session, "cookies that scripts cannot read"
    browser.follow(browser.http.post(f"{service.url}/api/v1/users/signout", params={"returnUrl": "/api"}))
    assert browser.http.get(service.url + ME).status_code == 401


def test_the_same_person_has_the_same_user(service):
    ids = set()
    for _ in range(2):
        browser = Browser()
        sign_in(browser, service, "berta")
        ids.add(browser.http.get(service.url + ME).json()["userId"])
    other = Browser()
    sign_in(other, service, "carl")
    assert len(ids) == 1
    assert other.http.get(service.url + ME).json()["userId"] not in ids


def test_whoever_signs_in_may_read_nothing_yet(service):
    browser = Browser()
    sign_in(browser, service, "dora")
    query = {"resourcePath": f"{plant.CATALOG}/T1/10_min_mean", "begin": "2020-01-01", "end": "2020-01-01T01:00"}
    answer = browser.http.get(f"{service.url}/api/v1/data", params=query)
    assert answer.status_code == 403, answer.text
    assert browser.http.get(f"{service.url}/api/v1/users").status_code == 403


def test_a_callback_counts_once(service):
    browser = Browser()
    callback = to_callback(browser, service, "emil")
    assert browser.follow(browser.http.get(callback)).status_code == 200
    browser.http.cookies.clear()
    assert 400 <= browser.http.get(callback).status_code < 500
    assert browser.http.get(service.url + ME).status_code == 401


def test_a_callback_belongs_to_the_browser_that_began(service):
    callback = to_callback(Browser(), service, "mallory")
    victim = Browser()
    assert 400 <= victim.http.get(callback).status_code < 500
    assert victim.http.get(service.url + ME).status_code == 401


@pytest.mark.parametrize("wrong", ["state=other", "code=other", "error=access_denied"])
def test_a_callback_that_is_not_right(service, wrong):
    browser = Browser()
    parts = urlsplit(to_callback(browser, service, "frida"))
    name, value = wrong.split("=")
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    if name == "error":
        query.pop("code")
    query[name] = value
    answer = browser.http.get(parts._replace(query="").geturl(), params=query)
    assert 400 <= answer.status_code < 500, answer.text
    assert browser.http.get(service.url + ME).status_code == 401


@pytest.mark.parametrize("elsewhere", ["https://example.org/", "//example.org/", "/\\example.org", "javascript:alert(1)"])
def test_nobody_is_sent_elsewhere(service, elsewhere):
    browser = Browser()
    page = begin(browser, service, elsewhere)
    if page.status_code == 200:
        here = f"{service.url}/signin-oidc/"
        answer = browser.follow(browser.submit(page, login="gerd", password="x"), until=here)
        if answer.status_code == 200:
            browser.follow(browser.submit(answer), until=here)
        answer = browser.http.get(browser.visited[-1])
        location = answer.headers.get("location", "/")
        assert location.startswith("/") and not location.startswith(("//", "/\\")), location
    else:
        assert 400 <= page.status_code < 500


def test_a_scheme_that_is_not_there(service):
    answer = Browser().http.post(f"{service.url}/api/v1/users/authenticate", params={"scheme": "x", "returnUrl": "/"})
    assert 400 <= answer.status_code < 500


def test_a_cookie_alone_changes_nothing_from_elsewhere(service):
    """A page of another origin can make a browser send its cookies, but not without saying where it comes from."""
    browser = Browser()
    sign_in(browser, service, "hanna")
    body = {"description": "stolen", "expires": "9999-12-31T23:59:59Z", "claims": []}
    headers = {"Origin": "https://example.org", "Sec-Fetch-Site": "cross-site"}
    answer = browser.http.post(f"{service.url}/api/v1/users/tokens/create", json=body, headers=headers)
    assert answer.status_code in (401, 403), answer.text


def test_a_person_makes_a_token(service):
    browser = Browser()
    sign_in(browser, service, "ida")
    body = {"description": "notebook", "expires": "9999-12-31T23:59:59.9999999", "claims": []}
    url = f"{service.url}/api/v1/users/tokens/create"
    answer = browser.http.post(url, json=body, headers={"Origin": service.url, "Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    me = Browser().http.get(service.url + ME, headers={"Authorization": f"Bearer {answer.json()}"})
    assert me.json()["user"]["name"] == "Name of ida"


def test_a_provider_that_is_gone(tmp_path: Path):
    """The server starts all the same, and says what is wrong when somebody wants to sign in."""
    settings = tmp_path / "sheaf.toml"
    settings.write_text(
        '[[auth.oidc]]\nscheme = "test"\nname = "Test"\nissuer = "http://127.0.0.1:9"\n'
        f'client_id = "{CLIENT}"\nclient_secret = "{SECRET}"\n'
    )
    (tmp_path / "data").mkdir()
    with Server(tmp_path / "data", "--config", str(settings)) as server:
        url = f"{server.url}/api/v1/users/authenticate"
        answer = Browser().http.post(url, params={"scheme": "test", "returnUrl": "/"})
        assert answer.status_code in (502, 503), answer.text
