#!/bin/bash
# A short run of scenarios that differ in what they do, through ops/bench, with few clients. What is checked is what every
# run checks: nothing lost, doubled, reordered, corrupted, every receipt there; and that the JSON says what it must.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
BARID_PRESET=$(basename "${BARID_BUILD:-$root/build/release}")
export BARID_PRESET
scratch=$(mktemp -d "${TMPDIR:-/tmp}/barid-bench-XXXXXX")
chmod 711 "$scratch"
trap 'rm -rf "$scratch"' EXIT

run() { # scenarios and options…
  "$root/ops/bench" --no-build --seconds 1 --warmup 1 --port-base 7850 --out "$scratch/out" "$@"
}
expect() { # file, jq condition
  jq --exit-status "$2" "$scratch/out/$1.json" >/dev/null || {
    printf '%s does not say %s:\n' "$1.json" "$2"
    cat "$scratch/out/$1.json"
    exit 1
  }
}

run --clients 40 throughput drain
run --clients 40 --transport websocket idle
run --clients 40 --transport tls idle
for name in throughput drain idle-websocket idle-tls; do
  expect "$name" '.ok and .sent > 0 and .delivered == .sent and .lost == 0 and .doubled == 0 and .reordered == 0'
done
expect throughput '.delivered_per_s > 0 and .p99_ms >= .p50_ms and .p50_ms > 0'
expect throughput '(.server_cpu_us_per_message_by_process | keys) == ["edge", "media", "nats", "postgres", "worker"]'
expect throughput '.server_cpu_us_per_message > 0 and .server_cpu_us_per_message_by_process.edge > 0'
expect idle-tls 'has("edge_bytes_per_connection")'
expect drain '.drained_per_s > 0 and .sent == 400'

run --members 12 --groups 2 --writers 3 group-fanout
expect group-fanout '.ok and .sent > 0 and .lost == 0 and .doubled == 0 and .reordered == 0 and .receipts_missing == 0'
expect group-fanout '.copies_per_s > 0 and .server_cpu_us_per_copy > 0 and .members == 12'
expect group-fanout '.latency1024.messages == 200 and .offline1024.messages == 20 and .offline1024.p50_ms > 0'
expect group-fanout '.["busy-groups"].throughput_ratio > 0'
