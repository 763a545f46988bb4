#!/bin/bash
# Says by its exit status whether the programs of this container do their job; for HEALTHCHECK, where there is no curl.
#   deltadatabase-health main-worker   it serves
#   deltadatabase-health proc-worker   it serves, and the main worker has accepted it
#   deltadatabase-health all-in-one    a document could be stored and read
#   deltadatabase-health alive         a main worker or a processing worker answers at all
# Addresses come from the same variables as the programs': REST_ADDR, METRICS_ADDR, TLS_CERT.
set -u

# get ADDRESS PATH: the answer to GET, when its status is 200.
get() {
  local host=${1%:*} port=${1##*:} status
  case $host in '' | 0.0.0.0 | '[::]') host=127.0.0.1 ;; esac
  exec 3<>"/dev/tcp/$host/$port" || return
  printf 'GET %s HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n' "$2" >&3
  IFS=' ' read -r -t 4 _ status _ <&3 || return
  [[ $status == 200 ]] || return
  cat <&3
}

fail() { echo "$1" && exit 1; }

alive() { get "${METRICS_ADDR:-:9090}" /metrics >/dev/null; }

# rest PATH: asks the REST address. Where that speaks TLS, which the shell does not, the address of the metrics shows
# that the program is alive.
rest() {
  if [[ -n ${TLS_CERT:-} ]]; then alive; else get "${REST_ADDR:-:8080}" "$1" >/dev/null; fi
}

# joined ADDRESS: whether the processing worker with these metrics answers, and does not say that it has no main worker.
joined() {
  local figures
  figures=$(get "$1" /metrics) && [[ ! $figures =~ $'\n'deltadatabase_main_worker_connected\ 0 ]]
}

{
  case ${1:-} in
  main-worker) rest /health || fail "the main worker does not answer" ;;
  proc-worker) joined "${METRICS_ADDR:-:9091}" || fail "the processing worker does not answer, or has no main worker" ;;
  alive) alive || fail "the program does not answer" ;;
  all-in-one) rest /ready && joined :9091 || fail "the programs are not ready" ;;
  *) fail "deltadatabase-health: want main-worker, proc-worker, all-in-one or alive" ;;
  esac
} 2>/dev/null
echo healthy
