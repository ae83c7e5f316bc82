"""HTML and SVG put together from elements: what is not markup already is escaped, so that no text can become any."""

from html import escape

from hlx_model.reporting.numbers import escape_unseen


class Markup(str):
    """Text that is HTML or SVG already."""

    __slots__ = ()


def element(name: str, *content: str, **attributes: str | float | None) -> Markup:
    """An element with its content and attributes; `class_` and `data_label` stand for `class` and `data-label`.

    An attribute that is None is left out. Every element is closed by its own tag, which is right both in HTML, for all
    elements but the void ones, and in XML.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_text(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{given}>{join(*content)}</{name}>")


def join(*content: str) -> Markup:
    """Markup and texts one after the other."""
    return Markup("".join(part if isinstance(part, Markup) else escape(escape_unseen(part)) for part in content))


def _text(value: str | float) -> str:
    return escape(escape_unseen(value if isinstance(value, str) else f"{value:.6g}"))
