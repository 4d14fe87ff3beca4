# What the scripts beside this one share: where the repository is, how a failure is told, and how a preset is built.
# Sourced, never run by itself.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# fail SENTENCE [EXIT_CODE]
fail() {
  printf '%s: %s\n' "$(basename "$0")" "$1" >&2
  exit "${2:-1}"
}

# prepare PRESET [TARGET…]: sees to what must be installed, configures the preset where that is still to do, and builds the
# targets. Writes to standard error only: progress on a terminal, nothing but failures elsewhere.
# CAIRN_CMAKE_ARGS holds further arguments for cmake; CAIRN_SKIP_SETUP=1 leaves out scripts/setup.
prepare() {
  local preset=$1 lock
  local folder=$root/build/$preset
  shift
  if [[ -z ${CAIRN_SKIP_SETUP:-} ]]; then "$root/scripts/setup" --quiet >&2 || exit; fi

  # Two builds in one folder would spoil each other, so the second waits.
  mkdir -p "$folder"
  exec {lock}>"$folder/.lock"
  if ! flock --nonblock "$lock"; then
    if [[ -t 2 ]]; then echo "Waiting for another build in build/$preset …" >&2; fi
    flock "$lock"
  fi

  if [[ ! -t 2 && ! -f $folder/build.ninja ]]; then echo "Building in build/$preset; the first time takes some minutes." >&2; fi
  if [[ ! -f $folder/build.ninja || $root/CMakePresets.json -nt $folder/build.ninja || -n ${CAIRN_CMAKE_ARGS:-} ]]; then
    # shellcheck disable=SC2086  # several arguments in one variable
    logged "$folder/configure.log" cmake -S "$root" --preset "$preset" ${CAIRN_CMAKE_ARGS:-}
  fi
  if (($# > 0)); then logged "$folder/build.log" cmake --build "$folder" --parallel "$(nproc)" --target "$@"; fi
  exec {lock}>&-
}

# logged LOG COMMAND…: runs the command with its output in LOG, and shows of it what went wrong, if anything did.
logged() {
  local log=$1 status=0
  shift
  if [[ -t 2 ]]; then
    "$@" 2>&1 | tee "$log" | show_progress || status=$?
  else
    "$@" >"$log" 2>&1 || status=$?
  fi
  ((status == 0)) && return
  grep -vE '^(\[[0-9]+/[0-9]+\] |-- )' "$log" >&2 || true
  fail "that did not work (the whole log is ${log#"$root"/}): $*" "$status"
}

# Shows the last line that came in, in place, and leaves a clean line behind.
show_progress() {
  local line width
  width=$(tput cols 2>/dev/null || echo 80)
  while IFS= read -r line; do printf '\r\033[K%.*s' "$((width - 1))" "$line" >&2; done
  printf '\r\033[K' >&2
}
