"""`hlx serve`: answer programs with a finished model, over HTTP."""

from importlib.util import find_spec
from typing import Annotated

from typer import Argument, Option

from hlx_model.cli.options import NAMED, Device, Directory, option, training_folder
from hlx_model.cli.show import echo
from hlx_model.model.device import device_of

PORT = 5001
_PACKAGES = ("fastapi", "uvicorn", "httptools", "prometheus_client")


def serve_command(
    checkpoint: Annotated[
        str | None,
        Argument(
            help=f"{NAMED} Or a folder that `hlx export` wrote.",
            show_default="the newest finished one that did not fail its gates",
        ),
    ] = None,
    host: Annotated[str, Option("--host", "-H", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, Option("--port", "-p", min=1, max=65535, help="Port to listen on.")] = PORT,
    ungated: Annotated[
        bool, option("Serve a model that failed its gates, was never evaluated, or whose verdict is void.")
    ] = False,
    watch: Annotated[bool, option("Take up a newer checkpoint by itself.")] = False,
    slots: Annotated[int, Option(min=1, max=1024, help="Texts that are written at once.")] = 64,
    waiting: Annotated[int, Option(min=1, help="Texts that may wait; more get status 503.")] = 256,
    seconds: Annotated[float, Option(min=1, help="Seconds for an answer; one that takes longer gets 503.")] = 30.0,
    device: Device = None,
    checkpoint_dir: Directory = None,
) -> None:
    """Answer programs with a finished model, over HTTP.

    POST /translate, the studio's client, and OpenAI's API below /v1/. Every answer has the verdict on the model.
    """
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise ValueError(f"serving needs {', '.join(missing)}: pip install -c constraints.txt -e '.[serve]'")
    from hlx_model.serving.server import serve
    from hlx_model.serving.service import Limits, Service

    def load() -> Service:
        service = Service(
            checkpoint, training_folder(checkpoint_dir, required=checkpoint is None), device=device_of(device),
            ungated=ungated, limits=Limits(slots, waiting, seconds),
        )  # fmt: skip
        for line in service.current.trust:
            echo(line, err=True)
        return service

    serve(load, host, port, watch=watch)
