#!/usr/bin/env bash
# make_venv.sh DIR: a virtual environment with pip in DIR, from $PYTHON or the newest suitable Python found.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/apt.sh
venv=$1

suitable() {  # runs it, since a pyenv shim may exist for a version that is not active
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3 python}; do
    if suitable "$candidate"; then echo "$candidate"; return; fi
  done
  echo "No Python 3.11 or newer found${PYTHON:+ at PYTHON=$PYTHON}; install one, or name it: make PYTHON=/path/to/python3" >&2
  return 1
}

with_pip() {  # builds the environment by the first way that works here; Debian's python3 lacks ensurepip
  "$python" -m venv --clear "$venv" >/dev/null 2>&1 && return
  "$python" -m venv --clear --without-pip "$venv" >/dev/null 2>&1 &&
    "$python" -m pip --python "$venv/bin/python" install --quiet pip >/dev/null 2>&1 && return
  echo "Python's venv module is incomplete here; trying to install python3-venv ..."
  local version
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  { apt_install "python$version-venv" || apt_install python3-venv; } && "$python" -m venv --clear "$venv"
}

python=$(find_python)
echo "Creating $venv with $("$python" --version) ($(command -v "$python"))"
if ! with_pip; then
  rm -rf "$venv"
  echo "Could not create a virtual environment with $python; on Debian or Ubuntu run: sudo apt-get install python3-venv" >&2
  exit 1
fi
