# Shared by the scripts in ops/: messages, checks of the machine, packages, the build. Sourced, never run.
# shellcheck shell=bash

export LC_ALL=C.UTF-8  # a minimal machine has no other, and Postgres and the tools need UTF-8
root_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
preset=${BARID_PRESET:-release}
build_dir=$root_dir/build/$preset
bin_dir=$build_dir/bin
program=${0##*/}

readonly disk_needed_mib=2048 compiler_needed=12

say() { printf '%s\n' "$*"; }
step() { printf '==> %s\n' "$*"; }
die() {
  printf '%s: %s\n' "$program" "$*" >&2
  exit 1
}
# For a wrong command line: exit 2, as the usual tools do.
die_usage() {
  printf '%s: %s (see %s --help)\n' "$program" "$*" "$0" >&2
  exit 2
}
# The comment block at the top of the calling script is its help.
print_help() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$0"; }

# --- the machine ------------------------------------------------------------------------------------------------

check_disk() { # folder, MiB
  local folder=$1 needed=$2 have
  while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
  have=$(df --output=avail --block-size=1M "$folder" | tail -n 1 | tr -d ' ')
  [ "$have" -ge "$needed" ] ||
    die "only $have MiB are free on the disk of $folder and $needed MiB are needed: make room, or use another disk"
}

check_compiler() {
  local version
  version=$(g++ -dumpversion 2>/dev/null | cut -d. -f1) || true
  [ -n "$version" ] || die "there is no C++ compiler: install g++-$compiler_needed or newer"
  [ "$version" -ge "$compiler_needed" ] ||
    die "the C++ compiler is g++ $version and Barid needs g++ $compiler_needed or newer: use Debian 12 or install a newer g++"
}

# --- packages ---------------------------------------------------------------------------------------------------

wanted_packages() { sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$root_dir/ops/lib/packages.txt"; }

missing_packages() {
  local installed
  installed=$(dpkg-query --show --showformat '${db:Status-Status} ${binary:Package}\n' 2>/dev/null |
    sed -n 's/^installed \([^:]*\).*/\1/p') || true
  # Other sources' nodejs brings npm along, and conflicts with Debian's package of it.
  if command -v npm >/dev/null; then installed+=$'\nnpm'; fi
  comm -23 <(wanted_packages | sort -u) <(sort -u <<<"$installed")
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Debian starts a service as soon as its package is there, and Postgres creates a cluster. Barid wants neither: its own
# Postgres and nats-server live in the data folder. What is put in the way for the installation is removed afterwards.
install_quietly() {
  local policy=/usr/sbin/policy-rc.d had_policy=yes
  if [ ! -e "$policy" ]; then
    had_policy=no
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
    trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  local -a apt=(apt-get --quiet --yes --no-install-recommends -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold
    -o DPkg::Lock::Timeout=300)
  local -a quiet_env=(env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8)
  as_root "${quiet_env[@]}" apt-get --quiet update >&3 ||
    die "apt-get update failed: check the network and /etc/apt/sources.list (the lines above say what is wrong)"
  case " $* " in
    *" postgresql-15 "*)
      as_root "${quiet_env[@]}" "${apt[@]}" install postgresql-common >&3 || die "apt-get could not install postgresql-common"
      as_root sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
      ;;
  esac
  as_root "${quiet_env[@]}" "${apt[@]}" install "$@" >&3 ||
    die "apt-get could not install the packages (the lines above say why)"
  case " $* " in
    *" postgresql-15 "*)
      as_root sed -i 's/^create_main_cluster = false/#create_main_cluster = true/' /etc/postgresql-common/createcluster.conf
      ;;
  esac
  # Not started, and not at the next boot either: it was not there before us.
  case " $* " in
    *" nats-server "*)
      if command -v systemctl >/dev/null; then as_root systemctl disable nats-server >/dev/null 2>&1 || true; fi
      ;;
  esac
  if [ "$had_policy" = no ]; then
    as_root rm -f "$policy"
    trap - EXIT
  fi
}

ensure_packages() {
  local -a missing
  command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
    die "this machine has no apt-get: Barid installs its libraries from Debian 12 packages (the list is ops/lib/packages.txt)"
  mapfile -t missing < <(missing_packages)
  [ "${#missing[@]}" -gt 0 ] || return 0
  [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
    die "${#missing[@]} packages are missing and there is neither root nor sudo to install them: ${missing[*]}"
  check_disk / "$disk_needed_mib"
  step "Installing ${#missing[@]} Debian packages: ${missing[*]}"
  exec 3>&1
  install_quietly "${missing[@]}"
  exec 3>&-
}

# --- the build --------------------------------------------------------------------------------------------------

# One build at a time in this checkout: two `up` side by side share the folder.
build() { # targets…, none: all
  local -a targets=()
  [ $# -eq 0 ] || targets=(--target "$@")
  check_compiler
  [ -e "$bin_dir" ] || check_disk "$root_dir" "$disk_needed_mib"
  mkdir -p "$build_dir"
  (
    flock 8
    cd "$root_dir"
    if [ ! -e "$build_dir/build.ninja" ]; then
      step "Configuring (preset $preset)"
      cmake --preset "$preset" >"$build_dir/configure.log" 2>&1 || {
        tail -n 20 "$build_dir/configure.log" >&2
        die "CMake could not configure the build (all of it: $build_dir/configure.log)"
      }
    fi
    cmake --build "$build_dir" --parallel "$(nproc)" "${targets[@]}" ||
      die "the build failed (the lines above say where)"
  ) 8>"$build_dir/.build.lock" || exit 1
}
