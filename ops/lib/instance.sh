# One instance of Barid: its data folder, ports, secrets, Postgres, nats-server and the list of its processes.
# Sourced by the scripts in ops/ after common.sh; use_instance comes first.
# shellcheck shell=bash

# shellcheck source=scale.sh
. "$(dirname "${BASH_SOURCE[0]}")/scale.sh"

readonly port_base_default=7400 port_bases_tried=50
readonly -a port_names=(tcp websocket edge_observe worker_observe nats nats_monitor postgres media media_observe)
readonly pg_bin=/usr/lib/postgresql/15/bin
readonly socket_path_max=107 # bytes of a unix socket's path (sun_path, unix(7))

use_instance() { # data folder
  case $1 in *['"'\\$'\n']*) die "the data folder's name may not hold quotes, backslashes or line breaks: $1" ;; esac
  data_dir=$(realpath --canonicalize-missing -- "$1")
  run_dir=$data_dir/run
  # Sockets have short paths or none: a deep data folder keeps them in /tmp, under a name that only depends on the folder.
  if [ $((${#run_dir} + 24)) -gt "$socket_path_max" ]; then
    run_dir=/tmp/barid-$(id -u)-$(printf '%s' "$data_dir" | sha256sum | cut -c1-12)
  fi
  supervisor=$bin_dir/barid-supervisor
}

is_running() { [ -x "$supervisor" ] && "$supervisor" ctl --run-dir "$run_dir" status >/dev/null 2>&1; }

# --- ports ------------------------------------------------------------------------------------------------------

# Local ports that somebody listens on, in decimal. From /proc, because a minimal machine has no ss.
listening_ports() {
  local hex
  awk '$4 == "0A" { n = split($2, a, ":"); print a[n] }' /proc/net/tcp /proc/net/tcp6 2>/dev/null |
    while read -r hex; do printf '%d\n' "0x$hex"; done
}

taken_port() { # base → the first of this instance's ports that is taken, or nothing
  local base=$1 taken i
  taken=$(listening_ports | sort -u)
  for i in "${!port_names[@]}"; do
    if grep -qx "$((base + i))" <<<"$taken"; then
      printf '%s\n' "$((base + i))"
      return
    fi
  done
}

# Sets port_base. A base that was given or is remembered is kept or refused; else the first free one is taken.
choose_ports() { # --port-base or empty
  local given=$1 remembered="" taken base
  [ ! -e "$data_dir/ports.env" ] || remembered=$(sed -n 's/^port_base=//p' "$data_dir/ports.env")
  if [ -n "$given" ]; then
    case $given in *[!0-9]*) die_usage "--port-base $given is not a number" ;; esac
    { [ "$given" -ge 1024 ] && [ "$given" -le 65500 ]; } || die_usage "--port-base must be from 1024 to 65500, not $given"
  fi
  port_base=${given:-$remembered}
  if [ -n "$port_base" ]; then
    taken=$(taken_port "$port_base")
    [ -z "$taken" ] ||
      die "port $taken is taken by another program: stop that one, or choose other ports with --port-base N"
    return
  fi
  for ((base = port_base_default; base < port_base_default + 10 * port_bases_tried; base += 10)); do
    if [ -z "$(taken_port "$base")" ]; then
      port_base=$base
      return
    fi
  done
  die "no free ports from $port_base_default on: choose some with --port-base N"
}

port_of() { # name
  local i
  for i in "${!port_names[@]}"; do
    if [ "${port_names[$i]}" = "$1" ]; then printf '%d\n' $((port_base + i)); fi
  done
}

remember_ports() {
  local name more
  more=$(more_ports_remembered)
  {
    say "# chosen by ops/up; another base: ops/up --port-base N"
    say "port_base=$port_base"
    for name in "${port_names[@]}"; do say "port_$name=$(port_of "$name")"; done
    [ -z "$more" ] || say "$more"
  } >"$data_dir/ports.env"
}

# --- folders ----------------------------------------------------------------------------------------------------

check_owner() {
  [ ! -e "$data_dir" ] || [ -O "$data_dir" ] ||
    die "$data_dir belongs to $(stat --format %U "$data_dir"): run this as that user, or choose another folder with --data"
}

make_folders() {
  mkdir -p "$data_dir" || die "cannot create $data_dir: choose another folder with --data"
  chmod 711 "$data_dir" # Postgres passes through; every folder with something in it is closed
  local folder
  for folder in log nats; do mkdir -p -m 700 "$data_dir/$folder"; done
  if [ "$run_dir" = "$data_dir/run" ]; then
    mkdir -p -m 711 "$run_dir"
  else
    mkdir -m 711 "$run_dir" 2>/dev/null || { [ -d "$run_dir" ] && [ ! -L "$run_dir" ] && [ -O "$run_dir" ]; } ||
      die "$run_dir, where the sockets go because the data folder's path is long, belongs to somebody else"
    ln -sfn "$run_dir" "$data_dir/run"
  fi
}

random_hex() { od --address-radix=n --read-bytes=24 --format=x1 /dev/urandom | tr -d ' \n'; }

make_secrets() {
  "$bin_dir/baridctl" init-secrets "$data_dir/secrets" || exit 1
  mkdir -p -m 700 "$data_dir/secrets/nats"
  local name
  for name in postgres postgres.directory nats/edge nats/worker nats/directory nats/operator; do
    [ -s "$data_dir/secrets/$name.password" ] ||
      (umask 077 && random_hex >"$data_dir/secrets/$name.password.new" &&
        mv "$data_dir/secrets/$name.password.new" "$data_dir/secrets/$name.password")
  done
}

# --- Postgres ---------------------------------------------------------------------------------------------------

# Postgres refuses to run as root: then it is the user `postgres`, which came with the package.
db_user() { if [ "$(id -u)" -eq 0 ]; then printf 'postgres'; else id --user --name; fi; }
as_db_user() {
  if [ "$(id -u)" -eq 0 ]; then
    setpriv --reuid=postgres --regid=postgres --clear-groups -- env HOME=/ "$@"
  else
    "$@"
  fi
}

# Sets pg_home. Under /root (mode 0700) the user postgres can't reach the data folder: then Postgres lives in
# /var/lib/barid, and data/postgres is a link to it.
make_postgres_home() {
  local link=$data_dir/postgres
  if [ -L "$link" ] && [ ! -d "$link" ]; then die "$link points to $(readlink "$link"), which is gone: Postgres's data are lost"; fi
  if [ ! -e "$link" ]; then
    if [ "$(id -u)" -eq 0 ] && ! as_db_user test -x "$data_dir"; then
      local away
      mkdir -p -m 711 /var/lib/barid
      away=$(mktemp -d /var/lib/barid/postgres-XXXXXXXX)
      ln -s "$away" "$link"
      say "    (the user postgres can't enter $data_dir: its data go to $away)"
    else
      mkdir -m 700 "$link"
    fi
  fi
  pg_home=$(realpath "$link")
  if [ "$(id -u)" -eq 0 ]; then chown postgres:postgres "$pg_home"; fi
  chmod 700 "$pg_home"
  pg_socket_dir=$pg_home/socket
  if [ $((${#pg_socket_dir} + 20)) -gt "$socket_path_max" ]; then pg_socket_dir=$run_dir/pg; fi
  as_or_for_db mkdir -p -m 700 "$pg_socket_dir"
}

# A folder of the db user's, made by whoever may: the parent is ours or its.
as_or_for_db() {
  "$@"
  if [ "$(id -u)" -eq 0 ]; then chown postgres:postgres "${@: -1}"; fi
}

# Only this user, and Postgres's own, may use the socket; over the loopback port a password is needed.
write_postgres_access() {
  printf '%s\n' 'local all all peer map=barid' 'host all all 127.0.0.1/32 scram-sha-256' >"$1/pg_hba.conf"
  {
    local system_user
    for system_user in "$(id --user --name)" "$(db_user)"; do
      say "barid \"$system_user\" barid"
      say "barid \"$system_user\" barid_directory"
      say "barid \"$system_user\" postgres"
    done
  } | sort -u >"$1/pg_ident.conf"
}

# The directory's own role, which owns nothing: `baridctl migrate` grants it rows, and no more. The server does not run.
make_directory_role() { # Postgres's data folder
  (
    cd "$pg_home"
    as_db_user "$pg_bin/postgres" --single -D "$1" postgres >>"$data_dir/log/initdb.log" 2>&1 <<SQL
CREATE ROLE barid_directory LOGIN PASSWORD '$(cat "$data_dir/secrets/postgres.directory.password")'
SQL
  ) || die "Postgres could not be given the role barid_directory: see $data_dir/log/initdb.log"
  as_or_for_db touch "$1/barid_roles"
}

init_postgres() {
  [ -x "$pg_bin/initdb" ] || die "Postgres 15 is not installed in $pg_bin: run ./ops/up without --no-build"
  if [ -e "$pg_home/data/PG_VERSION" ]; then
    write_postgres_access "$pg_home/data"
    if [ ! -e "$pg_home/data/barid_roles" ]; then make_directory_role "$pg_home/data"; fi
    return
  fi
  step "Creating a private Postgres in $data_dir/postgres"
  local fresh=$pg_home/data.new
  rm -rf "$fresh"
  (umask 077 && : >"$data_dir/log/initdb.log")
  (
    cd "$pg_home"
    as_db_user "$pg_bin/initdb" --pgdata="$fresh" --username=postgres --encoding=UTF8 --locale=C.UTF-8 --data-checksums \
      --auth-local=peer --auth-host=scram-sha-256 >"$data_dir/log/initdb.log" 2>&1 &&
      as_db_user "$pg_bin/postgres" --single -D "$fresh" postgres >>"$data_dir/log/initdb.log" 2>&1 <<SQL
CREATE ROLE barid LOGIN PASSWORD '$(cat "$data_dir/secrets/postgres.password")'
CREATE DATABASE barid OWNER barid
SQL
  ) || die "Postgres could not be created: see $data_dir/log/initdb.log"
  make_directory_role "$fresh"
  write_postgres_access "$fresh"
  mv "$fresh" "$pg_home/data"
}

# --- configuration ----------------------------------------------------------------------------------------------

write_nats_config() {
  local users
  users=$("$bin_dir/baridctl" --config "$data_dir/barid.toml" nats-users "$data_dir/secrets") || exit 1
  (
    umask 077
    cat >"$data_dir/nats/nats.conf" <<CONF
# written by ops/up at every start
server_name: barid
listen: "127.0.0.1:$(port_of nats)"
http: "127.0.0.1:$(port_of nats_monitor)"
max_payload: 1MB
$users
jetstream { store_dir: "$data_dir/nats/store" }
CONF
  )
}

render_config() {
  local i
  local -a edits=()
  for i in "${!port_names[@]}"; do edits+=(-e "s/\\b$((port_base_default + i))\\b/@$i@/g"); done
  for i in "${!port_names[@]}"; do edits+=(-e "s/@$i@/$((port_base + i))/g"); done
  sed "${edits[@]}" \
    -e "s|/run/barid/postgres|$pg_socket_dir|" -e "s|/run/barid|$run_dir|" -e "s|/etc/barid|$data_dir|" \
    "$root_dir/ops/barid.toml.example"
}

# The configuration belongs to the operator as soon as it was edited; until then it follows the ports.
write_config() {
  local config=$data_dir/barid.toml mark=$data_dir/run/barid.toml.sum
  if [ -e "$config" ] && [ "$(sha256sum <"$config")" != "$(cat "$mark" 2>/dev/null)" ]; then
    if [ -e "$data_dir/ports.env" ] && [ "$port_base" != "$(sed -n 's/^port_base=//p' "$data_dir/ports.env")" ]; then
      die "$config was edited, so its ports are yours to change: edit them there and in ports.env, or start without --port-base"
    fi
    return
  fi
  (umask 077 && render_config >"$config.new")
  mv "$config.new" "$config"
  sha256sum <"$config" >"$mark"
}

# TOML strings: the data folder's name was checked by use_instance.
process_entry() { # name, stage, task?, user, stop signal, death signal, stop timeout in ms, ready command (TOML list), argv…
  local name=$1 stage=$2 task=$3 user=$4 stop=$5 death=$6 timeout=$7 ready=$8 argument list=""
  shift 8
  for argument in "$@"; do list+="\"$argument\", "; done
  cat <<TOML

[[process]]
name = "$name"
stage = $stage
task = $task
user = "$user"
argv = [${list%, }]
ready = [$ready]
stop_signal = "$stop"
death_signal = "$death"
stop_timeout_ms = $timeout
TOML
}

write_processes() { # stores-only: true or false
  local config=$data_dir/barid.toml pg_user=""
  if [ "$(id -u)" -eq 0 ]; then pg_user=postgres; fi
  local http="\"$supervisor\", \"probe\", \"127.0.0.1"
  {
    say "# written by ops/up at every start"
    say "log_dir = \"$data_dir/log\""
    # Errors are logged without the statement and its values, which hold phone numbers.
    process_entry postgres 1 false "$pg_user" INT QUIT 60000 \
      "\"$pg_bin/pg_isready\", \"--quiet\", \"--host=$pg_socket_dir\", \"--port=$(port_of postgres)\", \"--username=barid\", \"--dbname=barid\"" \
      "$pg_bin/postgres" -D "$pg_home/data" -k "$pg_socket_dir" -h 127.0.0.1 -p "$(port_of postgres)" \
      -c unix_socket_permissions=0700 -c log_min_error_statement=panic -c log_parameter_max_length_on_error=0 \
      -c log_error_verbosity=terse -c recovery_init_sync_method=syncfs
    process_entry nats 1 false "" TERM KILL 30000 "$http:$(port_of nats_monitor)/healthz\"" \
      nats-server --config "$data_dir/nats/nats.conf"
    # Healthy in its own eyes and deaf to everybody: nats-server 2.9 locks itself up when its disk is full.
    say "alive = [$http:$(port_of nats_monitor)/jsz\"]"
    # Fewer collections, and half of the cores: with more, its scheduler spends as much on waking threads as on messages.
    say "env = [\"GOGC=400\", \"GOMAXPROCS=$((($(nproc) + 1) / 2))\"]"
    process_entry migrate 2 true "" TERM KILL 10000 "" "$bin_dir/baridctl" --config "$config" migrate
    process_entry topology 2 true "" TERM KILL 10000 "" "$bin_dir/baridctl" --config "$config" topology apply --leave-losses
    if [ "$1" = false ]; then worker_and_edge_entries; fi
    # An edited configuration of before there was media has none.
    if [ "$1" = false ] && grep -q '^\[media\]' "$config"; then
      process_entry media 4 false "" TERM KILL 15000 "$http:$(port_of media_observe)/healthz\"" \
        "$bin_dir/barid-media" --config "$config" --name media-1 --observe-port "$(port_of media_observe)"
    fi
  } >"$data_dir/run/processes.toml.new"
  mv "$data_dir/run/processes.toml.new" "$data_dir/run/processes.toml"
}
