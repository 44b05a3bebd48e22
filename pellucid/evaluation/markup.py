"""HTML and SVG as nested calls, so that every tag is closed and every text from outside is escaped.

>>> tag("p", "1 < 2 ", tag("b", "really"), class_="note")
'<p class="note">1 &lt; 2 <b>really</b></p>'
"""

from html import escape

VOID = {"br", "img", "meta"}


class Markup(str):
    """Text that is markup already. Only `tag`, `join` and constants of our own make it."""

    __slots__ = ()


def tag(name: str, /, *children: str | None, **attributes: object) -> Markup:
    """`<name attributes>children</name>`; strings other than `Markup` are escaped, None children and attributes left out.

    In an attribute's name a trailing underscore is dropped (`class_`) and others become hyphens (`stroke_width`).
    """
    written = (
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items() if value is not None
    )
    opening = f"<{name}{''.join(written)}>"
    return Markup(opening if name in VOID else f"{opening}{join(*children)}</{name}>")


def join(*children: str | None) -> Markup:
    """Children side by side, escaped unless they are markup."""
    return Markup("".join(child if isinstance(child, Markup) else escape(child) for child in children if child is not None))
