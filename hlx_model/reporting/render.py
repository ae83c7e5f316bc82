"""Renders the templates in `reporting/templates` with Jinja2: HTML and SVG (`*.html.jinja`, `*.svg.jinja`), Markdown.

Every value that a template prints is escaped for its language: in HTML by autoescape, in Markdown by `escape_markdown`.
Before that, characters that cannot be seen become visible. A name that a template does not have is an error. Templates
read nothing but each other.
"""

import re
import shlex
from collections.abc import Callable
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from hlx_model.language import Format
from hlx_model.reporting import conclusion, numbers, views
from hlx_model.shown import show_lines, show_unseen

_MARKDOWN_SIGNS = {
    "pass": "✅ pass", "warn": "⚠️ warn", "fail": "❌ fail",
    "better": "▲ better", "same": "= same", "worse": "▼ worse",
}  # fmt: skip
_HTML_SIGNS = {"pass": "✓", "warn": "!", "fail": "✗", "better": "▲", "same": "=", "worse": "▼"}


class Safe(str):
    """Text in the language of the template already: it is printed as it is."""

    __slots__ = ()

    def __html__(self) -> str:
        """Return the text; Jinja does not escape what has this method."""
        return str(self)


def render(template: str, **values: object) -> str:
    """Render a template, named without `.jinja`, with these values."""
    environment = _markdown() if template.endswith(".md") else _html()
    return environment.get_template(f"{template}.jinja").render(**values)


def escape_markdown(text: str) -> str:
    """Escape text that is no Markdown, such as a reason that quotes a model, for a line or the cell of a table."""
    return re.sub(r"[\\|<`\[*~]|(?<![^\W_])_|_(?![^\W_])|:(?=//)|(?<=www)\.", r"\\\g<0>", show_unseen(text))


def markdown_code(text: str) -> str:
    """Write text as inline code, for a line or the cell of a table."""
    shown = show_unseen(text).replace("|", "\\|") or " "
    ticks = "`" * (max(map(len, re.findall("`+", shown)), default=0) + 1)
    pad = " " if "`" in shown else ""
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def markdown_block(text: str) -> str:
    """Write lines as a block of code, whatever is in them."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}\n{show_lines(text)}\n{fence}"


@cache
def _html() -> Environment:
    return _environment(show_unseen, sign=_HTML_SIGNS.__getitem__)


@cache
def _markdown() -> Environment:
    return _environment(
        lambda text: Safe(escape_markdown(text)),
        sign=_MARKDOWN_SIGNS.__getitem__,
        code=lambda text: Safe(markdown_code(text)),
        python=lambda value: Safe(repr(str(value))),
        shell=lambda words: Safe(shlex.join(map(str, words))),
    )


def template_environment(package: str, escape: Callable[[str], str]) -> Environment:
    """Return an environment in which every printed value goes through `escape`, except markup.

    A name that is missing is an error, and a value that is None a dash.

    Args:
        package: whose folder `templates` has the templates.
        escape: what is done with the text of a value, before HTML is escaped.
    """

    def finalize(value: object) -> object:
        if hasattr(value, "__html__"):
            return value
        return escape(numbers.NOTHING if value is None else str(value))

    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _environment(escape: Callable[[str], str], **filters: Callable[..., str]) -> Environment:
    environment = template_environment("hlx_model.reporting", escape)
    environment.filters |= filters | {
        "number": numbers.format_number,
        "percent": numbers.format_percent,
        "interval": numbers.format_interval,
        "perplexity": numbers.perplexity_of,
        "short": numbers.short_name,
        "bar_length": numbers.bar_length,
        "round_steps": numbers.round_steps,
        "found": views.answer_found,
    }
    environment.globals |= {"formats": list(Format), "views": views, "conclusion": conclusion.conclusion}
    return environment
