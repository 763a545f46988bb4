#!/bin/sh
# Build step of the images, the same in each: install.sh compiled|source puts what an image gets below /out/<image>.
# compiled: each program is one file, made for $TARGETARCH. source: the same tree, its dependencies fetched as deno.lock
# has them, and Deno of the target platform (/target/deno) to run it with the same permission set.
set -eu

variant=$1
parts=/tmp/parts
root=/opt/deltadatabase
mkdir -p $parts /store/shared/db

case $variant in
compiled)
  case ${TARGETARCH:-$(uname -m)} in
  amd64 | x86_64) target=x86_64-unknown-linux-gnu ;;
  arm64 | aarch64) target=aarch64-unknown-linux-gnu ;;
  *) echo "install: no program can be made for ${TARGETARCH:-$(uname -m)}; VARIANT=source runs wherever Deno does" >&2 && exit 1 ;;
  esac
  deno task compile --target="$target" --out=$parts
  ;;
source)
  mkdir -p $parts/tree
  cp -R deno.json deno.lock proto shared main_worker proc_worker $parts/tree/
  cp /target/deno $parts/tree/deno
  # Only what the programs import: the rest of deno.json's imports is for tests and for building the UI.
  (
    cd $parts/tree
    DENO_DIR=$parts/tree/cache deno cache --quiet --frozen --unstable-npm-lazy-caching main_worker/main.ts proc_worker/main.ts
  )
  # What type checking leaves behind is of no use where nothing is checked.
  rm -rf $parts/tree/cache/*_cache_v2* $parts/tree/cache/check_cache*
  for program in main-worker proc-worker; do
    cat >$parts/$program <<EOF
#!/bin/sh
# Runs $program from its source, with the permissions of its set.
DENO_DIR=$root/cache DENO_NO_UPDATE_CHECK=1 exec $root/deno run -q -P=$program --no-prompt --no-remote --cached-only --frozen \\
  --unstable-npm-lazy-caching --config=$root/deno.json $root/$(echo $program | tr - _)/main.ts "\$@"
EOF
  done
  ;;
*) echo "install: VARIANT is compiled or source, not $variant" >&2 && exit 1 ;;
esac

# image NAME PROGRAM...: gathers what the image gets.
image() {
  out=/out/$1
  shift
  mkdir -p "$out/usr/local/bin" "$out/usr/share/doc/deltadatabase"
  cp LICENSE "$out/usr/share/doc/deltadatabase/"
  cp deploy/docker/health.sh "$out/usr/local/bin/deltadatabase-health"
  [ $# -eq 1 ] || cp deploy/docker/all-in-one.sh "$out/usr/local/bin/deltadatabase"
  for program in "$@"; do cp "$parts/$program" "$out/usr/local/bin/"; done
  if [ -d $parts/tree ]; then
    mkdir -p "$out/opt"
    cp -Rl $parts/tree "$out$root"
  fi
  chmod 755 "$out"/usr/local/bin/*
}
chmod -R a+rX,go-w $parts
image main-worker main-worker
image proc-worker proc-worker
image all-in-one main-worker proc-worker
