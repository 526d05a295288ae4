#!/usr/bin/env bash
# run_tests.sh PYTHON [pytest options]: all tests; those with a window on a virtual display where there is one.
# Without options those with a window run beside the others: they mostly wait for one another's events.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
shift
unset QT_QPA_PLATFORM  # napari draws nothing under Qt's offscreen platform
export NAPARI_ENSURE_PLUGIN_MAIN_THREAD=1
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
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  on_display -m gui -p no:cacheprovider >"$log" 2>&1 &
  window=$!
  "$python" -m pytest -m "not gui" || status=$?
  wait "$window" || status=$?
  echo "== tests that open a window"
  cat "$log"
fi
exit "$status"
