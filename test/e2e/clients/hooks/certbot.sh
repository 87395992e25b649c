#!/bin/sh
# --manual-auth-hook of certbot for dns-01: the record for one name.
set -eu
curl -fsS -o /dev/null -d "{\"host\": \"_acme-challenge.$CERTBOT_DOMAIN.\", \"value\": \"$CERTBOT_VALIDATION\"}" "$CHALLENGES/set-txt"
