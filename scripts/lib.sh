# Sourced by the scripts beside it: where things are, how to speak, how to leave something running.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=$ROOT/.cache
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
mkdir -p "$CACHE"

say() { printf '%s\n' "$*"; }

die() {
  printf 'error: %s\n' "$1" >&2
  shift
  [ $# -eq 0 ] || printf '  %s\n' "$@" >&2
  exit 1
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# logged LOG MESSAGE COMMAND…: one line on screen, everything else in LOG, whose end is shown on failure.
logged() {
  local log=$1
  say "$2"
  shift 2
  "$@" >>"$log" 2>&1 </dev/null || {
    tail -n 20 "$log" >&2
    die "failed: $*" "the whole log: $log"
  }
}

# wait_for SECONDS COMMAND…: until the command succeeds.
wait_for() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || return 1
    sleep 0.2
  done
}

# background LOG COMMAND…: runs on when the caller and its terminal are gone. Descriptors above 2 are closed first:
# they may be a lock of ours or a pipe that somebody reads to its end.
background() {
  local log=$1 fd
  shift
  (
    for fd in /dev/fd/*; do
      fd=${fd##*/}
      if [ "$fd" -gt 2 ]; then eval "exec $fd>&-"; fi
    done
    if command -v setsid >/dev/null; then set -- setsid "$@"; fi
    exec nohup "$@" >>"$log" 2>&1 </dev/null
  ) &
}

# at_least WANTED VERSION: compares major and minor only.
at_least() {
  local wanted_major=${1%%.*} wanted_minor=${1#*.} major minor
  major=${2%%.*}
  minor=${2#*.}
  minor=${minor%%[!0-9]*}
  [[ $major =~ ^[0-9]+$ && $minor =~ ^[0-9]+$ ]] || return 1
  [ "$major" -gt "$wanted_major" ] || { [ "$major" -eq "$wanted_major" ] && [ "$minor" -ge "$wanted_minor" ]; }
}
