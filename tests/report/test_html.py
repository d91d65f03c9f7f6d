"""A plan as a page: whole, alone, and safe whatever documents name things."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from aegis_plan.report.html import plan_html
from tests.cli.test_plan_text import RECOVERY, plan, step
from tests.report.worlds import HOSTILE, made

_EMPTY = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """What a browser would see: elements, whether they are closed in order, ids, links, texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.styles: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.text += " "

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["style"]:
            self.styles.append(data)
        else:
            self.text += data

    def attributes(self, name: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(name)) is not None]


@pytest.mark.parametrize("count", [0, 1, 12, 60, 1000])
def test_every_step_is_there_once_and_every_link_leads_somewhere(count: int) -> None:
    shown = made(count)
    page = Page(plan_html(shown, "d" * 64, "the summary"))
    rows = [attributes["id"] for tag, attributes in page.tags if tag == "tr" and attributes.get("class") == "step"]
    assert rows == [f"step-{number}" for number in range(1, count + 1)]
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z][a-z0-9-]*", found) for found in ids)
    for link in page.attributes("href"):
        assert link.startswith("#")
        assert link[1:] in ids
    for one in shown.steps:
        assert one.title.strip() in page.text
    assert "the summary" in page.text
    assert "d" * 64 in page.text


def test_nothing_is_loaded_and_nothing_runs() -> None:
    text = plan_html(made(60, HOSTILE), "d", "s")
    page = Page(text)
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    assert not page.attributes("src")
    assert not page.attributes("style")
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    for style in page.styles:
        assert not re.search(r"url\((?!#)|@import", style)
    policy = next(attributes["content"] for tag, attributes in page.tags if attributes.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    for style in page.styles:
        assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy


def test_hostile_names_are_text() -> None:
    page = Page(plan_html(made(12, HOSTILE), "d", HOSTILE))
    assert page.text.count(HOSTILE) > 30


def test_lengths_that_nobody_knows_are_drawn_as_such() -> None:
    page = Page(plan_html(plan(step("stage", "+", None)), "d", "s"))
    bars = [attributes for tag, attributes in page.tags if tag == "rect" and attributes.get("width", "").endswith("%")]
    unknown = [bar for bar in bars if "unknown" in (bar.get("class") or "")]
    assert len(unknown) == 1
    assert float((unknown[0]["width"] or "").rstrip("%")) > 5
    assert "length unknown" in page.text


def test_what_matters_is_said() -> None:
    text = " ".join(Page(plan_html(RECOVERY, "d", "s")).text.split())
    assert "as of 2026-11-23 22:44:10 KST, back to the latest moment possible" in text
    assert "Happens first policy-db.stage (1)" in text
    assert "from policy-db.stop-server (3) on, what serves people is stopped or replaced" in text
    assert "how long policy-db.swap (4) and policy-db.health (5) take" in text
    assert "CRITICAL" in text
    assert "RPO 15 min" in text


def test_what_a_step_waits_for_is_said_with_it() -> None:
    start = step("start", "+", None, needs=("policy-db.accept",), phase="services")
    gate = step("health", "<=", None, needs=("policy-db.start",), phase="services", gate=True)
    late = step("later", "+", None, needs=("policy-db.accept",), phase="services", tier=2)
    page = plan_html(plan(step("accept", "~", None), start, gate, late), "d", "s")
    text = re.sub(r"<[^>]*>", "", page)
    assert "after policy-db.start (2)\n" in text
    assert "after policy-db.accept (1), and the health gates of tier 1\n" in text
