#!/bin/bash
# A short run of ops/torture: each fault at least once, and all is well; what it prints can be read by a program.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
BARID_PRESET=$(basename "${BARID_BUILD:-$root/build/release}")
export BARID_PRESET
out=$(mktemp "${TMPDIR:-/tmp}/barid-torture-XXXXXX")
trap 'rm -f "$out"' EXIT

"$root/ops/torture" --no-build --minutes 0.1 --clients 8 --seed "${BARID_SEED:-20}" --json >"$out" || {
  cat "$out"
  exit 1
}
cat "$out"
tail -n 1 "$out" | jq --exit-status '.ok and .accepted > 100 and .shown > .accepted and .quiet_after_ms >= 0
  and .lost + .doubled + .reordered + .corrupted + .invented + .failed + .receipts_missing == 0
  and (.by_fault | length) >= 20 and ([.by_fault[].times] | add) == .faults and (.not_run | has("nats-node-lost"))' >/dev/null || {
  echo "the last line does not say that all is well"
  exit 1
}
