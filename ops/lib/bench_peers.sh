# The peers of ops/bench --peers: ejabberd and mosquitto from Debian, run by hand with private configurations on loopback
# ports, with the settings that favour them. Sourced by ops/bench after bench.sh.
# shellcheck shell=bash

readonly ejabberd_libs=/usr/lib/$(uname -m)-linux-gnu peer_start_tries=300
peer_dir="" # set by ops/bench
peer_pid=""

# Not there before us, so not started at the next boot either.
ensure_peers() {
  local -a missing
  mapfile -t missing < <(not_installed ejabberd mosquitto)
  [ "${#missing[@]}" -gt 0 ] || return 0
  ensure_tools "${missing[@]}"
  if command -v systemctl >/dev/null; then as_root systemctl disable "${missing[@]}" >/dev/null 2>&1 || true; fi
}

# In memory: anonymous logins with any password (so SASL PLAIN touches no database), no archive, no offline store, no
# presence, no logs but errors, no rate shaping, no TLS, no ping, no stream management.
start_ejabberd() { # port, modules as YAML
  local modules=${2:-"modules: {}"}
  rm -rf "$peer_dir/ejabberd"
  mkdir -p "$peer_dir/ejabberd"
  cat >"$peer_dir/ejabberd/ejabberd.yml" <<YML
hosts: [localhost]
loglevel: error
auth_method: [anonymous]
anonymous_protocol: login_anon
allow_multiple_connections: true
default_db: mnesia
disable_sasl_mechanisms: ["digest-md5", "scram-sha-1", "scram-sha-256", "scram-sha-512", "x-oauth2"]
listen:
  - port: $1
    ip: "127.0.0.1"
    module: ejabberd_c2s
    max_stanza_size: 262144
    backlog: 4096
    shaper: none
    access: all
$modules
YML
  (
    cd "$peer_dir/ejabberd"
    export ERL_LIBS=$ejabberd_libs HOME=$peer_dir/ejabberd
    export EJABBERD_CONFIG_PATH=$peer_dir/ejabberd/ejabberd.yml EJABBERD_LOG_PATH=$peer_dir/ejabberd/ejabberd.log
    # No node name, so no epmd that would stay behind. +K true: epoll.
    exec erl +K true +P 250000 -noinput -mnesia dir "\"$peer_dir/ejabberd/mnesia\"" -s ejabberd </dev/null >erl.out 2>&1
  ) &
  peer_pid=$!
  wait_port "$1" "ejabberd: see $peer_dir/ejabberd/erl.out and ejabberd.log"
}

# As the package comes: persistence on, saved every 30 minutes. TCP_NODELAY and windows without limit favour it.
start_mosquitto() { # port
  rm -rf "$peer_dir/mosquitto"
  mkdir -p "$peer_dir/mosquitto"
  cat >"$peer_dir/mosquitto/mosquitto.conf" <<CONF
listener $1 127.0.0.1
allow_anonymous true
user $(id --user --name)
persistence true
persistence_location $peer_dir/mosquitto/
log_type error
log_dest stderr
connection_messages false
set_tcp_nodelay true
max_inflight_messages 0
max_queued_messages 0
CONF
  mosquitto -c "$peer_dir/mosquitto/mosquitto.conf" </dev/null >"$peer_dir/mosquitto/out" 2>&1 &
  peer_pid=$!
  wait_port "$1" "mosquitto: see $peer_dir/mosquitto/out"
}

wait_port() { # port, what to say when it never listens
  local i
  for ((i = 0; i < peer_start_tries; i++)); do
    if listening_ports | grep -qx "$1"; then return 0; fi
    kill -0 "$peer_pid" 2>/dev/null || die "$2"
    sleep 0.1
  done
  die "$2"
}

stop_peer() {
  [ -n "$peer_pid" ] || return 0
  kill "$peer_pid" 2>/dev/null || true
  wait "$peer_pid" 2>/dev/null || true
  peer_pid=""
}

# Same clients, same windows, same messages, one system after the other in one run; what is printed last are ratios.
compare_with_peers() { # scenarios…
  local scenario name
  for scenario in "$@"; do
    measure "peers-$scenario-barid" "$scenario"
    for name in ejabberd mosquitto; do
      step "peers-$scenario-$name"
      "start_$name" "$((given_base + 9))"
      local protocol=xmpp status=0
      if [ "$name" = mosquitto ]; then protocol=mqtt; fi
      run_generator "$bench_dir/peers-$scenario-$name.json" "$scenario" --label "$name" --protocol "$protocol" \
        --port "$((given_base + 9))" --pids "$name=$peer_pid" --seconds "$seconds" --warmup "$warmup" --threads "$threads" \
        ${clients:+--clients "$clients"} || status=$?
      stop_peer
      if [ "$status" -gt "$code" ]; then code=$status; fi
    done
  done
  local files=()
  for scenario in "$@"; do files+=("$bench_dir/peers-$scenario-"{barid,ejabberd,mosquitto}.json); done
  jq --slurp '[group_by(.scenario)[] | (map(select(.system == "barid"))[0]) as $barid | .[] | . + {
      throughput_ratio: ($barid.delivered_per_s / .delivered_per_s),
      cpu_ratio: (.server_cpu_us_per_message / $barid.server_cpu_us_per_message)}]' "${files[@]}" >"$bench_dir/peers.json"
  say ""
  say "Barid: durable before Accepted, delivered receipts. ejabberd: in memory, no archive, no receipts. mosquitto: QoS 1."
  {
    say "scenario system delivered/s CPU-µs p50-ms p99-ms Barid/it,delivered it/Barid,CPU"
    jq --raw-output '.[] | [.scenario, .system, (.delivered_per_s | round), (.server_cpu_us_per_message * 10 | round / 10),
      (.p50_ms * 100 | round / 100), (.p99_ms * 100 | round / 100), (.throughput_ratio * 10 | round / 10),
      (.cpu_ratio * 10 | round / 10)] | join(" ")' "$bench_dir/peers.json"
  } | column --table
  last=$bench_dir/peers.json
}

# In memory, no history, no archive, no presence told, no shaping, room for everybody.
readonly ejabberd_rooms='modules:
  mod_muc:
    access: all
    access_create: all
    access_persistent: none
    history_size: 0
    max_users: 5000
    min_message_interval: 0
    min_presence_interval: 0
    room_shaper: none
    user_message_shaper: none
    user_presence_shaper: none
    default_room_options:
      max_users: 5000
      persistent: false
      logging: false
      presence_broadcast: []
      mam: false'

# The same room, writers, window and size, one system after the other.
compare_rooms() {
  local status=0
  group_options+=(--part fanout)
  measure peers-group-fanout-barid group-fanout
  step peers-group-fanout-ejabberd
  start_ejabberd "$((given_base + 9))" "$ejabberd_rooms"
  run_generator "$bench_dir/peers-group-fanout-ejabberd.json" group-fanout --label ejabberd --protocol xmpp \
    --port "$((given_base + 9))" --pids "ejabberd=$peer_pid" --seconds "$seconds" --warmup "$warmup" \
    "${group_options[@]}" || status=$?
  stop_peer
  if [ "$status" -gt "$code" ]; then code=$status; fi
  last=$bench_dir/peers-group-fanout.json
  jq --slurp '.[0] + {ejabberd: .[1], throughput_ratio: (.[0].copies_per_s / .[1].copies_per_s),
    cpu_ratio: (.[1].server_cpu_us_per_copy / .[0].server_cpu_us_per_copy)}' \
    "$bench_dir/peers-group-fanout-"{barid,ejabberd}.json >"$last"
  say ""
  say "Barid: durable before Accepted, receipts of every member. ejabberd: in memory, no history, no receipts."
  {
    say "system copies/s CPU-µs-a-copy Barid/it,copies it/Barid,CPU"
    jq --raw-output '(["barid", (.copies_per_s | round), (.server_cpu_us_per_copy * 10 | round / 10), 1, 1] | join(" ")),
      (["ejabberd", (.ejabberd.copies_per_s | round), (.ejabberd.server_cpu_us_per_copy * 10 | round / 10),
      (.throughput_ratio * 10 | round / 10), (.cpu_ratio * 10 | round / 10)] | join(" "))' "$last"
  } | column --table
}
