#!/bin/bash
# Runs both programs in one container: passes signals on, reaps, and ends, with the status of the one that ended first,
# when either of them ends. Arguments are for the main worker; both programs read the environment.
set -u

main= proc= asked=
# The processing worker goes first: it hands its partitions back while there is somebody to take them.
trap 'asked=1; [[ -z $proc ]] || kill -TERM "$proc" 2>/dev/null' TERM INT

# These addresses belong to one program each, so they are flags: a variable would be read by both.
main-worker -grpc-addr=0.0.0.0:50051 -metrics-addr=0.0.0.0:9090 "$@" &
main=$!
# The processing worker gets its keys by joining; what the main worker is told in secret is not in its environment.
env -u MASTER_KEY -u OLD_MASTER_KEYS -u ADMIN_KEY \
  proc-worker -main-addr=127.0.0.1:50051 -grpc-addr=127.0.0.1:50052 -metrics-addr=0.0.0.0:9091 &
proc=$!

status=0
[[ -n $asked ]] || { wait -n "$main" "$proc" && status=0 || status=$?; }
# A wait that a signal has cut short has a status of the signal's, not of a program's.
[[ -z $asked ]] || status=0

kill -TERM "$proc" 2>/dev/null
for _ in {1..40}; do
  kill -0 "$proc" 2>/dev/null || break
  sleep 0.1
done
kill -TERM "$main" 2>/dev/null

for pid in "$proc" "$main"; do
  while kill -0 "$pid" 2>/dev/null; do wait "$pid"; done
  wait "$pid" 2>/dev/null
  code=$?
  # When they were asked to stop, stopping badly is what there is to tell. 127: it has been waited for already.
  [[ -z $asked || $code -eq 127 ]] || ((status = code > status ? code : status))
done
exit "$status"
