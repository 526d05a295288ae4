#!/usr/bin/env bash
# run_tests.sh PYTHON [pytest options]: all tests; those with a window on a virtual display where there is one.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
shift
unset QT_QPA_PLATFORM  # napari draws nothing under Qt's offscreen platform
export NAPARI_ENSURE_PLUGIN_MAIN_THREAD=1
if [ "$(uname -s)" != Linux ]; then
  exec "$python" -m pytest "$@"
elif command -v xvfb-run >/dev/null; then
  exec xvfb-run -a -s "-screen 0 1600x1000x24" "$python" -m pytest "$@"
fi
echo "############ No Xvfb here: the tests that open a window are NOT run ############" >&2
status=0
"$python" -m pytest -m "not gui" "$@" || status=$?
echo "############ No Xvfb here: the tests that open a window were NOT run ############" >&2
exit "$status"
