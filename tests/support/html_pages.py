"""The pages of the receiver, read as HTML, and served to a browser."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from support.servers import running

from ckanpackager.receiver.body import Application

VOID = ("meta", "link", "br", "hr", "img", "input")


class Reading(HTMLParser):
    """Reads a page, and holds it to what HTML5 asks for: quoted attributes, closed elements, one of some."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.words: list[str] = []
        self.forms: list[dict[str, str | None]] = []  # their fields, and where they are sent
        assert page.startswith("<!doctype html>\n")
        self.feed(page)
        self.close()
        assert not self.open
        assert self.found["h1"] == self.found["title"] == self.found["main"] == self.found["head"] == 1
        assert ("html", "lang", "en") in self.attributes
        assert self.found["script"] == 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found[tag] += "svg" not in self.open  # whose <title> is another
        self.attributes += [(tag, name, value) for name, value in attributes]
        given = dict(attributes)
        if tag == "form":
            self.forms.append({"action": given["action"]})
        elif tag == "input":
            self.forms[-1][str(given["name"])] = given["value"]
        raw = self.get_starttag_text() or ""
        assert raw.count('"') == 2 * sum(value is not None for _, value in attributes), (
            f"an attribute without quotes: {raw}"
        )
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@contextmanager
def served(application: Application) -> Iterator[str]:
    """The application behind a small server; its address."""

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with running(make_server("127.0.0.1", 0, application, handler_class=Quiet)) as url:  # type: ignore[arg-type]
        yield url
