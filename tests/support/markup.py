"""What a browser reads of a page of the Training Center, as far as the tests need it."""

from html.parser import HTMLParser

_VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})


class Markup(HTMLParser):
    """The elements of a page or of a part of it."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.script = ""
        """What stands in `script` and `style` elements."""
        self.unlabelled: list[str] = []
        """Controls without a label."""
        self.wrong: list[str] = []
        """End tags without an element, and comments."""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        named = set(self.values("for"))
        self.unlabelled = [name for name in self.unlabelled if name not in named]
        self.wrong += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.elements.append((tag, found))
        control = tag in ("select", "textarea") or (tag == "input" and found.get("type") != "hidden")
        if control and "label" not in self._open and "aria-label" not in found:
            self.unlabelled.append(found.get("id", ""))
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.wrong.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("script", "style"):
            self.script += data
        else:
            self.text += data

    def handle_comment(self, data: str) -> None:
        self.wrong.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of each element of a name."""
        return [attributes for name, attributes in self.elements if name == tag]

    def values(self, attribute: str) -> list[str]:
        """The values of an attribute."""
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]

    def checked(self, name: str) -> str | None:
        """The value of the checked input of a name."""
        chosen = [one["value"] for one in self.all("input") if one.get("name") == name and "checked" in one]
        return chosen[0] if chosen else None

    @property
    def selected(self) -> list[str]:
        """The values of the options that are selected."""
        return [one["value"] for one in self.all("option") if "selected" in one]

    def typed(self, name: str) -> str:
        """The value of the input of a name; one without a value does not count."""
        (found,) = [one["value"] for one in self.all("input") if one.get("name") == name and "value" in one]
        return found
