"""Credentials are taken out of texts, and nothing else is."""

from __future__ import annotations

import pytest

from walt.core.log import console, info, warning
from walt.core.secrets import all_without_secrets, without_secrets

PLANTED = "s3cr3t-planted-value"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see https://me:pw@host:5000/a and more", "see https://***@host:5000/a and more"),
        ("postgresql+psycopg://me:p:w@db/mlflow", "postgresql+psycopg://***@db/mlflow"),
        ("https://token@host/a", "https://***@host/a"),
        ("https://host/a.mp4?X-Amz-Signature=abc&part=2", "https://host/a.mp4?X-Amz-Signature=***&part=2"),
        ("https://host/a?id=3&access_token=abc'", "https://host/a?id=3&access_token=***'"),
        ("https://me:p@ss@host/a", "https://***@host/a"),
        ("mysql://me:p/a#s?s@db/x, a@b", "mysql://***@db/x, a@b"),
        ("s3://a:b@c,s3://d:e@f", "s3://***@c,s3://***@f"),
        ("(http://:pw@[::1]:80/x@y)", "(http://***@y)"),
    ],
)
def test_what_is_secret_in_an_address_is_hidden(text: str, expected: str) -> None:
    assert without_secrets(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning",
        "models:/walt-base@champion",
        "s3://bucket/a?versionId=3",
        "http://host:5000/x@y, http://[::1]:5000/x@y, https://host?mail=a@b.c",
        "somebody@example.com; key = value",
        "base@champion, 3 of 4",
    ],
)
def test_all_else_stays(text: str) -> None:
    assert without_secrets(text) == text


@pytest.mark.parametrize("name", [
    "AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD", "HF_TOKEN", "my_api_key", "PREFECT_API_AUTH_STRING",
    "OPENLINEAGE__TRANSPORT__AUTH__APIKEY", "MYSQL_PWD", "SMTP_PASS", "RESTIC_PASSPHRASE", "FILM_PRIVATE_KEY",
])  # fmt: skip
def test_values_of_variables_are_hidden_wherever_they_stand(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, PLANTED)
    assert PLANTED not in without_secrets(f"the server said {PLANTED}!")
    assert all_without_secrets({"a": [PLANTED, 1, None], "b": {"c": (PLANTED,)}}) == {
        "a": ["***", 1, None], "b": {"c": ["***"]},
    }  # fmt: skip


def test_short_values_paths_and_other_variables_are_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USE_TOKEN", "true")
    monkeypatch.setenv("TOKEN_FILE", "/home/somebody/token")
    monkeypatch.setenv("GREETING", "hello there")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "W. Tell, Uri")
    text = "true, hello there, W. Tell, Uri, /home/somebody/token"
    assert without_secrets(text) == text


def test_lines_for_people_show_neither_secrets_nor_markup_nor_commands_to_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PLANTED)
    assert not console.is_terminal
    info(f"[bold]a[/bold] {PLANTED}\x1b[31m")
    warning(f"\x1b]0;title\x07 {PLANTED}")
    shown = capsys.readouterr().out
    assert shown == "[bold]a[/bold] ***\\x1b[31m\nwarning: \\x1b]0;title\\x07 ***\n"
