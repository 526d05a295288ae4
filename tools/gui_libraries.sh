#!/usr/bin/env bash
# Installs what a napari window needs on a virtual display, where it may: Xvfb, software OpenGL, X libraries.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/apt.sh

command -v dpkg-query >/dev/null || exit 0
packages="xvfb xauth libdbus-1-3 libegl1 libfontconfig1 libgl1 libgl1-mesa-dri libglib2.0-0 libopengl0
  libx11-xcb1 libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-randr0 libxcb-render-util0
  libxcb-render0 libxcb-shape0 libxcb-shm0 libxcb-sync1 libxcb-util1 libxcb-xfixes0 libxcb-xkb1
  libxkbcommon-x11-0"
missing=
for package in $packages; do
  # Debian 13 and Ubuntu 24.04 have some under a name with t64, which apt-get resolves by itself
  status=$(dpkg-query -W -f='${db:Status-Status}\n' "$package" "${package}t64" 2>/dev/null || true)
  grep -qx installed <<<"$status" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
echo "Installing system libraries for the window tests:$missing"
# shellcheck disable=SC2086  # a list of words
apt_install $missing || echo "Could not install them; with the right to, run: apt-get install$missing" >&2
