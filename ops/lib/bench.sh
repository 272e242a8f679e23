# What ops/bench needs beyond an instance: a private one with limits off, its processes, one run of the generator.
# Sourced by ops/bench after common.sh and instance.sh.
# shellcheck shell=bash

bench_dir=$root_dir/build/bench

not_installed() { # packages…
  local name
  for name in "$@"; do
    dpkg-query --show --showformat '${db:Status-Status}\n' "$name" 2>/dev/null | grep -qx installed || say "$name"
  done
}

# What only measuring needs, so it is not in packages.txt. No service is started (install_quietly).
ensure_tools() { # packages…
  local -a missing
  mapfile -t missing < <(not_installed "$@")
  [ "${#missing[@]}" -gt 0 ] || return 0
  step "Installing for the measurement: ${missing[*]}"
  exec 3>&1
  install_quietly "${missing[@]}"
  exec 3>&-
}

# A certificate of the instance's own, for the TLS listener.
make_certificate() {
  [ ! -e "$data_dir/tls.crt" ] || return 0
  (umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost \
    -keyout "$data_dir/tls.key" -out "$data_dir/tls.crt" 2>"$data_dir/log/openssl.log") ||
    die "openssl could not make a certificate: see $data_dir/log/openssl.log"
}

tls_port() { printf '%d\n' $((port_base + ${#port_names[@]})); }

# The example configuration with every rate limit off, a TLS listener, and warnings only in the log.
write_bench_config() { # partitions, edge threads, edge engine
  (umask 077 && render_config | sed \
    -e "s/^partitions = .*/partitions = $1/" -e "s/^threads = .*/threads = $2/" -e "s/^# engine = .*/engine = \"$3\"/" -e 's/^level = .*/level = "warn"/' \
    -e "s|^# tls_certificate_file = .*|tls_certificate_file = \"$data_dir/tls.crt\"|" \
    -e "s|^# tls_key_file = .*|tls_key_file = \"$data_dir/tls.key\"|" \
    -e 's/^# \(sends_per_device\|connects_per_address\|requests_per_device\|requests_per_address\) = .*/\1 = { per_second = 0, burst = 0 }/' \
    >"$data_dir/barid.toml")
  cat >>"$data_dir/barid.toml" <<TOML

[[edge.listeners]]
kind = "tcp"
address = "127.0.0.1"
port = $(tls_port)
tls = true
TOML
}

# Fresh every time: what an earlier run left in the streams would be measured with this one.
start_instance() { # partitions, edge threads, edge engine
  stop_instance
  remove_instance
  choose_ports "$given_base"
  make_folders
  make_secrets
  make_certificate
  make_postgres_home
  write_bench_config "$1" "$2" "$3"
  remember_ports
  started=true
  "$root_dir/ops/up" --detach --no-build --data "$data_dir" --port-base "$port_base" >"$bench_dir/up.log" 2>&1 ||
    die "the instance did not start: see $bench_dir/up.log"
}

# Workers beside the instance's own one, each with a share of the partitions once the leases have moved.
more_workers=() more_edges=() more_processes=()
start_more_workers() { # how many in all
  local i port
  for ((i = 2; i <= $1; i++)); do
    port=$((port_base + 7 + i))
    (umask 077 && sed "s|worker-1\.sock|worker-$i.sock|" "$data_dir/barid.toml" >"$data_dir/worker-$i.toml")
    "$bin_dir/barid-worker" --config "$data_dir/worker-$i.toml" --name "worker-$i" --roles delivery --observe-port "$port" \
      </dev/null >"$data_dir/log/worker-$i.log" 2>&1 &
    more_processes+=("$!") more_workers+=("$!")
  done
  for ((i = 2; i <= $1; i++)); do wait_owner "$((port_base + 7 + i))" "worker-$i"; done
}

wait_owner() { # metrics port, name
  local i owned
  for ((i = 0; i < 300; i++)); do
    owned=$(curl --silent --max-time 2 "http://127.0.0.1:$1/metrics" | sed -n 's/^barid_partitions_owned \([0-9]*\).*/\1/p') || true
    if [ "${owned:-0}" -gt 0 ]; then return 0; fi
    sleep 0.1
  done
  die "$2 got no partition: see $data_dir/log/$2.log"
}

# Edges beside the instance's own one, for more connections than one process may have files.
start_more_edges() { # how many in all
  local i base kind edits
  for ((i = 2; i <= $1; i++)); do
    base=$((port_base + 10 * i)) edits=()
    for kind in "$(port_of tcp)" "$(port_of websocket)" "$(tls_port)"; do
      edits+=(-e "s/^port = $kind\$/port = $((base + kind - port_base))/")
    done
    (umask 077 && sed "${edits[@]}" "$data_dir/barid.toml" >"$data_dir/edge-$i.toml")
    "$bin_dir/barid-edge" --config "$data_dir/edge-$i.toml" --name "edge-$i" --observe-port "$((base + 2))" \
      </dev/null >"$data_dir/log/edge-$i.log" 2>&1 &
    more_processes+=("$!") more_edges+=("$!")
  done
  for ((i = 2; i <= $1; i++)); do wait_answer "$((port_base + 10 * i + 2))" "edge-$i"; done
}

wait_answer() { # metrics port, name
  local i
  for ((i = 0; i < 300; i++)); do
    if curl --silent --fail --max-time 2 "http://127.0.0.1:$1/readyz" >/dev/null; then return 0; fi
    sleep 0.1
  done
  die "$2 did not become ready: see $data_dir/log/$2.log"
}

# One generator an edge, all connections open at the same time; the result is one: the sum of the connections, the mean
# of the bytes, weighted by them.
run_idle_edges() { # file, edges, connections of each, transport
  local file=$1 edges=$2 each=$3 transport=$4 i port pid go=$bench_dir/go status=0
  local -a generators=() outputs=() edge_pids
  rm -f "$go"
  edge_pids=("$(instance_pids | tr ',' '\n' | sed -n 's/^edge=//p')" "${more_edges[@]}")
  for ((i = 1; i <= edges; i++)); do
    case $transport in websocket) port=$(port_of websocket) ;; tls) port=$(tls_port) ;; *) port=$(port_of tcp) ;; esac
    if [ "$i" -gt 1 ]; then port=$((port + 10 * i)); fi
    outputs+=("$file.$i.out")
    "$bin_dir/barid-bench" idle --port "$port" --secrets "$data_dir/secrets" --pids "edge=${edge_pids[i - 1]}" \
      --transport "$transport" --clients "$each" --wait-for "$go" --json >"$file.$i.out" &
    generators+=("$!")
  done
  for ((i = 0; i < 6000; i++)); do
    if [ "$(cat "${outputs[@]}" | grep -c '^all .* online')" -eq "$edges" ]; then break; fi
    for pid in "${generators[@]}"; do kill -0 "$pid" 2>/dev/null || break 2; done
    sleep 0.1
  done
  touch "$go"
  for pid in "${generators[@]}"; do wait "$pid" || status=$?; done
  rm -f "$go"
  tail --quiet --lines 2 "${outputs[@]}" | grep -v '^{' || true
  if [ "$status" -le 1 ]; then
    tail --quiet --lines 1 "${outputs[@]}" | jq --slurp --compact-output '(map(.clients) | add) as $all | def mean(f): map(f * .clients) | add / $all;
      .[0] + {clients: $all, edges: length, edge_bytes_per_connection: mean(.edge_bytes_per_connection),
        edge_pss_bytes_per_connection: mean(.edge_pss_bytes_per_connection),
        edge_bytes_first_connections_included: mean(.edge_bytes_first_connections_included)}
      + (. as $runs | ["sent", "delivered", "unaccepted", "lost", "doubled", "reordered", "corrupted", "receipts_missing"]
         | map({(.): (. as $key | $runs | map(.[$key]) | add)}) | add)
      + {ok: all(.ok)} | del(.kernel_slab_bytes_per_connection_both_ends)' >"$file"
  fi
  rm -f "${outputs[@]}"
  return "$status"
}

started=false
stop_instance() {
  local pid
  for pid in "${more_processes[@]}"; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  more_processes=() more_workers=() more_edges=()
  if $started; then
    started=false
    "$root_dir/ops/down" --data "$data_dir" >/dev/null 2>&1 || true
  fi
}

# The folder is ours alone: it lies in build/bench. Postgres may live elsewhere (make_postgres_home).
remove_instance() {
  [ -e "$data_dir" ] || return 0
  "$root_dir/ops/down" --data "$data_dir" >/dev/null 2>&1 || true
  if [ -L "$data_dir/postgres" ]; then rm -rf "$(realpath "$data_dir/postgres")"; fi
  if [ -L "$data_dir/run" ]; then rm -rf "$(realpath "$data_dir/run")"; fi
  rm -rf "$data_dir"
}

instance_pids() { # → edge=1,worker=2,nats=3,postgres=4
  "$root_dir/ops/status" --json --data "$data_dir" |
    jq --raw-output '[.processes[] | select(.state == "running") | "\(.name | sub("-[0-9]+$"; ""))=\(.pid)"] | join(",")' | tr -d '\n'
  if [ "${#more_workers[@]}" -gt 0 ]; then printf ',worker=%d' "${more_workers[@]}"; fi
}

# One run against the instance; the last line of its output, one JSON object, goes to FILE.
run_barid() { # file, scenario, options…
  local file=$1 scenario=$2 port
  shift 2
  port=$(port_of tcp)
  case " $* " in
    *" websocket "*) port=$(port_of websocket) ;;
    *" tls "*) port=$(tls_port) ;;
  esac
  run_generator "$file" "$scenario" --port "$port" --secrets "$data_dir/secrets" --pids "$(instance_pids)" \
    --worker-observe "$(port_of worker_observe)" --broker-monitor "$(port_of nats_monitor)" "$@"
}

# Its users are put into the database first: the directory makes groups of users that it knows (the groups themselves are
# made by requests), and shows the presence of no others.
run_with_accounts() { # file, scenario, options…
  local file=$1 scenario=$2 seed=$((RANDOM * 32768 + RANDOM + 1))
  shift 2
  "$bin_dir/barid-bench" "$scenario" --port "$(port_of tcp)" --secrets "$data_dir/secrets" --seed "$seed" \
    --print-accounts "$@" >"$bench_dir/accounts.sql"
  as_db_user "$pg_bin/psql" --quiet --no-psqlrc --set ON_ERROR_STOP=1 --host "$pg_socket_dir" --port "$(port_of postgres)" \
    --username barid --dbname barid <"$bench_dir/accounts.sql" || die "the users could not be put into the database"
  rm -f "$bench_dir/accounts.sql"
  run_barid "$file" "$scenario" --seed "$seed" "$@"
}

run_generator() { # file, scenario, options…
  local file=$1 code=0
  shift
  "$bin_dir/barid-bench" "$@" --json >"$file.out" || code=$?
  if [ "$code" -gt 1 ]; then
    rm -f "$file.out"
    return "$code"
  fi
  sed '$d' "$file.out"
  tail -n 1 "$file.out" >"$file"
  rm -f "$file.out"
  return "$code"
}

# All results as a Markdown table, as docs/performance.md has it.
print_summary() { # files…
  say ""
  say "| scenario | transport | clients | a second | server µs each | p50 ms | p99 ms | bytes a connection | promises |"
  say "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
  jq --raw-output 'def r(n): if . == null or . == 0 then "" else . * n | round / n end;
    "| \(.scenario) | \(.transport) | \(.clients) | \((.delivered_per_s // .accepted_per_s // .logins_per_s) | r(1)) | \(
    .server_cpu_us_per_message | r(10)) | \((if .scenario == "drain" then .first_message_p50_ms else .p50_ms end) | r(100)) | \(
    (if .scenario == "drain" then .first_message_p99_ms else .p99_ms end) | r(100)) | \(.edge_bytes_per_connection | r(1)) | \(
    if .ok then "kept" else "BROKEN" end) |"' "$@"
}
