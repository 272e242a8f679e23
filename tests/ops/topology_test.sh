#!/bin/bash
# ops/topology against real nats-servers. usage: topology_test.sh TEST (BARID_BUILD names the build folder)
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

base=$((30000 + ($$ % 1000) * 10))
config=$work/barid.toml
configure() { # partitions, shards, replicas, days
  sed -e "s|nats://127.0.0.1:7404|nats://127.0.0.1:$base|" -e "s/^partitions = 4/partitions = $1/" \
    -e "s/^inbox_shards = 64/inbox_shards = $2/" -e "s/^replicas = 1/replicas = $3/" \
    -e "s/^# ttl_s = 2592000/ttl_s = $(($4 * 86400))/" -e "s|^secrets_dir = .*|secrets_dir = \"$work/secrets\"|" -e "/^credentials_dir/d" \
    "$repo/ops/barid.toml.example" >"$config"
}
server() { # number, of: a cluster when more than one
  local n=$1 of=$2 i routes=""
  for ((i = 0; i < of; i++)); do routes+="\"nats://127.0.0.1:$((base + 6 + i))\", "; done
  {
    printf 'server_name: n%s\nlisten: "127.0.0.1:%s"\nhttp: "127.0.0.1:%s"\n' "$n" $((base + n)) $((base + 3 + n))
    printf 'jetstream { store_dir: "%s" }\n' "$work/js$n"
    if [ "$of" -gt 1 ]; then printf 'cluster { name: test, listen: "127.0.0.1:%s", routes: [%s] }\n' $((base + 6 + n)) "${routes%, }"; fi
  } >"$work/n$n.conf"
  nats-server --config "$work/n$n.conf" >"$work/n$n.log" 2>&1 &
}
healthy() { "$bin/barid-supervisor" probe "127.0.0.1:$((base + 3 + $1))/healthz"; }
servers() { # how many
  local n
  "$bin/baridctl" init-secrets "$work/secrets"
  for ((n = 0; n < $1; n++)); do server "$n" "$1"; done
  for ((n = 0; n < $1; n++)); do within 40 healthy "$n"; done
}
topology() { "$repo/ops/topology" "$@" --config "$config"; }
code_of() { # command…: its exit code; what it says is in $work/said
  local code=0
  "$@" >"$work/said" 2>&1 || code=$?
  echo "$code"
}

apply_prints_its_plan_and_is_idempotent() {
  configure 4 8 1 30
  servers 1
  expect "diff of nothing" 1 "$(code_of topology diff)"
  topology apply --dry-run >"$work/said"
  expect_match "the plan" "^plan: create +INBOX_07" "$(cat "$work/said")"
  expect "diff after --dry-run" 1 "$(code_of topology diff)"
  topology apply >"$work/said"
  expect_match "what was done" "^created INGRESS_0" "$(cat "$work/said")"
  expect "diff" 0 "$(code_of topology diff)"
  expect "again" "the topology is current" "$(topology apply)"
  topology export | jq -e '.format == 1 and .inbox_shards == 8 and ([.streams[].name] | index("INBOX_07"))' >/dev/null ||
    fail "the export"
}

show_is_a_table_json_and_a_picture() {
  configure 4 8 1 30
  servers 1
  topology apply >/dev/null
  topology show >"$work/said"
  expect_match "the table" "^INBOX \(8 shards\) +0" "$(cat "$work/said")"
  expect_match "the table" "^p3 +delivery +nobody" "$(cat "$work/said")"
  topology show --json | jq -e '.format == 1 and (.owned | length) == 8 and
    (.streams | map(select(.name | startswith("INBOX_"))) | length) == 8 and
    (.buckets | map(.name) | index("barid-owners"))' >/dev/null || fail "the JSON"
  topology show --json | jq -e '.owned[0] | .partition == "p0" and .waiting == 0' >/dev/null || fail "the lag"
  command -v dot >/dev/null || { echo "no picture: dot is not installed" && return; }
  topology show --svg "$work/picture.svg" >/dev/null
  grep -q "INGRESS_0" "$work/picture.svg" || fail "the stream is not in the picture"
}

partitions_and_shards_never_change_and_the_reason_is_said() {
  configure 4 8 1 30
  servers 1
  topology apply >/dev/null
  local before
  before=$(topology show --json | jq -c '[.streams[].name]')
  configure 8 8 1 30
  expect "other partitions" 1 "$(code_of topology apply --force)"
  expect_match "the reason" "partitions can't change: 4 there, 8 declared: .*order" "$(cat "$work/said")"
  configure 4 16 1 30
  expect "other shards" 1 "$(code_of topology apply --force)"
  expect_match "the reason" "inbox_shards can't change: 8 there, 16 declared: .*another stream" "$(cat "$work/said")"
  configure 4 8 1 30
  expect "the streams" "$before" "$(topology show --json | jq -c '[.streams[].name]')"
}

what_can_lose_messages_needs_force() {
  configure 4 8 1 30
  servers 1
  topology apply >/dev/null
  configure 4 8 1 60
  topology apply >"$work/said"
  expect_match "longer loses nothing" "^plan: change +INBOX_00  max_age" "$(cat "$work/said")"
  expect "diff" 0 "$(code_of topology diff)"
  configure 4 8 1 7
  expect "shorter" 1 "$(code_of topology apply)"
  expect_match "what it says" "loses.*--force" "$(cat "$work/said")"
  expect "and did nothing" 1 "$(code_of topology diff)"
  # An instance that starts leaves it, and goes on with what there is.
  expect "leaving it" 0 "$(code_of "$bin/baridctl" --config "$config" topology apply --leave-losses)"
  expect "and did nothing" 1 "$(code_of topology diff)"
  expect "with force" 0 "$(code_of topology apply --force)"
  expect "diff" 0 "$(code_of topology diff)"
}

replicas_grow_in_place() {
  configure 4 2 1 30
  servers 3
  applied() { topology apply >/dev/null; }
  within 40 applied # the cluster elects its leader
  topology show --json | jq -e 'all(.streams[]; .replicas == 1)' >/dev/null || fail "one replica at first"
  configure 4 2 3 30
  topology apply >"$work/said"
  expect_match "the plan" "^plan: change +INGRESS_0  num_replicas: 1 there, 3 declared" "$(cat "$work/said")"
  topology show --json | jq -e 'all(.streams[]; .replicas == 3) and all(.buckets[]; .replicas == 3)' >/dev/null || fail "three replicas"
  configure 4 2 1 30
  expect "fewer copies" 1 "$(code_of topology apply)"
}

run_test "$1"
