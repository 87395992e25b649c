#!/bin/sh
# lego's dns provider `exec`: ACTION (present, cleanup), the record's name with its dot, the value.
set -eu
case $1 in
  present) curl -fsS -o /dev/null -d "{\"host\": \"$2\", \"value\": \"$3\"}" "$CHALLENGES/set-txt" ;;
  cleanup) curl -fsS -o /dev/null -d "{\"host\": \"$2\"}" "$CHALLENGES/clear-txt" ;;
esac
