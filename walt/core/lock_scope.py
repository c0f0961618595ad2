"""Whether a lock holds on other machines too, which the file system does not say when it gives one."""

from __future__ import annotations

from pathlib import Path

import psutil

_LOCAL_LOCKS = {
    "nfs": ("local_lock=all", "local_lock=flock", "nolock"),
    "nfs4": ("local_lock=all", "local_lock=flock", "nolock"),
    "lustre": ("localflock",),
    "cifs": ("nobrl",),
    "smb3": ("nobrl",),
}
"""Types of file systems that machines share, and the options of a mount with which ``flock`` locks out the processes of
its own machine alone: nfs(5), mount.lustre(8), mount.cifs(8)."""


def option_of_local_locks(path: Path) -> str | None:
    """The option of the mount that ``path`` is on because of which another machine does not see its locks; None where
    there is none that we know of."""
    path, found = path.resolve(), None
    mounts = psutil.disk_partitions(all=True)
    on = [mount for mount in mounts if path.is_relative_to(mount.mountpoint)]
    if on:  # the last of several on one folder is the one that is seen
        mount = max(reversed(on), key=lambda mount: len(Path(mount.mountpoint).parts))
        options = mount.opts.split(",")
        found = next((name for name in _LOCAL_LOCKS.get(mount.fstype, ()) if name in options), None)
    return found
