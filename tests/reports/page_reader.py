"""Reads a report as a browser would."""

from html.parser import HTMLParser
from pathlib import Path

from fedward.reports.page import write_report


class Page(HTMLParser):
    """What a browser would see: tags, text, addresses and the cells of each section's tables."""

    VOID = ("meta", "img", "link", "br")

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.text: dict[str, str] = {}
        self.rows: dict[str, list[list[str]]] = {}
        self.section = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        if tag in ("section", "header", "footer"):
            self.section = attributes.get("id", tag)
        if tag == "tr":
            self.rows.setdefault(self.section, []).append([])
        if tag in ("td", "th"):
            self.rows[self.section][-1].append("")
        self.addresses += [attributes[k] for k in ("src", "href", "srcset", "action", "data") if k in attributes]
        assert not any(name.startswith("on") for name in attributes), "event handlers are scripts"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"unbalanced <{tag}>"

    def handle_data(self, data):
        self.text[self.section] = self.text.get(self.section, "") + data
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[self.section][-1][-1] += data.strip()


def page_of(root: Path) -> Page:
    path = write_report(root)
    assert path == root / "report.html"
    return Page(path.read_text(encoding="utf-8"))
