"""Errors that end a stage, each with the exit status of the command line.

The statuses are part of the public contract: 0 done, 2 configuration, 3 reject limit passed or nothing accepted,
4 storage or environment, 5 corrupt artefact, 6 another run holds the lock, 7 training diverged, 143 SIGTERM after a
checkpoint. Bad *data* is not an error: it becomes a row of the rejects table.
"""

from __future__ import annotations


class WaltError(Exception):
    """Base of all errors with an exit status. The message is one line that names the file or the key."""

    exit_status = 1


class ConfigurationError(WaltError):
    """A parameter, a descriptor or an argument is wrong. Raised before any work starts."""

    exit_status = 2


class RejectLimitError(WaltError):
    """Too many inputs were rejected, or none was accepted."""

    exit_status = 3


class StorageError(WaltError):
    """Storage or the environment fails: disk full, bucket missing, no permission."""

    exit_status = 4


class CorruptArtifactError(WaltError):
    """A finished file differs from what its index says."""

    exit_status = 5


class NotJsonError(CorruptArtifactError, ValueError):
    """A file that was written as JSON is none any more."""


class LockedError(WaltError):
    """Another running process works on the same output."""

    exit_status = 6


class DivergedError(WaltError):
    """Losses or gradients were not finite in too many steps in a row. The last good checkpoint is kept."""

    exit_status = 7


class TerminatedError(WaltError):
    """SIGTERM arrived; a checkpoint was written first."""

    exit_status = 143
