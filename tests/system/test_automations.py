"""What Prefect's server does by itself: it tells people of failures, and looks when it is told of measurements."""

import json
import socketserver
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.states import Failed

from deployments.automations import apply_automations
from tasks.errors import MatliftError

pytestmark = pytest.mark.usefixtures("prefect_server")


class Webhook(BaseHTTPRequestHandler):
    """Keeps what is sent to it."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(json.loads(body))  # type: ignore[attr-defined]
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Mailbox(socketserver.StreamRequestHandler):
    """Takes mail as RFC 5321 says, and keeps it."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline().strip():
            if line.upper() == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = list(iter(self.rfile.readline, b".\r\n"))
                self.server.received.append(b"".join(lines).decode())  # type: ignore[attr-defined]
            self.wfile.write(b"221 bye\r\n" if line.upper() == b"QUIT" else b"250 yes\r\n")


@pytest.fixture
def listen() -> Iterator[Callable[..., Any]]:
    """Starts servers on this machine, which keep what they receive."""
    servers = []

    def start(kind: type[socketserver.TCPServer], handler: type[socketserver.BaseRequestHandler]) -> Any:
        server: Any = kind(("127.0.0.1", 0), handler)
        server.received = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def client(prefect_server: str) -> Iterator[SyncPrefectClient]:
    assert prefect_server
    with get_client(sync_client=True) as lent:
        yield lent


@pytest.fixture
def deploy(client: SyncPrefectClient) -> Iterator[Callable[[str], uuid.UUID]]:
    """Puts a deployment of a recipe of the test's own on the server."""
    recipe, made = f"salts-{uuid.uuid4().hex[:8]}", []

    def deploy(flow: str) -> uuid.UUID:
        made.append(client.create_deployment(client.create_flow_from_name(flow), recipe, tags=["matlift", recipe]))
        return made[-1]

    yield deploy
    for deployment in made:
        client.delete_deployment(deployment)


def ours(client: SyncPrefectClient) -> dict[str, Any]:
    return {found.name: found.id for found in client.read_automations() if found.name.startswith("matlift: ")}


def fail(client: SyncPrefectClient, deployment: uuid.UUID, why: str) -> uuid.UUID:
    run = client.create_flow_run_from_deployment(deployment, name="salts with 4 rows")
    client.set_flow_run_state(run.id, Failed(message=why), force=True)
    return run.id


def within(seconds: float, condition: Callable[[], Any]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return bool(condition())


def test_a_webhook_is_told_of_a_training_that_fails_and_of_a_watch_that_keeps_failing(
    client: SyncPrefectClient, deploy: Any, listen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = listen(ThreadingHTTPServer, Webhook)
    retrain, watch = deploy("retrain"), deploy("watch")
    monkeypatch.setenv("MATLIFT_NOTIFY", f"http://127.0.0.1:{hook.server_port}/?token=hush")
    applied = apply_automations()
    before = ours(client)
    assert apply_automations() == applied
    assert ours(client) == before
    assert set(before) == set(applied)
    block = client.read_block_document_by_name("matlift", "custom-webhook", include_secrets=False)
    assert "hush" not in block.model_dump_json()

    for _ in range(2):
        fail(client, watch, "the database is away")
    run = fail(client, retrain, 'the disk is "full"')
    assert within(60, lambda: hook.received)
    (message,) = hook.received
    assert message["subject"] == "retrain salts with 4 rows: Failed"
    assert 'the disk is "full"' in message["body"]
    assert f"/runs/flow-run/{run}" in message["body"]
    fail(client, watch, "the database is away")
    assert within(60, lambda: len(hook.received) > 1)
    assert hook.received[1]["subject"] == "watch salts with 4 rows: Failed"
    assert len(hook.received) == 2

    monkeypatch.delenv("MATLIFT_NOTIFY")
    apply_automations()
    assert not any("failures" in name for name in ours(client))


def test_a_mailbox_is_told_of_a_training_that_fails(
    client: SyncPrefectClient, deploy: Any, listen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailbox = listen(socketserver.ThreadingTCPServer, Mailbox)
    port = mailbox.server_address[1]
    monkeypatch.setenv("MATLIFT_NOTIFY", f"mailto://127.0.0.1:{port}?from=matlift@lab.org&to=me@lab.org")
    apply_automations()
    fail(client, deploy("retrain"), "the disk is full")
    assert within(60, lambda: mailbox.received)
    assert "Subject: retrain salts with 4 rows: Failed" in mailbox.received[0]
    assert "To: me@lab.org" in mailbox.received[0]


@pytest.mark.parametrize("notify", ["ftp://lab.org", "slack-webhook/nobody", "me@lab.org"])
def test_who_cannot_be_told_is_refused_without_showing_the_address(
    notify: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MATLIFT_NOTIFY", notify)
    with pytest.raises(MatliftError, match=r"^MATLIFT_NOTIFY ") as refusal:
        apply_automations()
    assert "lab.org" not in str(refusal.value)


def test_an_event_that_anybody_may_send_makes_the_watch_look_and_sent_again_changes_nothing(
    client: SyncPrefectClient, deploy: Any, prefect_server: str
) -> None:
    deploy("retrain")
    watch = deploy("watch")
    apply_automations()
    recipe = client.read_deployment(watch).name

    def runs() -> list[dict[str, Any]]:
        only = {"deployments": {"name": {"any_": [recipe]}}}
        found: list[dict[str, Any]] = client.request("POST", "/flow_runs/filter", json=only).json()
        return found

    event = {
        "id": str(uuid.uuid4()),
        "event": "matlift.landed",
        "occurred": datetime.now(UTC).isoformat(),
        "resource": {"prefect.resource.id": f"matlift.recipe.{recipe}"},
    }
    httpx.post(f"{prefect_server}/events", json=[event]).raise_for_status()
    assert within(60, runs)
    httpx.post(f"{prefect_server}/events", json=[event]).raise_for_status()
    time.sleep(2)
    assert [run["deployment_id"] for run in runs()] == [str(watch)]
