#!/bin/bash
# Rules, the configuration of the monitoring, and recoveries. usage: monitoring_test.sh TEST (BARID_BUILD names the build
# folder). Without Debian's package prometheus its parts are skipped: it brings a service, so nothing installs it.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

monitoring=$repo/ops/monitoring
need() { # program, package
  command -v "$1" >/dev/null && return
  echo "skipped: $1 is not installed (apt-get install $2; disable its unit)"
  exit 77
}
# An instance of sleeping processes under the real supervisor.
start_instance() {
  mkdir -p "$work/i/run" "$work/i/log"
  {
    echo "log_dir = \"$work/i/log\""
    local name stage=0
    for name in "$@"; do
      stage=$((stage + 1))
      printf '\n[[process]]\nname = "%s"\nstage = %s\nargv = ["sleep", "1000"]\n' "$name" "$stage"
    done
  } >"$work/i/run/processes.toml"
  "$bin/barid-supervisor" run --processes "$work/i/run/processes.toml" --run-dir "$work/i/run" --quiet &
  "$bin/barid-supervisor" ctl --run-dir "$work/i/run" wait-up >/dev/null
}
field() { jq -r --arg name "$1" ".processes[] | select(.name == \$name) | .$2" "$work/i/run/state.json"; }
is_stopped() { [ "$(field "$1" state)" = stopped ]; }
recover() { "$repo/ops/recover" "$@" --data "$work/i"; }
post() { # port, body → status
  python3 - "$1" "$2" <<'PY'
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/alerts", sys.argv[2].encode(), timeout=60).status)
except urllib.error.HTTPError as error:
    print(error.code)
PY
}

alerts_fire_when_their_thresholds_are_crossed_and_not_before() {
  need promtool prometheus
  promtool check rules "$monitoring/rules/barid.yml" || fail "the rules can't be read"
  (cd "$monitoring/rules" && promtool test rules barid.test.yml) || fail "a rule does not do what it says"
}

every_alert_has_a_test() {
  local alert
  for alert in $(sed -n 's/^ *- alert: //p' "$monitoring/rules/barid.yml"); do
    case $alert in DeadLetters | SlowConsumers) continue ;; esac # one increase() each
    grep -q "alertname: $alert" "$monitoring/rules/barid.test.yml" || fail "no test names the alert $alert"
  done
}

every_metric_that_is_looked_at_exists() {
  local name
  for name in $(grep -rhoE '\bbarid_[a-z_0-9]+' "$monitoring/rules/barid.yml" "$monitoring/grafana/dashboards" |
    sed -E 's/_(bucket|sum|count)$//' | sort -u); do
    case $name in barid_nats_stream_messages | barid_nats_stream_bytes) continue ;; esac # put together there
    grep -rqF "\"$name\"" "$repo/edge" "$repo/workers" "$repo/ops/lib/nats_metrics.py" || fail "nothing exports $name"
  done
  local record
  for record in $(grep -rhoE '\bbarid:[a-z_0-9:]+' "$monitoring/grafana/dashboards" | sort -u); do
    grep -q "record: $record$" "$monitoring/rules/barid.yml" || fail "no rule records $record"
  done
}

dashboards_are_json_that_grafana_takes() {
  local file
  for file in "$monitoring"/grafana/dashboards/*.json; do
    jq -e '.uid and .title and (.panels | length > 3) and ([.panels[].id] | unique | length) == (.panels | length) and
      ([.panels[] | .gridPos.x + .gridPos.w] | max) <= 24 and all(.panels[].targets[]; .expr != "")' "$file" >/dev/null ||
      fail "$file"
  done
}

the_configuration_has_the_ports_of_the_instance() {
  mkdir -p "$work/i"
  printf 'port_base=21000\nport_edge_observe=21002\nport_worker_observe=21003\nport_nats_monitor=21005\nport_media_observe=21008\n' >"$work/i/ports.env"
  "$repo/ops/monitor" --data "$work/i" --dry-run >/dev/null
  [ ! -e "$work/i/monitoring" ] || fail "--dry-run wrote"
  printf 'port_worker_2_observe=23001\n' >>"$work/i/ports.env"
  printf 'workers=2\nedges=1\n' >"$work/i/scale.env"
  "$repo/ops/monitor" --data "$work/i" --monitor-base 22000 >/dev/null
  local port
  for port in 21002 21003 23001 22001 22003; do
    grep -q "127.0.0.1:$port" "$work/i/monitoring/prometheus.yml" || fail "port $port is not in prometheus.yml"
  done
  grep -q "127.0.0.1:22002/alerts" "$work/i/monitoring/alertmanager.yml" || fail "the receiver's port"
  if grep -rE '@[a-z_]+@' "$work/i/monitoring"; then fail "a place was not filled in"; fi
  if command -v promtool >/dev/null; then promtool check config "$work/i/monitoring/prometheus.yml" || fail "prometheus.yml"; fi
  if command -v amtool >/dev/null; then amtool check-config "$work/i/monitoring/alertmanager.yml" || fail "alertmanager.yml"; fi
}

recoveries_are_bounded_and_logged() {
  start_instance worker-1 edge-1
  local pid i said code=0
  for i in 1 2; do
    pid=$(field worker-1 pid)
    recover restart worker --max-per-hour 2 --why "ProcessDown" >/dev/null || fail "restart $i"
    [ "$(field worker-1 pid)" != "$pid" ] || fail "it is the same process"
  done
  pid=$(field worker-1 pid)
  said=$(recover restart worker --max-per-hour 2 2>&1) || code=$?
  expect "exit code of the third" 4 "$code"
  expect_match "what it says" "worker was recovered 2 times in the last hour" "$said"
  expect "the process" "$pid" "$(field worker-1 pid)"
  expect "the log" "restart worker done,restart worker done,restart worker refused" \
    "$(cut -d' ' -f2-4 "$work/i/log/recover.log" | paste -sd,)"
  expect "why" ProcessDown "$(head -n 1 "$work/i/log/recover.log" | cut -d' ' -f5-)"
  recover drain edge --max-per-hour 2 >/dev/null || fail "another process has a count of its own"
  within 5 is_stopped edge-1
  # One that was stopped on request stays so, whatever an alert says.
  recover restart edge --why ProcessDown >/dev/null || fail "there is nothing to do"
  expect "the edge" stopped "$(field edge-1 state)"
  # What lies back more than an hour does not count.
  sed -i -E "s/^[0-9]+/$(($(date +%s) - 3700))/" "$work/i/log/recover.log"
  recover rebalance worker --max-per-hour 2 >/dev/null || fail "an hour later"
}

what_can_not_be_recovered_is_refused() {
  local words code
  for words in "restart" "restart sshd" "drain nats" "rebalance edge" "erase worker" "restart worker edge"; do
    code=0
    # shellcheck disable=SC2086
    recover $words >"$work/said" 2>&1 || code=$?
    expect "exit code of '$words'" 2 "$code"
    expect_one_line "$(cat "$work/said")"
  done
  code=0
  recover restart worker >"$work/said" 2>&1 || code=$?
  expect "exit code without an instance" 1 "$code"
}

an_alert_restarts_what_it_names_and_nothing_else() {
  need python3 python3-minimal
  start_instance worker-1 edge-1
  "$repo/ops/recover" --listen 0 --data "$work/i" 2>"$work/listening" &
  within 10 grep -q 'taking alerts' "$work/listening"
  local port worker edge
  port=$(sed -n 's/.*127.0.0.1:\([0-9]*\)$/\1/p' "$work/listening" | head -n 1)
  worker=$(field worker-1 pid) edge=$(field edge-1 pid)
  alert() { printf '{"version":"4","alerts":[{"status":"%s","labels":{"alertname":"ProcessDown","recover":"%s","name":"%s"}}]}' "$@"; }
  expect "the answer" 200 "$(post "$port" "$(alert resolved restart worker)")"
  expect "the answer" 200 "$(post "$port" "$(alert firing restart 'edge; touch /tmp/x')")"
  expect "the answer" 200 "$(post "$port" "$(alert firing erase worker)")"
  expect "not an alert" 400 "$(post "$port" 'hello')"
  expect "the worker" "$worker" "$(field worker-1 pid)"
  expect "the answer" 200 "$(post "$port" "$(alert firing restart worker)")"
  [ "$(field worker-1 pid)" != "$worker" ] || fail "the worker was not restarted"
  expect "the edge" "$edge" "$(field edge-1 pid)"
  expect_match "the log" "restart worker done ProcessDown" "$(cat "$work/i/log/recover.log")"
}

the_figures_of_nats_server_are_prometheus_text() {
  need python3 python3-minimal
  local port=$((25000 + $$ % 4000)) said
  nats-server --addr 127.0.0.1 --port $((port + 4000)) --http_port "$port" --jetstream --store_dir "$work/js" >"$work/nats.log" 2>&1 &
  within 10 "$bin/barid-supervisor" probe "127.0.0.1:$port/healthz"
  said=$(python3 "$repo/ops/lib/nats_metrics.py" --monitor-port "$port" --once)
  expect_match "figures" '^barid_nats_connections [0-9]+$' "$said"
  expect_match "figures" '^barid_nats_store_max_bytes [1-9][0-9]*$' "$said"
  expect "lines that are neither comment nor figure" "" "$(grep -vE '^(#|barid_nats_[a-z_]+(\{stream="[^"]*"\})? [0-9.e+]+$)' <<<"$said")"
}

run_test "$1"
