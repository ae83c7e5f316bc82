"""An engine whose model fails at certain prompts: `python -m tests.support.faulty_engine`, as the real one."""

import os
import signal
from collections import deque
from typing import Any

from hlx_model.model.generation import Batch, GenerationRequest
from hlx_model.model.tokenizer import encode
from hlx_model.serving import engine

RAISE, RAISE_LATER, DIE = "Raise", "Raise later", "Die"
"""Prompts: a step raises before a token of the text is written, or after the first one; the process dies."""


class FaultyBatch(Batch[Any]):
    """A batch that fails at certain prompts."""

    def step(self, waiting: deque[Any]) -> list[Any]:
        """Write a token of each text, or fail."""
        texts: list[GenerationRequest] = [*waiting, *self._texts]
        for prompt, tokens in ((RAISE, 0), (RAISE_LATER, 1)):
            if any(text.prompt == encode(prompt) and len(text.written) == tokens for text in texts):
                raise RuntimeError("CUDA out of memory: /secret")
        if any(text.prompt == encode(DIE) for text in texts):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(waiting)


if __name__ == "__main__":
    engine.Batch = FaultyBatch  # type: ignore[attr-defined]
    engine.main()
