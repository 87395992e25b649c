#!/bin/sh
# dehydrated's hook: what to do, the domain, the token, the value. For tls-alpn-01 the value is what the certificate holds, so the one
# that dehydrated made is served instead.
set -eu
tell() { curl -fsS -o /dev/null -d "$2" "$CHALLENGES/$1"; }
case $1/$TYPE_WANTED in
  deploy_challenge/dns-01) tell set-txt "{\"host\": \"_acme-challenge.$2.\", \"value\": \"$4\"}" ;;
  clean_challenge/dns-01) tell clear-txt "{\"host\": \"_acme-challenge.$2.\"}" ;;
  deploy_challenge/http-01) tell add-http01 "{\"token\": \"$3\", \"content\": \"$4\"}" ;;
  clean_challenge/http-01) tell del-http01 "{\"token\": \"$3\"}" ;;
esac
