"""A page of its own: it needs neither network nor script, and forbids itself all sources but what is in it."""

from pellucid.evaluation.markup import Markup, join, tag
from pellucid.evaluation.style import STYLE

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(title: str, *body: str | None) -> Markup:
    """The whole document."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", f"{title} · pellucid"),
        tag("style", STYLE),
    )
    footer = tag("footer", "Written by pellucid.")
    return join(Markup("<!doctype html>\n"), tag("html", head, tag("body", *body, footer), lang="en"), "\n")
