#!/usr/bin/env bash
# Put a real n8n, and the Node that it needs, into the cache, once (five minutes, 3 GB); print its folder.
#
# The folder is named after what is in it, so a new version is a new folder, and checkouts share one. The Node comes
# from the registry too: n8n asks for a newer one than most systems have. The scripts of the thousand packages do not
# run, except that of sqlite3, which builds the database's driver.
#
# Usage: tools/n8n/install.sh [--where]      (--where only prints the folder)
set -euo pipefail
cd "$(dirname "$0")"

cache="${BZZZ_CACHE:-$HOME/.cache/bzzz}"
version=$(sed -n 's/.*"n8n": "\(.*\)".*/\1/p' package.json)
folder="$cache/n8n-$version-$(cat package.json install.sh | sha256sum | cut -c1-12)"

say() { echo "n8n: $*" >&2; }
fail() { say "$*"; exit 1; }

if [ "${1:-}" = "--where" ] || [ -f "$folder/.installed" ]; then
  echo "$folder"
  exit
fi

command -v npm >/dev/null || fail "expected npm; run tools/install.sh, or install nodejs and npm, and run again"
command -v g++ >/dev/null && command -v make >/dev/null ||
  fail "expected a C++ compiler and make, to build the database's driver; install g++ and make and run again"

mkdir -p "$cache"
exec 9>"$folder.lock"
if command -v flock >/dev/null; then flock 9; fi
if [ -f "$folder/.installed" ]; then # by somebody else, while this waited
  echo "$folder"
  exit
fi

rm -rf "$folder"
mkdir "$folder"
cp package.json "$folder"
cd "$folder"

# Something to see every half minute: npm prints nothing until it is done.
progress() { while sleep 30; do say "still installing ($(du -sm . 2>/dev/null | cut -f1) of 2900 MB)"; done; }
progress &
watcher=$!
trap 'kill $watcher 2>/dev/null || true' EXIT

say "installing n8n $version into $folder: five minutes, 3 GB, once"
npm install --ignore-scripts --no-audit --no-fund --loglevel=error >npm.log 2>&1 ||
  fail "npm could not install it: $(tail -3 npm.log | tr '\n' ' ')(all of it in $folder/npm.log)"
for bundled in node_modules/node-linux-*/bin; do
  if [ -x "$bundled/node" ]; then export PATH="$PWD/$bundled:$PATH"; fi
done
major=$(node --version | sed -n 's/^v\([0-9]*\)\..*/\1/p')
[ "$major" -ge 24 ] || fail "expected Node 24, found $(node --version); the registry has one for Linux only: install it"
ln -s "$(command -v node)" node
say "building the database's driver: a minute"
(cd node_modules/sqlite3 && npm run install) >sqlite3.log 2>&1 ||
  fail "the database's driver could not be built: $(tail -3 sqlite3.log | tr '\n' ' ')(all of it in $folder/sqlite3.log)"
./node node_modules/n8n/bin/n8n --version >/dev/null || fail "n8n was installed and does not run; remove $folder and run again"
touch .installed
say "installed"
echo "$folder"
