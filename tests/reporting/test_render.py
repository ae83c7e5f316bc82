"""What every template does without being told: escape, show the unseen, refuse an unknown name."""

import pytest
from jinja2 import Environment, TemplateNotFound, UndefinedError

from hlx_model.reporting import render


@pytest.fixture(params=["html", "markdown"])
def environment(request: pytest.FixtureRequest) -> Environment:
    return {"html": render._html, "markdown": render._markdown}[request.param]()


def printed(environment: Environment, template: str, **values: object) -> str:
    return environment.from_string(template).render(**values)


def test_a_printed_value_is_escaped_also_inside_a_macro(environment: Environment) -> None:
    template = "{% macro cell(x) %}{{ x }}{% endmacro %}{{ text }} {{ cell(text) }}"
    escaped = {"html": "&lt;b&gt; | ⟨U+202E⟩⏎", "markdown": "\\<b> \\| ⟨U+202E⟩⏎"}
    name = "html" if environment is render._html() else "markdown"
    assert printed(environment, template, text="<b> | \u202e\n") == f"{escaped[name]} {escaped[name]}"


def test_none_is_printed_as_a_dash(environment: Environment) -> None:
    assert printed(environment, "{{ x }} {{ x|number }} {{ x|percent }} {{ x|interval }}", x=None) == "– – – –"


def test_an_unknown_name_is_an_error(environment: Environment) -> None:
    for template in ("{{ unknown }}", "{{ x.unknown }}", "{% if unknown %}{% endif %}"):
        with pytest.raises(UndefinedError):
            printed(environment, template, x="")


@pytest.mark.parametrize("name", ["../models.py", "/etc/passwd", "report.html/../../models.py"])
def test_a_template_reads_nothing_outside_its_folder(environment: Environment, name: str) -> None:
    with pytest.raises(TemplateNotFound):
        printed(environment, "{% include name %}", name=name)
