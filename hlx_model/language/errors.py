"""The one error of reading HLX."""

from hlx_model.language.values import Format


class HLXSyntaxError(ValueError):
    """Text that a format does not allow.

    `str()` is one line: where, what was found there, and what would have been right.
    """

    message: str
    """What was found and what would have been right, on one line."""
    text: str
    """All of the text that was being read."""
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
