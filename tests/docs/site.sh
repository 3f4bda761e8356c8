#!/usr/bin/env bash
# Builds the pages of docs/ into a site under target/site, with mkdocs in a virtual environment under target/site-tools.
# A broken link or anchor, a page that the navigation lacks, or a link to a source file that is not there fails it.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools=target/site-tools
wanted=tests/docs/requirements.txt
if ! cmp --silent "$wanted" "$tools/requirements.txt"; then
  python3 -m venv "$tools"
  "$tools/bin/pip" install --quiet --requirement "$wanted"
  cp "$wanted" "$tools/requirements.txt"
fi
# Not --quiet: with it --strict counts no warning.
"$tools/bin/mkdocs" build --strict --clean --config-file tests/docs/mkdocs.yml --site-dir "$PWD/target/site"
echo "the documentation is in target/site/index.html"
