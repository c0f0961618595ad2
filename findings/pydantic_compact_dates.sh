#!/usr/bin/env bash
# pydantic reads the text "20250101" as a moment of 1970, without an error.
#
# Guess:  a field of type datetime takes ISO 8601, as datetime.fromisoformat does, whose short form is 20250101; what it does not
#         take it refuses. yt-dlp writes "upload_date" so.
# Truth:  a text of digits is a number of seconds (or milliseconds): 20250101 is 23 August 1970, and all dates of thirty years
#         fall on four days of it, so that a split by month or by year finds everything in one place. "2025" is 1970, too.
#         With strict=True JSON is read the same way. A field of type date refuses them, since the seconds are no whole day.
# Seen:   pydantic 2.14.3, Python 3.11.7
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pydantic==2.14.3
venv/bin/python - <<'PY'
import datetime as dt
import platform
import sys

import pydantic

print("pydantic", pydantic.__version__, "Python", platform.python_version())
whole, days = pydantic.TypeAdapter(dt.datetime), pydantic.TypeAdapter(dt.date)


class Clip(pydantic.BaseModel, strict=True):
    uploaded: dt.datetime


def taken(adapter, text):
    try:
        return adapter.validate_python(text)
    except pydantic.ValidationError:
        return None


for text in ("2025-01-01", "20250101", "20251231", "20150101", "2025"):
    print(f"{text:10} {taken(whole, text)}")
first = dt.date(1996, 1, 1)
texts = [f"{first + dt.timedelta(days=n):%Y%m%d}" for n in range(30 * 365)]
read = [taken(whole, text) for text in texts]
moments = {moment.date() for moment in read if moment}
strict = Clip.model_validate_json('{"uploaded": "20250101"}').uploaded
accepted = sum(taken(days, text) is not None for text in texts)
print(f"{len(texts)} dates from {texts[0]} to {texts[-1]}: read {sum(map(bool, read))}, as", *sorted(map(str, moments)))
print("strict JSON", strict)
print(f"a field of type date takes {accepted} of them")
if dt.datetime.fromisoformat("20250101") != dt.datetime(2025, 1, 1) or taken(whole, "2025-01-01") != dt.datetime(2025, 1, 1):
    sys.exit("CHANGED: what it is compared with does not hold")
if not all(read) or any(moment.year != 1970 for moment in read):
    sys.exit("CHANGED: compact dates are refused or read as dates")
if strict.year != 1970:
    sys.exit("CHANGED: a strict model reads JSON otherwise")
if accepted:
    sys.exit("CHANGED: a field of type date takes some of them")
print("HOLDS: every compact date is a moment of 1970")
PY
