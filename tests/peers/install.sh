#!/usr/bin/env bash
# Installs the peers that the tests compare redkeep with, in a virtual environment under target/peers:
# moto's server, an emulator of AWS that nobody here wrote. Does nothing where they are there already.
set -euo pipefail
cd "$(dirname "$0")/../.."
peers=target/peers
if [ ! -x "$peers/bin/moto_server" ]; then
  python3 -m venv "$peers"
  "$peers/bin/pip" install --quiet --requirement tests/peers/requirements.txt
fi
"$peers/bin/python" -c 'import moto; print("moto", moto.__version__)'
