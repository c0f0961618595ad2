"""An S3-compatible server: moto, which lets nobody in without a key, and allows what the key's policy allows."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from flows.server import free_port
from infra.services.process import HOST, Service, answers

BUCKET = "walt"
POLICIES = Path(__file__).parents[1] / "s3"
_REGION = "us-east-1"
_ADMIN_POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
_FREE_ACTIONS = 3
"""Requests before anybody needs a key: a user, its policy, its key."""
_LOGGED = re.compile(r'"(GET|PUT|POST|HEAD|DELETE) (/\S*) HTTP/1.1" (\d{3})')


class ObjectStore(Service):
    """One server with one bucket."""

    def __init__(self, folder: Path) -> None:
        super().__init__("object-store", folder)
        self.port = free_port()
        self._admin: dict[str, str] = {}
        self._nothing = folder / "aws"  # a file: DVC fails at /dev/null

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.port}"

    def command(self) -> list[str]:
        """Moto's server."""
        return [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(self.port)]

    def environment(self) -> Mapping[str, str]:
        """Have it ask for keys."""
        return {"INITIAL_NO_AUTH_ACTION_COUNT": str(_FREE_ACTIONS)}

    def is_ready(self) -> bool:
        """Whether it answers."""
        return answers(f"{self.endpoint}/moto-api/")

    def start(self) -> None:
        """Start it, empty, and make the bucket: what it holds is gone when it stops."""
        super().start()
        self._nothing.touch()
        self._admin = self._environment({"AccessKeyId": "first", "SecretAccessKey": "request"})
        self._admin = self._user("admin", _ADMIN_POLICY)
        self.client("s3").create_bucket(Bucket=BUCKET)

    def user(self, name: str) -> dict[str, str]:
        """A new user with the policy ``infra/s3/<name>.json``; the environment in which a client is that user."""
        policy = (POLICIES / f"{name}.json").read_text(encoding="utf-8").replace("BUCKET", BUCKET)
        return self._user(name, json.loads(policy))

    def client(self, service: str) -> Any:
        """Boto's client, as the administrator."""
        import boto3

        given = self._admin
        return boto3.client(
            service, endpoint_url=self.endpoint, region_name=_REGION, aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
        )  # fmt: skip

    def keys(self, prefix: str = "") -> dict[str, int]:
        """Size by key of all objects under a prefix."""
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return {found["Key"]: found["Size"] for page in pages for found in page.get("Contents", ())}

    def calls(self) -> list[tuple[str, str, int]]:
        """Method, path with query, and status of each request so far, in their order."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return [(method, unquote(path), int(status)) for method, path, status in _LOGGED.findall(text)]

    def _user(self, name: str, policy: dict[str, Any]) -> dict[str, str]:
        iam = self.client("iam")
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=json.dumps(policy))
        return self._environment(iam.create_access_key(UserName=name)["AccessKey"])

    def _environment(self, key: Mapping[str, str]) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint, "AWS_DEFAULT_REGION": _REGION, "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"], "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(self._nothing), "AWS_SHARED_CREDENTIALS_FILE": str(self._nothing),
        }  # fmt: skip
