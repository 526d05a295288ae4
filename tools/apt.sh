# Sourced, not run. apt_install PACKAGE... installs Debian packages where this user may; else it returns 1.

_as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

apt_install() {
  command -v apt-get >/dev/null || return 1
  [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || return 1
  local try
  # `update` fails at once while another apt holds the lists; `install` can wait for its lock by itself.
  for try in 1 2 3 4 5 6; do
    _as_root apt-get update -qq && break
    [ "$try" = 6 ] || sleep 10
  done
  _as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" >/dev/null
}
