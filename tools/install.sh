#!/usr/bin/env bash
# install.sh PYTHON ARGUMENTS...: what `PYTHON -m pip install ARGUMENTS` does, by uv, which takes a fifth of its time.
# By pip itself where uv cannot be had, or where pip is told of an index of its own, of which uv knows nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
shift
pip=("$python" -m pip --disable-pip-version-check --quiet)

by_uv() {
  [[ $("${pip[@]}" config list) != *.index-url* ]] &&
    "${pip[@]}" install uv >/dev/null 2>&1 && "$python" -m uv pip install --quiet --python "$python" "$@"
}

by_uv "$@" 2>/dev/null || "${pip[@]}" install "$@"
