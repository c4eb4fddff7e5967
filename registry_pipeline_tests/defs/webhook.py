"""A web server on loopback that keeps what is posted to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Webhook:
    """An address, the documents that were posted to it, and the status with which it answers."""

    url: str
    documents: list[dict[str, Any]] = field(default_factory=list)
    gets: list[str] = field(default_factory=list)
    status: int = 204
    location: str | None = None

    def find(self, text: str) -> dict[str, Any] | None:
        """Return the first document whose text contains this one."""
        return next((document for document in self.documents if text in document["text"]), None)


@contextmanager
def open_webhook() -> Iterator[Webhook]:
    """Serve a webhook on a free port of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Type"] == "application/json"
            webhook.documents.append(json.loads(body))
            self.send_response(webhook.status)
            if webhook.location is not None:
                self.send_header("Location", webhook.location)
            self.end_headers()

        def do_GET(self) -> None:
            webhook.gets.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        webhook = Webhook(f"http://127.0.0.1:{server.server_port}/secret-token")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield webhook
        finally:
            server.shutdown()
            thread.join()
