"""HTTP servers that stand in for Ray's dashboard: they answer as it does, or hang, and keep what they were sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Dashboard:
    """A running server. `seen` has (path, authorization header) of each request; `jobs` are what it lists."""

    def __init__(
        self, jobs: list[dict[str, Any]] | None = None, *, hangs: bool = False, redirects_to: str = ""
    ) -> None:
        self.seen: list[tuple[str, str | None]] = []
        self.jobs = jobs or []
        self.logs = ""
        self._let_go = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                outer.seen.append((self.path, self.headers.get("Authorization")))
                if hangs:
                    outer._let_go.wait(60)
                    return
                if redirects_to:
                    self.send_response(302)
                    self.send_header("Location", redirects_to + self.path)
                    self.end_headers()
                    return
                status, body = outer.respond(self.path)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = answer

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def respond(self, path: str) -> tuple[int, bytes]:
        name = path.removeprefix("/api/jobs/")
        if not name:
            return 200, json.dumps(self.jobs).encode()
        known = [job for job in self.jobs if job["submission_id"] == name.partition("/")[0]]
        if not known:
            return 404, f"Job {name} does not exist".encode()
        if name.endswith("/stop"):
            known[0]["status"] = "STOPPED"
            return 200, b'{"stopped": true}'
        return 200, json.dumps({"logs": self.logs} if name.endswith("/logs") else known[0]).encode()

    def close(self) -> None:
        self._let_go.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def dashboard(*args: Any, **options: Any) -> Iterator[Dashboard]:
    server = Dashboard(*args, **options)
    try:
        yield server
    finally:
        server.close()


def listed(submission: str, job: str, status: str = "RUNNING", message: str = "") -> dict[str, Any]:
    """A job as Ray's dashboard describes it."""
    times = {"start_time": 1_700_000_000_000, "end_time": None}
    metadata = {"farm_job": job, "job_name": "film.mp4"}
    return {"submission_id": submission, "status": status, "message": message, "metadata": metadata, **times}
