"""What is read of the samples that a stage left."""

from __future__ import annotations

from pathlib import Path

import pytest

from walt.core.errors import CorruptArtifactError, StorageError
from walt.sampling.samples import read_samples


@pytest.mark.parametrize(
    ("content", "said"), [("[]", "it names no samples"), ("{}", "it names no samples"), ('[{"prompt": ', "not JSON")]
)
def test_a_list_that_is_empty_or_damaged_is_one_line(content: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"samples\.json: no such file"):
        read_samples(tmp_path)
    (tmp_path / "samples.json").write_text(content)
    with pytest.raises(CorruptArtifactError, match=rf"samples\.json: {said}") as damaged:
        read_samples(tmp_path)
    assert damaged.value.exit_status == 5
