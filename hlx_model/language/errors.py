"""The one error that reading HLX raises."""

from hlx_model.language.formats import Format


class HLXSyntaxError(ValueError):
    """A text that a format does not allow.

    `str()` is one line: the place, what was found there, and what was expected.
    """

    message: str
    """What was found and what was expected, on one line."""
    text: str
    """The whole text that was read."""
    position: int
    """Offset of what was found: 0 to len(text)."""
    line: int
    """1-based; lines end at a line feed."""
    column: int
    """1-based, in characters."""
    format: Format

    def __init__(self, message: str, text: str, position: int, format: Format) -> None:
        super().__init__(message, text, position, format)  # `args` as the signature: the error pickles
        self.message = message
        self.text = text
        self.position = position
        self.line = text.count("\n", 0, position) + 1
        self.column = position - text.rfind("\n", 0, position)
        self.format = format

    def __str__(self) -> str:
        return f"{self.format} line {self.line}, column {self.column}: {self.message}"
