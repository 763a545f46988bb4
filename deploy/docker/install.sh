#!/bin/sh
# Build step of the images: puts programs below /out as the image will have them.
#   install.sh compiled|source PROGRAM...
# compiled: each program is one file, made for $TARGETARCH. source: the same tree, its dependencies fetched as deno.lock
# has them, and Deno of the target platform (/target/deno) to run it with the same permission set.
set -eu

variant=$1
shift
mkdir -p /out/usr/local/bin /out/usr/share/doc/deltadatabase /store/shared/db
cp LICENSE /out/usr/share/doc/deltadatabase/
cp deploy/docker/health.sh /out/usr/local/bin/deltadatabase-health
# With both programs comes what runs them together.
[ $# -eq 1 ] || cp deploy/docker/all-in-one.sh /out/usr/local/bin/deltadatabase

case $variant in
compiled)
  case ${TARGETARCH:-$(uname -m)} in
  amd64 | x86_64) target=x86_64-unknown-linux-gnu ;;
  arm64 | aarch64) target=aarch64-unknown-linux-gnu ;;
  *) echo "install: no program can be made for ${TARGETARCH:-$(uname -m)}; VARIANT=source runs wherever Deno does" >&2 && exit 1 ;;
  esac
  deno task compile --target="$target" --out=/tmp/bin
  for program in "$@"; do cp "/tmp/bin/$program" /out/usr/local/bin/; done
  ;;
source)
  root=/opt/deltadatabase
  mkdir -p "/out$root"
  cp -R deno.json deno.lock proto shared main_worker proc_worker "/out$root/"
  cp /target/deno "/out$root/deno"
  entries=
  for program in "$@"; do
    entry=$(echo "$program" | tr - _)/main.ts
    entries="$entries $entry"
    cat >"/out/usr/local/bin/$program" <<EOF
#!/bin/sh
# Runs $program from its source, with the permissions of its set.
DENO_DIR=$root/cache DENO_NO_UPDATE_CHECK=1 exec $root/deno run -q -P=$program --no-prompt --no-remote --cached-only --frozen \\
  --unstable-npm-lazy-caching --config=$root/deno.json $root/$entry "\$@"
EOF
  done
  # Fetching only what these programs import: the rest of deno.json's imports is for tests and for building the UI.
  cd "/out$root"
  # shellcheck disable=SC2086
  DENO_DIR="/out$root/cache" deno cache --quiet --frozen --unstable-npm-lazy-caching $entries
  # What type checking leaves behind is of no use where nothing is checked.
  rm -rf "/out$root"/cache/*_cache_v2* "/out$root"/cache/check_cache*
  ;;
*) echo "install: VARIANT is compiled or source, not $variant" >&2 && exit 1 ;;
esac

chmod -R a+rX,go-w /out
chmod 755 /out/usr/local/bin/*
