# For the shell tests: a temporary folder, conditions, and the end of everything that a test started.
# shellcheck shell=bash
set -euo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
export BARID_PRESET=${BARID_BUILD##*/}
bin=$BARID_BUILD/bin
work=$(mktemp -d)
chmod 711 "$work" # Postgres, as another user, passes through
instances=()

cleanup() {
  local code=$? pid instance
  for instance in "${instances[@]}"; do "$repo/ops/down" --data "$instance" >/dev/null 2>&1 || true; done
  for pid in $(jobs -p); do
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  if [ "$code" -ne 0 ]; then
    echo "--- the logs of the failed test"
    find "$work" -name '*.log' -size -200k -path '*log/*' -exec tail -n 15 {} + 2>/dev/null || true
  fi
  find "$work" -name postgres -type l -exec readlink {} \; | grep '^/var/lib/barid/postgres-' | xargs -r rm -rf || true
  rm -rf "$work"
  exit "$code"
}
trap cleanup EXIT

fail() {
  echo "FAILED: $*" >&2
  exit 1
}
# Until the command succeeds, at most that many seconds.
within() { # seconds, command…
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || fail "it never became true: $*"
    sleep 0.05
  done
}
expect() { # a name for it, wanted, got
  [ "$2" = "$3" ] || fail "$1: wanted '$2', got '$3'"
}
expect_match() { # a name for it, pattern, text
  grep -qE -- "$2" <<<"$3" || fail "$1: wanted something like '$2', got '$3'"
}
expect_one_line() { expect "lines of '$1'" 1 "$(wc -l <<<"$1" | tr -d ' ')"; }
gone() { ! kill -0 "$1" 2>/dev/null || grep -q '^State:.*Z' "/proc/$1/status"; }

run_test() {
  declare -F "$1" >/dev/null || fail "there is no test named $1"
  "$1"
  echo "ok: $1"
}
