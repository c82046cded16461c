#!/bin/sh
# Makes what compose.yaml needs, readable by this user alone: secrets/, and .env with the number of this user, as whom
# the containers run. What is there already is left as it is.
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p secrets
random() { head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
[ -s secrets/ray_token ] || random > secrets/ray_token
[ -s secrets/grafana_password ] || random > secrets/grafana_password
if [ ! -s secrets/s3.env ] || [ ! -s secrets/s3.json ]; then
    key=farm secret=$(random)
    printf 'AWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\n' "$key" "$secret" > secrets/s3.env
    printf '{"identities": [{"name": "farm", "credentials": [{"accessKey": "%s", "secretKey": "%s"}], "actions": ["Admin"]}]}\n' \
        "$key" "$secret" > secrets/s3.json
fi
if [ ! -s .env ]; then
    user=$(id -u)
    if [ "$user" -eq 0 ]; then
        # the farm runs as no root, and could not read what only root may
        user=1000
        chown -R "$user" secrets
    fi
    printf 'USER_ID=%s\n' "$user" > .env
fi
echo "secrets are in $(pwd)/secrets, settings in $(pwd)/.env"
