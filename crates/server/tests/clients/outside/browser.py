"""As much of a browser as a sign-in needs: it keeps cookies, follows redirects, and fills forms in."""

from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx

REDIRECTS = (301, 302, 303, 307, 308)


class Form(HTMLParser):
    """The first form of a page."""

    def __init__(self, page: str):
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if tag == "form" and not self.action:
            self.action = named["action"]
        elif tag == "input" and named.get("name"):
            self.fields[named["name"]] = named.get("value", "")


class Browser:
    """Cookies belong to one person."""

    def __init__(self):
        self.http = httpx.Client(timeout=30, follow_redirects=False, headers={"Accept": "text/html,*/*"})
        self.visited: list[str] = []

    def follow(self, answer: httpx.Response, *, until: str = "\0") -> httpx.Response:
        """Goes where redirects lead; stops at one that leads to a URL which begins so, without going there."""
        for _ in range(20):
            if answer.status_code not in REDIRECTS:
                return answer
            url = urljoin(str(answer.url), answer.headers["location"])
            self.visited.append(url)
            if url.startswith(until):
                return answer
            answer = self.http.get(url)
        raise AssertionError(f"there is no end to the redirects: {self.visited[-4:]}")

    def submit(self, page: httpx.Response, **filled: str) -> httpx.Response:
        """Fills the form of a page in and sends it."""
        form = Form(page.text)
        assert form.action, page.text
        return self.http.post(urljoin(str(page.url), form.action), data=form.fields | filled)
