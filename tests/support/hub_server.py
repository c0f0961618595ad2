"""A stand-in for the Hub on loopback: the few calls that pushing and fetching a model make, with files kept in memory.

What it answers is as huggingface_hub 2.4 reads it: ``/api/repos/create``, ``preupload``, git's large file storage,
``commit``, ``tree``, ``revision`` and ``resolve``.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.support.loopback import serve

TOKEN = "hf_a-secret"


class Hub:
    """Its repositories: name -> the files of each commit, oldest first."""

    def __init__(self) -> None:
        self.commits: dict[str, list[dict[str, bytes]]] = {}
        self.private: dict[str, bool] = {}
        self.large: dict[str, bytes] = {}
        self.calls: list[str] = []
        self.url = ""

    def sha(self, name: str, number: int = -1) -> str:
        """Of a commit."""
        files = self.commits[name][number]
        return hashlib.sha1(b"".join(key.encode() + value for key, value in sorted(files.items()))).hexdigest()

    def files(self, name: str) -> dict[str, bytes]:
        """Of the newest commit."""
        return self.commits[name][-1]

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any, dict[str, str]]:
        """(status, JSON or bytes, headers)."""
        self.calls.append(f"{method} {path}")
        if path == "/api/validate-yaml":
            return 200, {"warnings": [], "errors": []}, {}
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path.startswith("/large/"):
            self.large[path.removeprefix("/large/")] = body
            return 200, {}, {}
        if path.startswith("/api/models/"):
            return self._api(path.removeprefix("/api/models/").split("/"), body)
        owner, name, *rest = path.strip("/").split("/")
        if rest[:3] == ["info", "lfs", "objects"]:
            return 200, {"transfer": "basic", "objects": [self._wanted(one) for one in json.loads(body)["objects"]]}, {}
        return self._resolve(f"{owner}/{name}", unquote("/".join(rest[2:])))

    def _create(self, asked: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.commits:
            return 409, {"error": "You already created this model repo", "url": f"{self.url}/{name}"}, {}
        self.commits[name] = [{".gitattributes": b"*.safetensors filter=lfs\n"}]
        self.private[name] = asked.get("visibility") == "private"
        return 200, {"url": f"{self.url}/{name}", "name": name, "id": name}, {}

    def _api(self, parts: list[str], body: bytes) -> tuple[int, Any, dict[str, str]]:
        name, call = "/".join(parts[:2]), parts[2] if len(parts) > 2 else "revision"
        if name not in self.commits:
            return 404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"}
        if call == "preupload":
            modes = [
                {
                    "path": one["path"], "shouldIgnore": False,
                    "uploadMode": "lfs" if one["path"].endswith(".safetensors") else "regular",
                }
                for one in json.loads(body)["files"]
            ]  # fmt: skip
            return 200, {"files": modes}, {}
        if call == "commit":
            return self._commit(name, [json.loads(line) for line in body.splitlines()])
        if call == "tree":
            return 200, [self._entry(path, data) for path, data in sorted(self.files(name).items())], {}
        siblings = [{"rfilename": path} for path in sorted(self.files(name))]
        return 200, {"id": name, "sha": self.sha(name), "siblings": siblings, "private": self.private[name]}, {}

    def _commit(self, name: str, lines: list[dict[str, Any]]) -> tuple[int, Any, dict[str, str]]:
        files = dict(self.files(name))
        for line in lines:
            value = line["value"]
            if line["key"] == "deletedFile":
                del files[value["path"]]
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.large[value["oid"]]
        self.commits[name].append(files)
        return 200, {"commitUrl": f"{self.url}/{name}/commit/{self.sha(name)}", "commitOid": self.sha(name)}, {}

    def _wanted(self, one: dict[str, Any]) -> dict[str, Any]:
        """How a large file is to be sent."""
        known = one["oid"] in self.large
        upload = {"upload": {"href": f"{self.url}/large/{one['oid']}"}}
        return {**one, **({} if known else {"actions": upload})}

    @staticmethod
    def _entry(path: str, data: bytes) -> dict[str, Any]:
        entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
        if path.endswith(".safetensors"):
            digest = hashlib.sha256(data).hexdigest()
            entry["lfs"] = {"oid": digest, "size": len(data), "pointerSize": 130}
        return entry

    def _resolve(self, name: str, path: str) -> tuple[int, Any, dict[str, str]]:
        if name not in self.commits or path not in self.files(name):
            code = "EntryNotFound" if name in self.commits else "RepoNotFound"
            return 404, {"error": code}, {"X-Error-Code": code}
        data = self.files(name)[path]
        digest = hashlib.sha256(data).hexdigest() if path.endswith(".safetensors") else hashlib.sha1(data).hexdigest()
        return 200, data, {"ETag": f'"{digest}"', "X-Repo-Commit": self.sha(name)}


@contextmanager
def hub_server() -> Iterator[Hub]:
    """A hub that answers whoever has ``TOKEN``, until the block ends."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = urlsplit(self.path).path
            if self.headers.get("Authorization") != f"Bearer {TOKEN}" and not path.startswith("/large/"):
                status, content, headers = 401, {"error": "Invalid username or password."}, {}
            else:
                status, content, headers = hub.answer(self.command, path, body)
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_GET = do_HEAD = do_POST = do_PUT = answer

        def log_message(self, *_: object) -> None: ...

    server = serve(Handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
