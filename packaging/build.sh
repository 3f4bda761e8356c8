#!/usr/bin/env bash
# build.sh [--no-build] [PROFILE [OPTION OF cargo-deb]...]: builds the Debian package into target/debian and prints its
# path; with --no-build from the program that is built already. Needs cargo-deb (cargo install --locked cargo-deb) and dpkg-dev. What the
# program can write itself, manual pages and completions, comes from the program that is packed.
set -euo pipefail
cd "$(dirname "$0")/.."
build=yes
[ "${1:-}" = --no-build ] && build=no && shift
profile=${1:-release}
shift || true
[ $build = no ] || cargo build --locked --quiet --profile "$profile" --bin redkeep
case $profile in dev) built=debug ;; *) built=$profile ;; esac
program=${CARGO_TARGET_DIR:-target}/$built/redkeep
staged=target/package
rm -rf "$staged"
mkdir -p "$staged/completions"
"$program" man "$staged/man" >/dev/null
gzip --best --no-name "$staged"/man/*/*
for shell in bash zsh fish; do "$program" completions "$shell" >"$staged/completions/$shell"; done
gzip --best --no-name --stdout CHANGELOG.md >"$staged/changelog.gz"
# The sample as /etc/redkeep/redkeep.toml, where the schema is not beside it.
sed '1s|\./|file:///usr/share/redkeep/|' config/redkeep.toml >"$staged/redkeep.toml"
cargo deb --quiet --locked --no-build --profile "$profile" "$@"
