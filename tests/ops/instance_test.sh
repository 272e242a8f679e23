#!/bin/bash
# Whole instances: the real Postgres, nats-server, worker and edge. usage: instance_test.sh TEST
# (BARID_BUILD names the build folder). Ports are chosen away from the default ones.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

pick_base() { # sets base to ports that nobody listens on
  for ((base = 24000 + ($$ % 700) * 10 + ${1:-0}; ; base += 10)); do
    "$repo/ops/up" --no-build --dry-run --data "$work/none" --port-base "$base" >/dev/null 2>&1 && return
  done
}
up() { # data folder, port base, more options…
  local data=$1 port_base=$2
  shift 2
  instances+=("$data")
  "$repo/ops/up" --no-build --detach --data "$data" --port-base "$port_base" "$@"
}
status() { "$repo/ops/status" --json --data "$1"; }
ready() { status "$1" | jq -e .ready; }
pid_of() { status "$1" | jq -r --arg name "$2" '.processes[] | select(.name == $name) | .pid'; }
restarted() { # data folder, name, the pid it had
  local now
  now=$(pid_of "$1" "$2")
  [ "$now" != 0 ] && [ "$now" != "$3" ]
}
query() { # data folder, SQL: as the owner of the tables
  local url
  url=$(sed -n 's/^owner_url = "\(host=[^"]*\)".*/\1/p' "$1/barid.toml")
  /usr/lib/postgresql/15/bin/psql --no-psqlrc --quiet --tuples-only --no-align "$url" --command "$2"
}
supervisor_of() { cat "$1/run/supervisor.pid"; }

comes_up_delivers_readiness_and_goes_down_without_a_trace() {
  pick_base
  local said pids pid
  said=$(up "$work/i" "$base")
  expect_match "what up says" "TCP +127.0.0.1:$base" "$said"
  expect_match "what up says" "barid .*register" "$said"
  within 5 ready "$work/i"
  expect processes "postgres nats worker-1 media edge-1" "$(status "$work/i" | jq -r '[.processes[].name] | join(" ")')"
  expect "the TCP port" "$base" "$(status "$work/i" | jq .ports.tcp)"
  "$bin/baridctl" --config "$work/i/barid.toml" health >/dev/null || fail "health"
  expect_match "a second up" "already up" "$(up "$work/i" "$base")"
  pids="$(supervisor_of "$work/i") $(status "$work/i" | jq -r '.processes[].pid' | paste -sd' ')"
  "$repo/ops/down" --data "$work/i" >/dev/null
  for pid in $pids; do gone "$pid" || fail "process $pid is still there"; done
  local code=0
  status "$work/i" >/dev/null || code=$?
  expect "exit code of status" 3 "$code"
  # Everything secret is closed to others.
  expect "mode of secrets" 700 "$(stat --format %a "$work/i/secrets")"
  expect "readable by others" "" "$(find "$work/i/secrets" "$work/i/barid.toml" "$work/i/log" -type f -perm /077)"
}

heals_after_kill_9_of_each_process() {
  pick_base
  up "$work/i" "$base" >/dev/null
  within 5 ready "$work/i"
  local name pid
  for name in edge-1 media worker-1 nats postgres; do
    pid=$(pid_of "$work/i" "$name")
    kill -KILL "$pid"
    within 30 restarted "$work/i" "$name" "$pid"
    within 60 ready "$work/i"
  done
}

second_up_is_quick_and_keeps_data() {
  pick_base
  up "$work/i" "$base" >/dev/null
  query "$work/i" "CREATE TABLE kept (x int); INSERT INTO kept VALUES (42)"
  local incarnation
  incarnation=$("$bin/baridctl" --config "$work/i/barid.toml" topology show | grep -c INBOX)
  cp -r "$work/i/secrets" "$work/secrets"
  "$repo/ops/down" --data "$work/i" >/dev/null
  SECONDS=0
  up "$work/i" "$base" >/dev/null
  local took=$SECONDS
  expect "what Postgres kept" 42 "$(query "$work/i" "SELECT x FROM kept")"
  expect "the topology" "$incarnation" "$("$bin/baridctl" --config "$work/i/barid.toml" topology show | grep -c INBOX)"
  grep -q "the topology is current" "$work/i/log/topology.log" || fail "the topology was made anew"
  diff -r "$work/secrets" "$work/i/secrets" || fail "secrets were replaced"
  echo "the second up took $took s"
}

two_instances_live_side_by_side() {
  pick_base
  local first=$base
  up "$work/one" "$first" >/dev/null
  pick_base 5
  [ "$base" != "$first" ] || fail "the same ports twice"
  up "$work/two" "$base" >/dev/null
  within 5 ready "$work/one"
  within 5 ready "$work/two"
  query "$work/one" "CREATE TABLE only_in_one (x int)"
  expect "of the other one's tables" "" "$(query "$work/two" "SELECT to_regclass('only_in_one')")"
  "$repo/ops/down" --data "$work/one" >/dev/null
  ready "$work/two" >/dev/null || fail "the second one suffered from the end of the first"
}

top_shows_one_picture_in_80_columns() {
  pick_base
  up "$work/i" "$base" >/dev/null
  within 5 ready "$work/i"
  local said
  picture() { said=$("$bin/baridctl" top --data "$work/i" --once) && grep -qE "^p0 +worker-1 +[0-9]+ +[0-9]+$" <<<"$said"; }
  within 20 picture
  picture
  expect_match "its head" "edge up +worker up +broker up" "$said"
  expect_match "the stages" "^durable, then handed on +" "$said"
  expect "lines that are too long" "" "$(grep -E '^.{81,}' <<<"$said")"
  # The same figures, for Prometheus.
  local metrics
  metrics=$(perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new("127.0.0.1:$ARGV[0]") or exit 1;
    print $s "GET /metrics HTTP/1.0\r\n\r\n"; print while <$s>' $((base + 3)))
  expect_match "lag" '^barid_lag_batches\{partition="0"\} 0' "$metrics"
  expect_match "stages" '^barid_stage_seconds_count\{stage="handed_to_acknowledged"\} 0' "$metrics"
  expect_match "today" '^barid_active_today\{of="users"\} 0' "$metrics"
  "$repo/ops/monitor" --data "$work/i" --nats-once | grep -q '^barid_nats_connections [1-9]' || fail "nats-server's figures"
}

ctrl_c_stops_everything() {
  pick_base
  instances+=("$work/i")
  # A shell starts background jobs with SIGINT ignored, which a script can't undo: perl can.
  perl -e '$SIG{INT} = "DEFAULT"; exec @ARGV' "$repo/ops/up" --no-build --data "$work/i" --port-base "$base" >"$work/said" 2>&1 &
  local up_pid=$! pids pid
  within 120 grep -q "Ctrl-C stops everything" "$work/said"
  pids="$(supervisor_of "$work/i") $(status "$work/i" | jq -r '.processes[].pid' | paste -sd' ')"
  kill -INT "$up_pid"
  wait "$up_pid" || true
  for pid in $pids; do gone "$pid" || fail "process $pid is still there"; done
  expect_match "its log" "edge-1 stopped.*|all is stopped" "$(cat "$work/i/log/supervisor.log")"
  expect "order of the stop" "edge-1 media worker-1 nats postgres" \
    "$(sed -n 's/.* supervisor \([a-z0-9-]*\) stopped .*/\1/p' "$work/i/log/supervisor.log" | paste -sd' ')"

  # And when the script itself is killed, nothing stays behind either.
  "$repo/ops/up" --no-build --data "$work/i" >"$work/said" 2>&1 &
  up_pid=$!
  within 120 grep -q "Ctrl-C stops everything" "$work/said"
  pid=$(supervisor_of "$work/i")
  kill -KILL "$up_pid"
  within 60 gone "$pid"
}

deep_data_folders_work() {
  pick_base
  local deep
  deep="$work/$(printf 'a%.0s' {1..60})/with a space/$(printf 'b%.0s' {1..60})"
  up "$deep" "$base" --stores-only >/dev/null
  query "$deep" "SELECT 1" >/dev/null || fail "no connection"
  "$repo/ops/down" --data "$deep" >/dev/null
}

works_where_postgres_cannot_enter() {
  [ "$(id -u)" -eq 0 ] || exit 77 # only root runs Postgres as somebody else
  pick_base
  mkdir -m 700 "$work/closed"
  up "$work/closed/i" "$base" --stores-only >/dev/null
  query "$work/closed/i" "SELECT 1" >/dev/null || fail "no connection"
  "$repo/ops/down" --data "$work/closed/i" >/dev/null
  up "$work/closed/i" "$base" --stores-only >/dev/null
}

run_test "$1"
