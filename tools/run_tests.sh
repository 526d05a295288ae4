#!/usr/bin/env bash
# run_tests.sh PYTHON [pytest options]: all tests; those with a window on a virtual display where there is one.
# Without options those with a window run beside the others: they mostly wait for one another's events.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
shift
unset QT_QPA_PLATFORM  # napari draws nothing under Qt's offscreen platform
export NAPARI_ENSURE_PLUGIN_MAIN_THREAD=1
# Several processes at once: more threads of the linear algebra and of the renderer would only compete.
export OPENBLAS_NUM_THREADS=1 LP_NUM_THREADS=1
if [ "$(uname -s)" != Linux ]; then
  exec "$python" -m pytest "$@"
fi

on_display() {
  xvfb-run -a -s "-screen 0 1600x1000x24" "$python" -m pytest "$@"
}

status=0
if ! command -v xvfb-run >/dev/null; then
  echo "############ No Xvfb here: the tests that open a window are NOT run ############" >&2
  "$python" -m pytest -m "not gui" "$@" || status=$?
  echo "############ No Xvfb here: the tests that open a window were NOT run ############" >&2
elif [ $# -gt 0 ]; then
  on_display "$@" || status=$?
else
  logs=$(mktemp -d)
  trap 'rm -rf "$logs"' EXIT
  on_display -p no:cacheprovider tests/gui/test_[a-o]*.py >"$logs/1" 2>&1 &
  first=$!
  on_display -p no:cacheprovider tests/gui/test_[p-z]*.py >"$logs/2" 2>&1 &
  second=$!
  "$python" -m pytest -m "not gui" || status=$?
  wait "$first" || status=$?
  wait "$second" || status=$?
  echo "== tests that open a window"
  cat "$logs/1" "$logs/2"
fi
exit "$status"
