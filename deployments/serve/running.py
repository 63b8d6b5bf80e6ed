"""Start and end of the service."""

import logging
import socket
import sys
from collections.abc import Callable

import uvicorn

from deployments.serve.app import make_app
from deployments.serve.champion import Champion
from deployments.serve.worker import stop_all
from tasks.errors import MatliftError
from tasks.settings import settings

KEEP_ALIVE = 75  # seconds for which a connection may be silent: longer than load balancers keep theirs
CONNECTIONS = 1000  # more are refused: each may hold a request in memory


def serve(find: Callable[[], str], host: str, port: int) -> None:
    """Serve a model until Ctrl-C or SIGTERM; what has been asked by then is answered.

    Args:
        find: tells where the bundle is that should answer now.
        host: the address to listen at.
        port: the port; a free one if it is 0.

    Raises:
        MatliftError: there is no bundle, it is refused, or the port is taken.
    """
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(message)s")
    logging.getLogger("deployments").setLevel(logging.INFO)
    limits = settings()
    with _listening(host, port) as listening:
        try:
            champion = Champion(find)
            url = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
            about = champion.model.about
            said = f"{about['property']} in {about['unit']}, of the bundle {about['bundle']}"
            print(f"Serving {said}, at {url}/docs until Ctrl-C", flush=True)  # noqa: T201
            if limits.serve_token is None and host not in {"127.0.0.1", "::1", "localhost"}:
                print("Whoever reaches this port may ask: set MATLIFT_SERVE_TOKEN to ask for a token")  # noqa: T201
            config = uvicorn.Config(
                make_app(champion, limits),
                access_log=False,
                http="h11",  # it limits what comes before a body, too
                lifespan="on",
                limit_concurrency=CONNECTIONS,
                log_config=None,
                log_level="warning",
                loop="asyncio",
                server_header=False,
                timeout_graceful_shutdown=int(3 * limits.serve_seconds) + 1,
                timeout_keep_alive=KEEP_ALIVE,
                ws="none",
            )
            uvicorn.Server(config).run([listening])
        finally:
            stop_all()


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens, so that the port is known to be free before a model is loaded."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(found[4][:2], family=found[0], backlog=2048)
    except OSError as error:
        raise MatliftError(
            f"the service cannot listen at {host}, port {port} ({error.strerror}): choose others with --host and --port"
        ) from error
