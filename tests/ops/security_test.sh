#!/bin/bash
# What a role may not do is refused by the real servers, and nothing secret is written anywhere. usage: security_test.sh
# TEST (BARID_BUILD names the build folder).
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

alice=+4915112340001 bob=+4915112340002

pick_base() { # sets base to ports that nobody listens on
  for ((base = 31000 + ($$ % 100) * 10; ; base += 10)); do
    "$repo/ops/up" --no-build --dry-run --data "$work/none" --port-base "$base" >/dev/null 2>&1 && return
  done
}
up() { # more options…
  instances+=("$work/i")
  "$repo/ops/up" --no-build --detach --data "$work/i" --port-base "$base" "$@" >"$work/up.said"
}
person() { # profile, arguments…
  "$bin/barid" --json --data "$work/people" --server "${server:-tcp://127.0.0.1:$base}" --tls-ca "$work/i/tls.crt" \
    --profile "$1" "${@:2}"
}
register() { # profile, phone
  person "$1" register "$2" --code-command "grep -F '$2 ' $work/i/codes.log 2>/dev/null | tail -n 1 | cut -d' ' -f2" >/dev/null
}
sql() { # role, statement
  /usr/lib/postgresql/15/bin/psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 \
    "$(sed -n 's/^url = "\(host=[^"]*\) user=.*/\1/p' "$work/i/barid.toml") user=$1" --command "$2" 2>&1
}
refused() { # role, statement
  local said
  said=$(sql "$1" "$2") && fail "$1 may: $2"
  expect_match "why not" "permission denied|must be owner|must be superuser" "$said"
}

each_role_does_its_work_and_nothing_else() {
  pick_base
  up
  # All of the stack works with them: nothing that it does is refused.
  register alice "$alice"
  register bob "$bob"
  person alice send "$bob" "as the roles allow" --wait accepted >/dev/null
  person bob listen --count 1 >"$work/heard"
  expect "what bob heard" "as the roles allow" "$(jq -r 'select(.type == "message") | .text' "$work/heard")"
  person alice group create Choir "$bob" >/dev/null
  expect "refusals of the broker" "" "$(grep -i violation "$work/i/log/nats.log" || true)"

  local role allowed forbidden line said
  local -A may=(
    [edge]="pub ingress.0;pub group.3;pub directory.call;sub _BARID.edge.x"
    [worker]="pub ingress.0;pub inbox.1.0.a.b;pub \$JS.ACK.INGRESS_0.p0-e1.1.1.1.1.1;sub presence.changed"
    [directory]="pub group.0;pub presence.changed;pub \$KV.barid-revoked.abc;sub directory.call"
    [operator]="pub anything;sub anything")
  local -A may_not=(
    [edge]="pub \$KV.barid-revoked.abc;pub \$KV.barid-meta.directory-key;pub inbox.1.0.a.b;sub ingress.0;sub group.0;sub >;sub _BARID.worker.x;sub directory.call;pub \$JS.API.STREAM.DELETE.INGRESS_0;pub \$JS.API.STREAM.MSG.GET.INGRESS_0;pub \$JS.API.DIRECT.GET.INBOX_00;pub \$JS.API.CONSUMER.CREATE.INGRESS_0;pub \$JS.API.STREAM.UPDATE.KV_barid-meta"
    [worker]="pub \$KV.barid-meta.directory-key;pub \$KV.barid-revoked.abc;pub directory.call;sub ingress.0;sub _BARID.edge.x;sub >;pub \$JS.API.STREAM.DELETE.INBOX_00;pub \$JS.API.STREAM.CREATE.X;pub \$JS.API.STREAM.MSG.DELETE.KV_barid-meta"
    [directory]="pub ingress.0;pub inbox.1.0.a.b;sub inbox.>;sub _BARID.edge.x;sub >;pub \$KV.barid-owners.p0;pub \$KV.barid-meta.incarnation;pub \$JS.API.DIRECT.GET.INBOX_00;pub \$JS.API.STREAM.PURGE.INGRESS_0;pub \$JS.API.CONSUMER.DURABLE.CREATE.INGRESS_0.x")
  for role in edge worker directory operator; do
    said=$(tr ';' '\n' <<<"${may[$role]};${may_not[$role]:-}" |
      python3 "$(dirname "$0")/nats_probe.py" $((base + 4)) "$role" "$work/i/secrets/nats/$role.password")
    allowed=$(sed -n 's/ allowed$//p' <<<"$said" | paste -sd';')
    forbidden=$(sed -n 's/ refused$//p' <<<"$said" | paste -sd';')
    expect "what $role may" "${may[$role]}" "$allowed"
    expect "what $role may not" "${may_not[$role]:-}" "$forbidden"
  done
  echo "not the password" >"$work/wrong"
  expect "with a wrong password" "sub x nobody" \
    "$(echo "sub x" | python3 "$(dirname "$0")/nats_probe.py" $((base + 4)) operator "$work/wrong")"

  [ "$(sql barid_directory "SELECT count(*) FROM users")" -ge 2 ] || fail "the directory can't read"
  for line in "DROP TABLE users" "ALTER TABLE users ADD x int" "CREATE TABLE x (y int)" "TRUNCATE users" \
    "INSERT INTO schema_migrations (name, checksum) VALUES ('x', 'y')" "CREATE ROLE x" "COPY users TO PROGRAM 'cat'"; do
    refused barid_directory "$line"
  done
}

secrets_that_others_can_read_are_refused_at_start() {
  pick_base
  up --stores-only
  local file said
  for file in nats/edge.password; do
    chmod 640 "$work/i/secrets/$file"
    said=$("$bin/barid-edge" --config "$work/i/barid.toml" 2>&1) && fail "it started"
    expect_match "what the edge says" "run: chmod 600 $work/i/secrets/$file" "$said"
    chmod 600 "$work/i/secrets/$file"
  done
  for file in nats/worker.password nats/directory.password signing.key otp.key address.key; do
    chmod 604 "$work/i/secrets/$file"
    said=$("$bin/barid-worker" --config "$work/i/barid.toml" --observe-port 0 2>&1) && fail "it started"
    expect_match "what the worker says" "run: chmod 600 $work/i/secrets/$file" "$said"
    chmod 600 "$work/i/secrets/$file"
  done
}

# TLS as well: the certificate is renewed under a live connection.
nothing_secret_reaches_a_log_and_a_certificate_is_renewed_live() {
  pick_base
  up --stores-only
  "$repo/ops/down" --data "$work/i" >/dev/null
  certificate() { # name
    (umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1" \
      -addext subjectAltName=IP:127.0.0.1,DNS:localhost -keyout "$work/i/tls.key.new" -out "$work/i/tls.crt.new" 2>/dev/null)
    mv "$work/i/tls.key.new" "$work/i/tls.key"
    mv "$work/i/tls.crt.new" "$work/i/tls.crt"
  }
  certificate first
  sed -i -e 's/^level = .*/level = "trace"/' -e "s|^# tls_certificate_file = .*|tls_certificate_file = \"$work/i/tls.crt\"|" \
    -e "s|^# tls_key_file = .*|tls_key_file = \"$work/i/tls.key\"|" -e '0,/^# tls = false/s//tls = true/' "$work/i/barid.toml"
  server=tls://127.0.0.1:$base
  up
  local marker=Pl4ntedT3xt
  register alice "$alice"
  register bob "$bob"
  person alice send "$bob" "$marker one" --wait accepted >/dev/null
  local listener
  person bob listen >"$work/heard" &
  listener=$!
  within 30 grep -q "$marker one" "$work/heard"

  serves() { # name
    : | openssl s_client -connect "127.0.0.1:$base" 2>/dev/null | openssl x509 -noout -subject | grep -q "$1"
  }
  serves first || fail "another certificate"
  certificate second
  within 20 serves second
  echo broken >"$work/i/tls.crt"
  within 20 grep -q "certificate stays the old one" "$work/i/log/edge-1.log"
  serves second || fail "a broken file was taken"
  certificate third
  within 20 serves third
  local edge
  edge=$("$repo/ops/status" --json --data "$work/i" | jq -r '.processes[] | select(.name == "edge-1") | .pid')
  kill -HUP "$edge"
  within 20 grep -q "(SIGHUP)" "$work/i/log/edge-1.log"
  : | openssl s_client -connect "127.0.0.1:$base" -tls1_2 >"$work/tls12" 2>&1 && fail "TLS 1.2 by default"
  person alice send "$bob" "$marker two" --wait delivered >/dev/null
  within 30 grep -q "$marker two" "$work/heard"
  kill -0 "$listener" || fail "bob's connection did not outlive the new certificates"
  grep -q '"connected".*"connected"' <(tr -d '\n' <"$work/heard") && fail "bob had to connect again"

  # Wrong codes, unknown users, broken frames, and each process restarted: error paths speak too.
  person mallory register +4915112340003 --code 000000 >"$work/wrong.said" 2>&1 || true
  printf '\001\377garbage %s' "$marker" | openssl s_client -quiet -connect "127.0.0.1:$base" >/dev/null 2>&1 || true
  local name pid
  for name in nats worker-1 edge-1 media; do
    pid=$("$repo/ops/status" --json --data "$work/i" | jq -r --arg n "$name" '.processes[] | select(.name == $n) | .pid')
    kill -KILL "$pid"
    within 60 sh -c "'$repo/ops/status' --json --data '$work/i' | jq -e '.ready and all(.processes[]; .pid != $pid)'"
  done
  person alice send "$bob" "$marker three" --wait delivered >/dev/null
  within 30 grep -q "$marker three" "$work/heard"
  kill -TERM "$listener"
  mkdir "$work/written"
  curl --silent "http://127.0.0.1:$((base + 2))/metrics" >"$work/written/edge.metrics"
  curl --silent "http://127.0.0.1:$((base + 3))/metrics" >"$work/written/worker.metrics"
  "$bin/baridctl" top --data "$work/i" --once >"$work/written/top" || true
  "$repo/ops/status" --data "$work/i" >"$work/written/status"
  "$repo/ops/down" --data "$work/i" >/dev/null
  cp -r "$work/i/log" "$work/written/log"
  [ "$(stat --format %s "$work/written/log/edge-1.log")" -gt 2000 ] || fail "the edge logged nothing to look at"

  # The development code sender writes codes to the worker's log on purpose: those lines, and no others, may have one.
  sed -i '/(development sender)/d' "$work/written/log/worker-1.log"*
  local secret
  {
    printf '%s\n' "$marker" "${alice#+}" "${bob#+}" 4915112340003
    cut -d' ' -f2 "$work/i/codes.log"
    awk 1 "$work/i"/secrets/*.key "$work/i"/secrets/*.password "$work/i"/secrets/nats/*.password # ends each line
    sed '1d;$d' "$work/i/tls.key"
  } | sort -u >"$work/secrets"
  [ "$(wc -l <"$work/secrets")" -ge 14 ] || fail "too few secrets to look for"
  while read -r secret; do
    [ "${#secret}" -ge 6 ] || continue
    grep -rFw -e "$secret" "$work/written" | head -n 3 >"$work/leak" || true
    [ ! -s "$work/leak" ] || fail "'$secret' was written: $(cat "$work/leak")"
  done <"$work/secrets"
}

an_account_is_exported_and_erased() {
  pick_base
  up
  local account=("$repo/ops/account" --data "$work/i") said code=0 device id
  register alice "$alice"
  register bob "$bob"
  person bob group create Choir "$alice" >/dev/null
  person alice block "$bob" >/dev/null
  person alice unblock "$bob" >/dev/null
  person alice send "$bob" "waits for bob" --wait accepted >/dev/null
  waits() { "${account[@]}" export "$bob" | jq -e '[.waiting[].batches] | add >= 1'; }
  within 30 waits
  said=$("${account[@]}" export "$bob")
  id=$(jq -r .user.id <<<"$said")
  expect "whose" "$bob" "$(jq -r .user.phone <<<"$said")"
  expect "devices and groups" "1 Choir 3" "$(jq -r '"\(.devices | length) \(.groups[0].name) \(.groups[0].role)"' <<<"$said")"

  expect_match "the plan" "leave +1 groups" "$("${account[@]}" erase "$bob" --dry-run)"
  said=$("${account[@]}" erase "$bob" 2>&1) && fail "it erased without --yes"
  expect_match "what it says" "say --yes" "$said"
  within 5 waits # nothing was done

  device=$(sql barid "SELECT to_hex(device_id) FROM devices JOIN users USING (user_id) WHERE phone_e164 = '$bob'")
  expect_match "what it did" "erased user [0-9a-f]{16}: 1 devices, 1 groups" "$("${account[@]}" erase "$bob" --yes | tail -n 1)"
  person bob send "$alice" "as if nothing were" --wait accepted >"$work/said" 2>&1 && fail "bob may still write: $(cat "$work/said")"
  PGHOST=$(sed -n 's/^owner_url = "host=\([^ ]*\) .*/\1/p' "$work/i/barid.toml") /usr/lib/postgresql/15/bin/pg_dump --port $((base + 6)) \
    --username barid --data-only barid >"$work/dump"
  grep -q "${alice#+}" "$work/dump" || fail "the dump holds nobody"
  grep -qF "${bob#+}" "$work/dump" && fail "bob's number is still there: $(grep -F "${bob#+}" "$work/dump")"
  expect "keys of bob's" 0 "$(sql barid "SELECT count(*) FROM device_keys WHERE to_hex(device_id) = '$device'")"
  expect "who owns the choir now" "3" "$(sql barid "SELECT role FROM group_members JOIN users USING (user_id)
    WHERE left_version IS NULL AND phone_e164 = '$alice'")"
  expect "what is left" '[{"batches":0}] [] [""]' "$("${account[@]}" export "$id" |
    jq -rc '"\([.waiting[] | {batches}]) \(.contacts + .blocked) \([.devices[].name])"')"
  expect_match "again" "nothing is to be erased" "$("${account[@]}" erase "$bob" --yes)"
  "${account[@]}" export "$bob" 2>/dev/null && fail "bob can still be exported"

  # Bob comes again, as somebody new.
  register bob2 "$bob"
  register carol +4915112340009
  person carol send "$bob" "welcome" --wait accepted >/dev/null || code=$?
  expect "a message to the new bob" 0 "$code"
  "${account[@]}" export "$bob" | jq -e --arg id "$id" '.user.id != $id' >/dev/null || fail "the erased one came back"
}

run_test "$1"
