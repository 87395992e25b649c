#!/bin/sh
# uacme's hook: METHOD (begin, done, failed), TYPE, IDENT, TOKEN, AUTH. It declines every challenge but those of type $TYPE_WANTED.
set -eu
[ "$2" = "$TYPE_WANTED" ] || exit 1
tell() { curl -fsS -o /dev/null -d "$2" "$CHALLENGES/$1"; }
case $1/$2 in
  begin/dns-01) tell set-txt "{\"host\": \"_acme-challenge.${3#\*.}.\", \"value\": \"$5\"}" ;;
  begin/http-01) tell add-http01 "{\"token\": \"$4\", \"content\": \"$5\"}" ;;
  begin/tls-alpn-01) [ "$(echo "auth $3 $5" | ualpn -s "$UALPN_SOCKET")" = OK ] ;;
  */tls-alpn-01) echo "unauth $3" | ualpn -s "$UALPN_SOCKET" ;;
  */dns-01) tell clear-txt "{\"host\": \"_acme-challenge.${3#\*.}.\"}" ;;
  */http-01) tell del-http01 "{\"token\": \"$4\"}" ;;
esac
