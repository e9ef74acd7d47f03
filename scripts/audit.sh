#!/usr/bin/env bash
# Asks pip-audit (of the folder given) for known vulnerabilities of the locked packages. Exit code 1: there are some.
# Exit code 2: no database could be asked, in one line. pip-audit itself ends with 1 in both cases, or passes over what
# it found nowhere.
set -uo pipefail
cd "$(dirname "$0")/.."

said=$("$1/pip-audit" --strict --disable-pip --require-hashes --progress-spinner off \
    -r requirements/lock.txt -r requirements/torch.txt 2>&1)
code=$?
reason=$(grep -m1 -iE 'could not connect|connection|timed out|not redirecting|not found on PyPI|service error' <<< "$said")
if [ $code -ne 0 ] && ! grep -qE '^Found [0-9]+ known' <<< "$said" && [ -n "$reason" ]; then
    echo "not audited: no database of known vulnerabilities could be reached (${reason#ERROR:*:})" >&2
    exit 2
fi
echo "$said"
exit $code
