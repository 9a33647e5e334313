#!/usr/bin/env bash
# A hive of three agents on the small project beside this file. Called by `make demo`.
# ONCE=1 exits when all is done, REPORT=DIR keeps the report, MODEL=provider:name uses another model.
set -euo pipefail
cd "$(dirname "$0")/../.."

# The project is served from a git repository of its own, made anew for each run.
repo=build/demo/larder
rm -rf "$repo"
mkdir -p "$repo"
cp -R examples/demo/project/. "$repo"
git -C "$repo" init --quiet --initial-branch=main
git -C "$repo" -c core.excludesFile= add --all
git -C "$repo" -c user.name=demo -c user.email=demo@localhost -c commit.gpgsign=false -c core.hooksPath=/dev/null \
  commit --quiet --message "A small library for cooking"

arguments=(--file examples/demo/hiveagent.yaml --repo "$repo" --issues examples/demo/issues.yaml)
[ -z "${ONCE:-}" ] || arguments+=(--once)
[ -z "${REPORT:-}" ] || arguments+=(--report "$REPORT")
[ -z "${MODEL:-}" ] || arguments+=(--model "$MODEL")
exec .venv/bin/bzzz local "${arguments[@]}"
