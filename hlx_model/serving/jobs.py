"""The texts of a request while they are written."""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field


class Overloaded(Exception):
    """More texts wait than may."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many texts wait: try again in {seconds} s")
        self.seconds = seconds
        """After which a slot is probably free."""


class Closed(Exception):
    """No more texts are taken: another model is served, or the server ends."""


class Unavailable(Exception):
    """Nothing can be written now."""

    def __init__(self, seconds: float) -> None:
        super().__init__("the model's process cannot be started: see the log of this server")
        self.seconds = int(seconds)
        """After which it is tried again."""


@dataclass(eq=False)
class Text:
    """A text that is written: its prompt, its limits, and what is written of it."""

    prompt: str
    """At most `MAX_PROMPT` characters that the model knows."""
    max_new_tokens: int
    """At least 1. The model's 512 positions are a limit too."""
    temperature: float = 0.0
    """0 takes the most likely token (greedy); above 0 tokens are sampled."""
    seed: int = 0
    """Of the sampling."""
    written: str = ""
    end: str | None = None
    """`stop` if the model ended the text, `length` if a limit did, `cancelled`; None while it is written."""
    id: int = field(default_factory=itertools.count().__next__)
    """No other text of this process has it."""


class Job:
    """The texts of one request. It is used in the thread of its event loop.

    Args:
        texts: what is written.
        each_token: whether somebody waits for each token, and not only for the end.
        cancel: gives the slots of texts to others.
    """

    def __init__(self, texts: Sequence[Text], *, each_token: bool, cancel: Callable[[Iterable[Text]], None]) -> None:
        self.texts, self.each_token = texts, each_token
        self.problem: str | None = None
        """Why nothing more is written, if an error ended it."""
        self.loop = asyncio.get_running_loop()
        self._cancel = cancel
        self._changed = asyncio.Event()

    @property
    def done(self) -> bool:
        """Whether every text has ended."""
        return self.problem is not None or all(text.end for text in self.texts)

    async def changed(self) -> None:
        """Wait until the job has ended; with `each_token` also until a token was written since the last call."""
        await self._changed.wait()
        self._changed.clear()

    async def ended(self) -> None:
        """Wait until every text has ended."""
        while not self.done:
            await self.changed()

    def cancel(self, *texts: Text) -> None:
        """Give the slots of some texts to others; without arguments of all texts."""
        self._cancel(texts or self.texts)
        self._changed.set()

    def update(self, text: Text, new: str, end: str | None) -> None:
        """Take in what is new of a text, and its end."""
        text.written += new
        text.end = text.end or end
        if self.each_token or self.done:
            self._changed.set()

    def fail(self, problem: str) -> None:
        """End the job with an error."""
        self.problem = self.problem or problem
        self.cancel()
