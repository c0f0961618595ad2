"""The Hub, or what speaks as it does at ``HF_ENDPOINT``, through huggingface_hub, which also finds the token
(``HF_TOKEN``, ``hf auth login``)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from walt.core.errors import ConfigurationError, StorageError
from walt.core.secrets import without_secrets
from walt.hub import layout

_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def is_name(text: str) -> bool:
    """Whether a text can be OWNER/NAME."""
    return _NAME.fullmatch(text) is not None


def check_name(text: str, option: str) -> None:
    """Raise ConfigurationError, which begins with ``option``, where a text cannot be OWNER/NAME."""
    if not is_name(text):
        raise ConfigurationError(f"{option}: '{text}' is not OWNER/NAME")


def push(folder: Path, name: str, *, public: bool) -> str:
    """Make the repository's files those of ``folder``, in one commit; returns its address.

    Args:
        public: of a repository that is made now; others stay as they are.

    Raises:
        ConfigurationError: the name is not allowed. StorageError: the endpoint cannot be reached, or refuses.
    """
    with _errors(name):
        api = _api()
        api.create_repo(name, private=not public, exist_ok=True)
        commit = api.upload_folder(
            repo_id=name, folder_path=folder, delete_patterns="*", commit_message="walt export model"
        )
    return str(commit.commit_url)


def fetch(name: str, target: Path) -> str:
    """Fetch a repository that ``walt export model --push`` made into ``target``; returns its commit.

    Raises:
        ConfigurationError: it is not one of ours, or holds a pickle; nothing was fetched then.
        StorageError: the endpoint cannot be reached, or has no such repository.
    """
    with _errors(name):
        api = _api()
        commit = str(api.model_info(name).sha)
        layout.check_names(sorted(api.list_repo_files(name, revision=commit)), name)
        api.snapshot_download(name, revision=commit, local_dir=target)
    return commit


def _api() -> Any:
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not (get_token() or "").isascii():
        raise ConfigurationError("the token of HF_TOKEN, or of `hf auth login`, has characters that no token has")
    disable_progress_bars()
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)


@contextmanager
def _errors(name: str) -> Iterator[None]:
    """huggingface_hub's failures as one line each."""
    from huggingface_hub import get_token
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        yield
    except HFValidationError as error:
        raise ConfigurationError(f"{name}: {_first_line(error)}") from None
    except HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        hint = {
            401: f"; {'the token is not accepted: ' if get_token() else ''}set HF_TOKEN, or `hf auth login`",
            403: "; the token may not do this",
            404: "; there is no such repository, or, without Xet at the endpoint, HF_HUB_DISABLE_XET=1 is needed",
        }.get(status or 0, "")
        raise StorageError(f"{name}: {_endpoint()} answered {status}{hint}") from None
    except (KeyError, ValueError) as error:
        raise StorageError(
            f"{name}: {_endpoint()} gave an answer that is not understood: {_first_line(error)}"
        ) from None
    except (OSError, RuntimeError) as error:
        raise StorageError(f"{name}: {_endpoint()}: {_first_line(error)}") from None
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("httpx", "httpx2", "httpcore", "huggingface_hub"):
            raise
        raise StorageError(f"{name}: {_endpoint()}: {_first_line(error)}") from None


def _endpoint() -> str:
    return without_secrets(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]
