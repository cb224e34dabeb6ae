#!/usr/bin/env bash
# Starts this kit: first `fedward check-kit`, and only when it passed FLARE itself.
#   start.sh          in the background; FLARE starts again by itself after a crash
#   start.sh --once   in the foreground, for systemd and containers
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")/.."
KIT=$PWD
if [ -f "$KIT/local/environment.sh" ]; then
  . "$KIT/local/environment.sh"
fi
if ! command -v fedward >/dev/null; then
  echo "fedward is not installed where this script looks: put its environment's bin folder into PATH in $KIT/local/environment.sh" >&2
  exit 1
fi
fedward check-kit --starting "$KIT"
if [ "${1:-}" = --once ]; then
  exec "$KIT/startup/sub_start.sh" --once
fi
nohup "$KIT/startup/sub_start.sh" >"$KIT/console.txt" 2>&1 </dev/null &
echo "Started; what it prints is in $KIT/console.txt"
