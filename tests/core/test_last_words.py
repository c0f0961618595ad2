"""What a process leaves that dies without a word."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.waiting import SECONDS
from walt.core.last_words import ASK, kernels_words, kills_for_memory, note_progress, progress_of, stack_of

DYING = """
import os, sys, time
from pathlib import Path
from walt.core.last_words import keep, note_progress
from walt.core.log import ProgressBar

def in_the_middle():
    print("there", flush=True)
    time.sleep(60)

keep(Path(sys.argv[1]), "1")
with ProgressBar("train-base", 16, "steps", completed=4) as bar:
    bar.advance(3)
    in_the_middle()
"""


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGKILL])
def test_progress_and_stack_of_a_process_that_dies(number: signal.Signals, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", DYING, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "there\n"
        process.send_signal(ASK)
        deadline = time.monotonic() + SECONDS
        while "in <module>" not in stack_of(tmp_path, "1"):  # its last line
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert process.poll() is None
        process.send_signal(number)
        assert process.wait(SECONDS) == -number
    assert progress_of(tmp_path, "1") == "7/16 steps"
    assert stack_of(tmp_path, "1").count("in in_the_middle") == (1 if number == signal.SIGKILL else 2)
    assert ("Fatal Python error" in stack_of(tmp_path, "1")) == (number != signal.SIGKILL)


def test_of_a_process_that_has_not_begun_there_is_nothing(tmp_path: Path) -> None:
    note_progress("3/4 steps")  # kept by nobody
    assert progress_of(tmp_path, "0") == stack_of(tmp_path, "0") == ""
    assert not list(tmp_path.iterdir())


def test_the_kernels_words_are_of_the_process(tmp_path: Path) -> None:
    log = tmp_path / "kmsg"
    log.write_text(
        "6,1,5,-;python[123]: segfault at 8 ip 00007f in libother.so[1,2]\n"
        "6,2,6,-;python[12]: segfault at 0 ip 00007f in libtorch_cpu.so[18c1770,7f+14]\n"
        "4,3,7,-;eth0: link up\n"
    )
    assert kernels_words(12, log) == "python[12]: segfault at 0 ip 00007f in libtorch_cpu.so[18c1770,7f+14]"
    assert kernels_words(1, log) == kernels_words(12, tmp_path / "absent") == ""


def test_how_many_the_kernel_has_killed_for_lack_of_memory(tmp_path: Path) -> None:
    counts = tmp_path / "vmstat"
    counts.write_text("nr_free_pages 7\noom_kill 3\noom_kill_other 9\n")
    assert kills_for_memory(counts) == 3
    counts.write_text("nr_free_pages 7\n")
    assert kills_for_memory(counts) is kills_for_memory(tmp_path / "absent") is None
