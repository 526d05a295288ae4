#!/usr/bin/env bash
# run_tests.sh PYTHON [pytest options]: all tests; those with a window on a virtual display where there is one.
# Without options they run in shards, side by side; run_tests.sh PYTHON --shards 'FILES' 'FILES' ... runs these so.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
shift
unset QT_QPA_PLATFORM  # napari draws nothing under Qt's offscreen platform
unset PYTHONDONTWRITEBYTECODE  # else each of some hundred processes compiles the package for itself
export NAPARI_ENSURE_PLUGIN_MAIN_THREAD=1
# Several processes at once: more threads of the linear algebra and of the renderer would only compete.
export OPENBLAS_NUM_THREADS=1 LP_NUM_THREADS=1

# The longest first; a window mostly waits for its events, and none is to be left alone at the end: four at once.
# The Model dock goes with the session, whose fitted crystal it takes over.
others=$(find tests -mindepth 1 -maxdepth 1 -type d ! -name gui ! -name data ! -name __pycache__ | sort | tr '\n' ' ')
shards=(
  "tests/test_[f-z]*.py tests/gui/test_m[o-z]*.py" "tests/gui/test_[a-l]*.py tests/gui/test_[no]*.py"
  "tests/test_[a-e]*.py" "tests/gui/test_[s-z]*.py" "$others"
  "tests/gui/test_m[a-n]*.py" "tests/gui/test_[p-r]*.py"
)
if [ "${1:-}" = --shards ]; then
  shift
  shards=("$@")
  named=$*
  set --
fi
if [ "$(uname -s)" != Linux ]; then
  # shellcheck disable=SC2086  # a word each
  exec "$python" -m pytest ${named:-} "$@"
fi

on_display() {
  xvfb-run -a -s "-screen 0 1600x1000x24" "$python" -m pytest "$@"
}

# What opens no window needs no display, and none of the plugins that would import Qt and napari for it. Large arrays
# come and go: what was freed is kept, which saves a tenth of the time to have the system clear pages anew.
without_window() {
  MALLOC_MMAP_THRESHOLD_=268435456 MALLOC_TRIM_THRESHOLD_=1073741824 \
    "$python" -m pytest -p no:napari -p no:pytest-qt "$@"
}

status=0
if ! command -v xvfb-run >/dev/null; then
  echo "############ No Xvfb here: the tests that open a window are NOT run ############" >&2
  # shellcheck disable=SC2086  # a word each
  "$python" -m pytest -m "not gui" ${named:-} "$@" || status=$?
  echo "############ No Xvfb here: the tests that open a window were NOT run ############" >&2
elif [ $# -gt 0 ]; then
  on_display "$@" || status=$?
else
  logs=$(mktemp -d)
  trap 'rm -rf "$logs"' EXIT
  for k in "${!shards[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge 4 ]; do wait -n || true; done
    (
      shopt -s nullglob
      code=0
      case ${shards[k]} in *tests/gui*) how=on_display ;; *) how=without_window ;; esac
      # shellcheck disable=SC2086  # a shard is several patterns
      "$how" -p no:cacheprovider ${shards[k]} >"$logs/$k" 2>&1 || code=$?
      echo "$code" >"$logs/$k.status"
    ) &
  done
  wait || true
  for k in "${!shards[@]}"; do
    echo "== ${shards[k]}"
    cat "$logs/$k"
  done
  # Once more at the end, where whoever reads only that finds it.
  for k in "${!shards[@]}"; do
    code=$(cat "$logs/$k.status" 2>/dev/null || echo 1)
    [ "$code" = 0 ] && continue
    status=$code
    echo "== failed (exit status $code): ${shards[k]}"
    sed -nE '/^=+ (FAILURES|ERRORS) =+$/,$p' "$logs/$k" | tail -n 150 | grep . || tail -n 50 "$logs/$k"
  done
fi
exit "$status"
