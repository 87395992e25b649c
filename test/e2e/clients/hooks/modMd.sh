#!/bin/sh
# MDChallengeDns01: what to do (setup, teardown), the domain, the value.
set -eu
case $1 in
  setup) curl -fsS -o /dev/null -d "{\"host\": \"_acme-challenge.$2.\", \"value\": \"$3\"}" "$CHALLENGES/set-txt" ;;
  teardown) curl -fsS -o /dev/null -d "{\"host\": \"_acme-challenge.$2.\"}" "$CHALLENGES/clear-txt" ;;
esac
