"""Messages of a trainer are read as soon as their lines are whole, and none is lost."""

import json
import threading
from pathlib import Path
from typing import Any

from hlx_assets.curriculum.messages import WholeLinesReader
from tests.support.waiting import wait_for


class Received:
    """What a reader passes on."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def handle_message(self, message: Any) -> None:
        """Keep a message."""
        self.messages.append(message)


def test_a_line_that_is_written_in_parts_is_one_message(tmp_path: Path) -> None:
    received, path = Received(), tmp_path / "messages"
    messages = [{"n": 0}, {"text": "🜊" * 5_000}, {}, {"n": 3}]
    content = "".join(json.dumps(message, ensure_ascii=False) + "\n" for message in messages).encode()
    with WholeLinesReader(path).read_messages(received) as where, path.open("ab", buffering=0) as file:
        assert where == {"path": str(path)}
        for start in range(0, len(content), 1_999):  # in the midst of a character, too
            file.write(content[start : start + 1_999])
            threading.Event().wait(0.02)
        wait_for(lambda: received.messages == messages)


def test_what_was_written_until_the_end_is_read_but_for_half_a_line(tmp_path: Path) -> None:
    received, path = Received(), tmp_path / "messages"
    with WholeLinesReader(path).read_messages(received), path.open("a") as file:
        file.write('{"n": 1}\n' * 1_000 + '{"n": 2')
    assert received.messages == [{"n": 1}] * 1_000
