"""A stack that `matlift up` keeps up in a place, as its server's API and the files in the place show it."""

import base64
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import tiny
from browser import Page, browser
from cores import pin
from places import PATIENCE, Place, Run

from deployments.server import free_port

LOGIN = ("admin", "of the tests")

Json = dict[str, Any]


def prepare(place: Place) -> None:
    """Give a place the recipe `tiny`, and say in its `.env` where that is; its watch stays out of the tests' way."""
    tiny.write(place.folder / "recipes")
    lines = [
        "MATLIFT_RECIPES=recipes",
        f"MATLIFT_PORT={free_port()}",
        "MATLIFT_WATCH_INTERVAL=86400",
        "MATLIFT_TRAININGS=2",
    ]
    lines += [f"{name}={':'.join(LOGIN)}" for name in ("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING")]
    (place.folder / ".env").write_text("\n".join(lines))


@dataclass(frozen=True)
class Standing:
    """A stack that is up.

    Attributes:
        place: where it is.
        run: the `matlift up` that keeps it up.
        api: address of its server's API.
        client: that asks it; to make one takes longer than to ask.
    """

    place: Place
    run: Run
    api: str
    client: httpx.Client

    def ask(self, method: str, path: str, content: Any = None, **question: Any) -> Any:
        """Return what the server answers; one that is starting again, or whose database is locked, is waited for."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                answer = self.client.request(method, f"{self.api}/{path}", json=content or question)
                if answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                    return answer.raise_for_status().json() if answer.content else None
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline
            time.sleep(0.5)

    def deployment(self, name: str) -> Json:
        found: Json = self.ask("GET", f"deployments/name/{name}")
        return found

    def trigger(self, environment: Mapping[str, str] | None = None, **settings: Any) -> str:
        """Start a training of `tiny`, with other settings and environment if there are any, and return its id."""
        parameters = {
            "recipe": "tiny",
            "settings": {field.replace("_", "."): value for field, value in settings.items()},
        }
        deployment = self.deployment("retrain/tiny")["id"]
        job = {"env": dict(environment or {})}
        start = f"deployments/{deployment}/create_flow_run"
        run: Json = self.ask("POST", start, parameters=parameters, job_variables=job)
        return str(run["id"])

    def retry(self, run: str) -> None:
        """Let a run that failed go on, as people do."""
        command = [sys.executable, "-m", "prefect", "flow-run", "retry", run]
        environment = self.place.environment | {"PREFECT_API_URL": self.api}  # and the login of `.env`
        subprocess.run(command, check=True, cwd=self.place.folder, env=environment, capture_output=True)

    def flow_run(self, run: str) -> Json:
        found: Json = self.ask("GET", f"flow_runs/{run}")
        return found

    def states(self, run: str) -> list[str]:
        """Return the names of the states that a run has been in."""
        return [state["name"] for state in self.ask("GET", f"flow_run_states/?flow_run_id={run}")]

    def until(self, run: str, *names: str) -> Json:
        """Wait until a run is in a state of one of these names, and return it."""
        return self.waited(lambda: self.flow_run(run), lambda found: found["state_name"] in names)

    def waited(self, look: Callable[[], Any], good: Callable[[Any], bool]) -> Any:
        """Wait until something is as it must be, and return it."""
        deadline = time.monotonic() + PATIENCE
        while not good(found := look()):
            assert self.run.process.poll() is None, self.run.ended()
            assert time.monotonic() < deadline, (found, self.run.said())
            time.sleep(0.3)
        return found

    def pid(self, program: str) -> int:
        """Return the process id of the server or of the worker."""
        return int((self.place.folder / ".matlift" / "prefect" / f"{program}.pid").read_text())

    def kill(self, program: str) -> None:
        """Kill the server or the worker, and wait until there is another one."""
        dead = self.pid(program)
        os.kill(dead, signal.SIGKILL)
        self.run.until(f"the {program} died and is started again")
        self.waited(lambda: self.pid(program), lambda found: found != dead)

    def quick(self) -> None:
        """Give runs one core: what is small is done sooner than processes are started for it."""
        pin(self.pid("worker"))

    @contextmanager
    def dashboard(self) -> Iterator[Page]:
        """Lend a page of a browser that is logged in."""
        with browser() as page:
            page.remember(**{"prefect-password": base64.b64encode(":".join(LOGIN).encode()).decode()})
            yield page

    def bundles(self) -> list[str]:
        """Return the complete bundles of `tiny`."""
        names = self.place.files()
        return sorted(path for path in names if path.startswith("bundles/tiny/") and path.endswith("/manifest.json"))


@contextmanager
def standing(place: Place, *options: str, **environment: str) -> Iterator[Standing]:
    """Lend a stack that is up in a prepared place, with the deployments of `tiny`."""
    if (
        signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    ):  # tests in the background: what they start would ignore it, too
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with place.doing("up", "tiny", *options, **environment) as run:
        try:
            run.until("Up after")
            port = (place.folder / ".env").read_text().partition("MATLIFT_PORT=")[2].split()[0]
            with httpx.Client(auth=LOGIN, timeout=60) as client:
                stack = Standing(place, run, f"http://127.0.0.1:{port}/api", client)
                stack.quick()
                yield stack
        finally:
            run.process.terminate()  # it takes its children with it, which are in sessions of their own
            run.process.wait(PATIENCE)
