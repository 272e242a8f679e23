#!/bin/bash
# barid-supervisor with small processes. usage: supervisor_test.sh TEST (BARID_BUILD names the build folder)
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

mkdir "$work/run" "$work/log"
spec=$work/processes.toml
printf 'log_dir = "%s"\nstart_timeout_ms = 5000\n' "$work/log" >"$spec"
process() { # name, stage, shell command, more TOML lines…
  printf '\n[[process]]\nname = "%s"\nstage = %s\nargv = ["/bin/sh", "-c", "%s"]\n' "$1" "$2" "$3" >>"$spec"
  shift 3
  [ $# -eq 0 ] || printf '%s\n' "$@" >>"$spec"
}
start() {
  "$bin/barid-supervisor" run --processes "$spec" --run-dir "$work/run" --quiet &
  supervisor=$!
}
ctl() { "$bin/barid-supervisor" ctl --run-dir "$work/run" "$@"; }
field() { jq -r --arg name "$1" ".processes[] | select(.name == \$name) | .$2" "$work/run/state.json"; }
is() { [ "$(field "$1" state)" = "$2" ]; }
pid_changed() { [ "$(field "$1" pid)" != "$2" ] && is "$1" running; }

starts_stages_in_order_and_stops_them_in_reverse() {
  local name
  for name in b:2 a:1 c:3; do
    process "${name%:*}" "${name#*:}" "trap 'echo stop ${name%:*} >>$work/order; exit' TERM; echo start ${name%:*} >>$work/order; touch $work/${name%:*}; while :; do sleep 0.05; done" \
      "ready = [\"test\", \"-e\", \"$work/${name%:*}\"]"
  done
  start
  ctl wait-up >/dev/null
  ctl shutdown >/dev/null
  expect order "start a,start b,start c,stop c,stop b,stop a" "$(paste -sd, "$work/order")"
  wait "$supervisor" || fail "an orderly stop must exit 0"
}

restarts_what_dies() {
  process a 1 "exec sleep 1000"
  start
  ctl wait-up >/dev/null
  local pid i
  for i in 1 2 3; do
    pid=$(field a pid)
    kill -KILL "$pid"
    within 10 pid_changed a "$pid"
    expect restarts "$i" "$(field a restarts)"
    expect "last exit" "signal 9" "$(field a last_exit)"
  done
}

gives_up_on_a_process_that_never_starts_and_says_which() {
  process good 1 "exec sleep 1000"
  process bad 2 "echo cannot; exit 7"
  start
  local said
  said=$(ctl wait-up 2>&1 >/dev/null) && fail "wait-up must fail"
  expect_match "what it says" "^bad does not start \(exit 7\): see .*/bad.log$" "$said"
  local code=0
  wait "$supervisor" || code=$?
  expect "exit code" 1 "$code"
  expect_match "its output" cannot "$(cat "$work/log/bad.log")"
}

gives_up_when_a_task_fails() {
  process task 1 "exit 3" "task = true"
  process later 2 "touch $work/later; exec sleep 1000"
  start
  expect_match "what it says" "task does not start \(exit 3\)" "$(ctl wait-up 2>&1 >/dev/null || true)"
  wait "$supervisor" && fail "a failed start must not exit 0"
  [ ! -e "$work/later" ] || fail "the next stage started after a failed task"
}

waits_for_the_ready_check() {
  process first 1 "exec sleep 1000" "ready = [\"test\", \"-e\", \"$work/go\"]"
  process second 2 "exec sleep 1000"
  start
  within 5 is first starting
  expect "the next stage" idle "$(field second state)"
  touch "$work/go"
  ctl wait-up >/dev/null
  expect "the next stage" running "$(field second state)"
}

kills_and_restarts_what_runs_and_does_not_answer() {
  process stuck 1 "exec sleep 1000" "alive = [\"test\", \"-e\", \"$work/alive\"]"
  process fine 1 "exec sleep 1000" "alive = [\"true\"]"
  touch "$work/alive"
  start
  ctl wait-up >/dev/null
  local pid fine
  pid=$(field stuck pid) fine=$(field fine pid)
  rm "$work/alive"
  within 30 gone "$pid"
  touch "$work/alive"
  within 10 is stuck running
  expect_match log "stuck runs and does not answer" "$(cat "$work/log/supervisor.log")"
  expect "the other one" "$fine" "$(field fine pid)"
}

kills_what_ignores_its_stop_signal() {
  process deaf 1 "trap '' TERM; touch $work/deaf; while :; do sleep 0.05; done" "ready = [\"test\", \"-e\", \"$work/deaf\"]" \
    "stop_timeout_ms = 200"
  start
  ctl wait-up >/dev/null
  local pid
  pid=$(field deaf pid)
  ctl shutdown >/dev/null
  gone "$pid" || fail "it survived"
  expect_match log "deaf did not stop within 200 ms: killed" "$(cat "$work/log/supervisor.log")"
}

leaves_nothing_running_when_it_is_killed() {
  process a 1 "trap '' TERM; while :; do sleep 0.05; done"
  process b 2 "exec sleep 1000"
  start
  ctl wait-up >/dev/null
  local a b
  a=$(field a pid) b=$(field b pid)
  kill -KILL "$supervisor"
  within 5 gone "$a"
  within 5 gone "$b"
}

ends_daemons_that_its_processes_left_behind() {
  process a 1 "setsid sleep 1000 & echo \$! >$work/daemon; exec sleep 1000" "ready = [\"test\", \"-s\", \"$work/daemon\"]"
  start
  ctl wait-up >/dev/null
  local daemon
  daemon=$(cat "$work/daemon")
  ! gone "$daemon" || fail "the daemon does not run: the test proves nothing"
  ctl shutdown >/dev/null
  gone "$daemon" || fail "the daemon survived"
}

refuses_a_second_supervisor_of_one_instance() {
  process a 1 "exec sleep 1000"
  start
  ctl wait-up >/dev/null
  local said
  said=$("$bin/barid-supervisor" run --processes "$spec" --run-dir "$work/run" --quiet 2>&1) && fail "it was let in"
  expect_one_line "$said"
  expect_match "what it says" "another supervisor runs this instance" "$said"
  ctl status | jq -e '.state == "running"' >/dev/null || fail "the first one was disturbed"
}

control_stops_starts_and_restarts_one_process() {
  process a 1 "exec sleep 1000"
  start
  ctl wait-up >/dev/null
  local pid
  pid=$(field a pid)
  ctl stop a >/dev/null
  within 5 is a stopped
  gone "$pid" || fail "stopped, but it runs"
  ctl start a >/dev/null
  within 5 is a running
  pid=$(field a pid)
  ctl restart a >/dev/null
  within 5 pid_changed a "$pid"
  expect_match "an unknown name" "no process of that name, or several; there are a" "$(ctl restart nobody 2>&1 || true)"
}

reload_starts_what_is_new_and_forgets_what_is_gone() {
  process a-1 1 "exec sleep 1000"
  start
  ctl wait-up >/dev/null
  local pid head
  pid=$(field a-1 pid) head=$(cat "$spec")
  process a-2 1 "exec sleep 1000"
  process b 2 "exec sleep 1000"
  ctl reload >/dev/null
  within 5 is a-2 running
  within 5 is b running
  expect "the one that was there" "$pid" "$(field a-1 pid)"
  ctl restart a >"$work/said" 2>&1 && fail "which of the two?"
  expect_match "what it says" "no process of that name, or several; there are a-1 a-2 b" "$(cat "$work/said")"
  printf 'log_dir = 7\n' >"$spec"
  ctl reload >"$work/said" 2>&1 && fail "a broken list must be refused"
  expect "after a broken list" "$pid" "$(field a-1 pid)"
  pid=$(field a-2 pid)
  printf '%s\n' "$head" >"$spec"
  ctl reload >/dev/null
  within 5 gone "$pid"
  within 5 eval '[ -z "$(field a-2 pid)$(field b pid)" ]'
  ctl restart a >/dev/null || fail "there is one again"
}

keeps_the_output_of_its_processes() {
  process a 1 "echo to stdout; echo to stderr >&2; exec sleep 1000"
  start
  ctl wait-up >/dev/null
  within 5 grep -q "to stdout" "$work/log/a.log"
  within 5 grep -q "to stderr" "$work/log/a.log"
}

contain_ends_what_the_command_left_and_fails() {
  local code=0 said
  said=$("$bin/barid-supervisor" contain -- sh -c "setsid sleep 1000 & echo \$! >$work/left" 2>&1) || code=$?
  expect "exit code" 1 "$code"
  expect_match "what it says" "was still running after sh ended: $(cat "$work/left") s(leep|etsid)" "$said"
  gone "$(cat "$work/left")" || fail "it survived"
  code=0
  "$bin/barid-supervisor" contain -- sh -c "exit 5" || code=$?
  expect "exit code of the command" 5 "$code"
}

run_test "$1"
