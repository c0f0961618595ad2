"""For all tests: one thread a process (tiny tensors gain nothing from more), nothing reported to anybody."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from tests.support.places import place, suite_bucket  # noqa: F401 fixtures
from tests.support.s3 import bucket, s3_server  # noqa: F401
from tests.support.warm import warm  # noqa: F401
from tests.support.web import web  # noqa: F401
from walt.core import environment

environment.set_defaults()
