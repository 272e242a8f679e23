# How many workers and edges an instance has, their names and ports, and what the supervisor is told about them.
# Sourced after instance.sh, which has the instance's folder and ports.
# shellcheck shell=bash

readonly scale_max=24 # of each kind, on one machine
readonly -a scale_kinds=(worker edge)

# worker-1's and edge-1's ports are the instance's own (instance.sh); the others have theirs in ports.env.
process_count() { # kind → how many; 1 if nobody said
  local n=""
  [ ! -e "$data_dir/scale.env" ] || n=$(sed -n "s/^$1s=\([0-9]*\)$/\1/p" "$data_dir/scale.env")
  printf '%d\n' "${n:-1}"
}

remember_counts() { # workers, edges
  printf '# chosen with ops/scale\nworkers=%d\nedges=%d\n' "$1" "$2" >"$data_dir/scale.env.new"
  mv "$data_dir/scale.env.new" "$data_dir/scale.env"
}

observe_name() { # kind, number → the name of its metrics port
  if [ "$2" -eq 1 ]; then printf '%s_observe\n' "$1"; else printf '%s_%d_observe\n' "$1" "$2"; fi
}

# One that ports.env remembers and that is free or its own, else the first that is free away from the instance's ports.
choose_observe_port() { # kind, number
  local name port taken
  name=$(observe_name "$1" "$2")
  if [ "$2" -eq 1 ]; then
    port_of "$name"
    return
  fi
  port=$(sed -n "s/^port_$name=\([0-9]*\)$/\1/p" "$data_dir/ports.env" 2>/dev/null || true)
  if [ -z "$port" ]; then
    taken=$(listening_ports && sed -n 's/^port_.*=\([0-9]*\)$/\1/p' "$data_dir/ports.env" 2>/dev/null || true)
    if [ "$port_base" -lt 31000 ]; then port=$((port_base + 1000)); else port=$((port_base - 1000)); fi
    while grep -qx "$port" <<<"$taken"; do port=$((port + 1)); done
    printf 'port_%s=%d\n' "$name" "$port" >>"$data_dir/ports.env"
  fi
  printf '%d\n' "$port"
}

more_ports_remembered() { sed -n '/^port_\(worker\|edge\)_[0-9]*_observe=/p' "$data_dir/ports.env" 2>/dev/null || true; }

worker_entry() { # number
  local port
  port=$(choose_observe_port worker "$1")
  local -a more=()
  [ "$1" -eq 1 ] || more=(--bus-endpoint "ipc://$run_dir/worker-$1.sock")
  process_entry "worker-$1" 3 false "" TERM KILL 15000 "\"$supervisor\", \"probe\", \"127.0.0.1:$port/readyz\"" \
    "$bin_dir/barid-worker" --config "$data_dir/barid.toml" --name "worker-$1" --observe-port "$port" "${more[@]}"
}

edge_entry() { # number
  local port
  port=$(choose_observe_port edge "$1")
  process_entry "edge-$1" 5 false "" TERM KILL 15000 "\"$supervisor\", \"probe\", \"127.0.0.1:$port/readyz\"" \
    "$bin_dir/barid-edge" --config "$data_dir/barid.toml" --name "edge-$1" --observe-port "$port" --share-ports
}

worker_and_edge_entries() {
  local kind n
  for kind in "${scale_kinds[@]}"; do
    for ((n = 1; n <= $(process_count "$kind"); ++n)); do "${kind}_entry" "$n"; done
  done
}

# --- of a running instance ---------------------------------------------------------------------------------------

state_of() { # process → its state, or nothing
  "$supervisor" ctl --run-dir "$run_dir" status | tr '{' '\n' | sed -n "s/^\"name\":\"$1\".*\"state\":\"\([a-z]*\)\".*/\1/p"
}
processes_of() { # kind → their names
  "$supervisor" ctl --run-dir "$run_dir" status | tr '{' '\n' | sed -n "s/^\"name\":\"\($1-[0-9]*\)\".*/\1/p"
}

await_state() { # process, state, seconds
  local end=$((SECONDS + $3))
  until [ "$(state_of "$1")" = "$2" ]; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}

# The list of processes as it is remembered; the running ones go on as they are until their next start.
reload_processes() {
  port_base=$(sed -n 's/^port_base=//p' "$data_dir/ports.env")
  make_postgres_home
  write_processes false
  "$supervisor" ctl --run-dir "$run_dir" reload >/dev/null
}
