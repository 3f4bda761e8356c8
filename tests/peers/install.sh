#!/usr/bin/env bash
# Installs the peers that the tests compare redkeep with, in a virtual environment under target/peers: moto's
# server, an emulator of AWS that nobody here wrote, the AWS CLI and boto3, which judge the sandbox, IANA's time zones,
# aiosmtpd, which takes mail, axe and Playwright, which look at the page with the machine's own Chromium (Debian's
# package `chromium`), and kubernetes-validate, which judges what is for Kubernetes.
# Does nothing where these versions are there already.
set -euo pipefail
cd "$(dirname "$0")/../.."
peers=target/peers
wanted=tests/peers/requirements.txt
if ! cmp --silent "$wanted" "$peers/requirements.txt"; then
  python3 -m venv "$peers"
  "$peers/bin/pip" install --quiet --requirement "$wanted"
  cp "$wanted" "$peers/requirements.txt"
fi
"$peers/bin/python" -c '
from importlib.metadata import version
print(*(f"{name} {version(name)}" for name in ("moto", "boto3", "botocore", "awscli", "tzdata", "playwright", "aiosmtpd", "kubernetes-validate")), sep=", ")'
