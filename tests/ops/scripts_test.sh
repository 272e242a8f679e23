#!/bin/bash
# What the scripts say and refuse. usage: scripts_test.sh TEST (BARID_BUILD names the build folder)
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# A base whose ports nobody listens on; different from the other tests' by the process id.
free_base() {
  local base
  for ((base = 20000 + ($$ % 1000) * 10; ; base += 10)); do
    "$repo/ops/up" --no-build --dry-run --data "$work/none" --port-base "$base" >/dev/null 2>&1 && break
  done
  echo "$base"
}

unknown_options_get_one_sentence_and_exit_2() {
  local script said code
  for script in up down status logs test monitor recover topology; do
    code=0
    said=$("$repo/ops/$script" --frobnicate 2>&1) || code=$?
    expect "exit code of $script" 2 "$code"
    expect_one_line "$said"
    expect_match "$script" "^$script: unknown option --frobnicate" "$said"
  done
}

help_and_dry_run_change_nothing() {
  local script
  for script in up down status logs test monitor recover topology; do
    expect_match "help of $script" "usage: ops/$script" "$("$repo/ops/$script" --help)"
  done
  local said
  said=$("$repo/ops/up" --dry-run --data "$work/none" --port-base "$(free_base)")
  expect_match plan "^plan:" "$said"
  expect_match plan "data +$work/none" "$said"
  [ ! -e "$work/none" ] || fail "--dry-run made the data folder"
}

a_taken_port_is_named() {
  local base said code=0
  base=$(free_base)
  perl -MIO::Socket::INET -e '
    my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $ARGV[0], Listen => 1) or exit 1;
    open(my $f, ">", $ARGV[1]); close $f; sleep 1000' $((base + 4)) "$work/listening" &
  within 10 test -e "$work/listening"
  said=$("$repo/ops/up" --no-build --data "$work/none" --port-base "$base" 2>&1) || code=$?
  expect "exit code" 1 "$code"
  expect_one_line "$said"
  expect_match "what it says" "^up: port $((base + 4)) is taken by another program: .*--port-base" "$said"
}

bad_port_bases_are_refused() {
  local base code
  for base in x 80 70000 -1; do
    code=0
    "$repo/ops/up" --dry-run --data "$work/none" --port-base "$base" >"$work/said" 2>&1 || code=$?
    expect "exit code for $base" 2 "$code"
    expect_one_line "$(cat "$work/said")"
  done
}

# The functions of ops/lib, without starting anything.
use_library() {
  # shellcheck source=../../ops/lib/common.sh
  . "$repo/ops/lib/common.sh"
  # shellcheck source=../../ops/lib/instance.sh
  . "$repo/ops/lib/instance.sh"
  program=up
}

an_edited_configuration_is_never_overwritten() {
  use_library
  use_instance "$work/i"
  mkdir -p "$work/i/secrets" "$work/i/run"
  echo secret >"$work/i/secrets/nats.password"
  pg_socket_dir=$work/i/postgres/socket port_base=21000
  write_config
  remember_ports
  grep -q 'port = 21000' "$work/i/barid.toml" || fail "the ports are not in the configuration"
  port_base=22000
  write_config
  remember_ports
  grep -q 'port = 22000' "$work/i/barid.toml" || fail "an untouched configuration must follow the ports"
  echo '# mine' >>"$work/i/barid.toml"
  cp "$work/i/barid.toml" "$work/mine"
  write_config
  cmp "$work/mine" "$work/i/barid.toml" || fail "the edit is gone"
  port_base=23000
  local said
  said=$( (write_config) 2>&1) && fail "other ports with an edited configuration must be refused"
  expect_match "what it says" "barid.toml was edited" "$said"
  cmp "$work/mine" "$work/i/barid.toml" || fail "the edit is gone"
}

the_example_configuration_can_be_used() {
  "$bin/baridctl" --config "$repo/ops/barid.toml.example" check-config >/dev/null || fail "as it is"
  # Every key that is commented out must be a key that exists, too: switched on, all but those that need files.
  sed -E 's/^# ([a-z_]+ = )/\1/' "$repo/ops/barid.toml.example" >"$work/all.toml"
  "$bin/baridctl" --config "$work/all.toml" check-config >/dev/null || fail "with everything switched on"
}

the_example_documents_every_key() {
  local key
  for key in $(grep -oE '(log|nats|postgres|edge|worker|directory|messages|listener)\.read\("[a-z_]+"' "$repo/base/config.cpp" |
    sed 's/.*"\([a-z_]*\)"/\1/'); do
    grep -qE "^(# )?$key = " "$repo/ops/barid.toml.example" || fail "ops/barid.toml.example does not mention $key"
  done
}

a_machine_without_apt_gets_one_sentence() {
  mkdir "$work/path"
  local tool said code=0
  for tool in bash dirname sed id realpath sha256sum cut awk sort comm grep stat df tail tr mkdir; do
    ln -s "$(command -v $tool)" "$work/path/$tool"
  done
  said=$(use_library; PATH=$work/path; ensure_packages 2>&1) || code=$?
  expect "exit code" 1 "$code"
  expect_one_line "$said"
  expect_match "what it says" "no apt-get" "$said"
}

an_old_compiler_gets_one_sentence() {
  mkdir "$work/path"
  printf '#!/bin/sh\necho 10\n' >"$work/path/g++"
  chmod +x "$work/path/g++"
  local said
  said=$(use_library; PATH=$work/path:$PATH; check_compiler 2>&1) && fail "g++ 10 was accepted"
  expect_one_line "$said"
  expect_match "what it says" "g\+\+ 10 and Barid needs g\+\+ 12" "$said"
}

a_full_disk_gets_one_sentence() {
  local said
  said=$(use_library; check_disk "$work/not/there/yet" 999999999 2>&1) && fail "a full disk was accepted"
  expect_one_line "$said"
  expect_match "what it says" "only [0-9]+ MiB are free on the disk of $work and 999999999 MiB are needed" "$said"
}

status_of_nothing_is_json_too() {
  local said code=0
  said=$("$repo/ops/status" --json --data "$work/none") || code=$?
  expect "exit code" 3 "$code"
  jq -e '.ready == false and .processes == [] and (.ports | type) == "object"' <<<"$said" >/dev/null || fail "$said"
  expect_match down "Nothing runs" "$("$repo/ops/down" --data "$work/none")"
}

run_test "$1"
