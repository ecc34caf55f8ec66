#!/bin/sh
# Stands in for `ekphrasis`: takes the same arguments, makes the same files. Beside it, `fail.ARM`, `hang.ARM` and
# `silent.ARM` say which arms fail, never end, or end without a summary; `slow` makes every run take a moment.
here=$(dirname "$0")
echo "$*" >>"$here/calls.txt"
[ "$1" = run ] || { echo "unknown command $1" >&2; exit 2; }
shift
resumed= settings=
while [ $# -gt 0 ]; do
  case $1 in
    --resume) out=$2 resumed=yes; shift 2 ;;
    --out) out=$2; shift 2 ;;
    --set) settings="$settings $2"; shift 2 ;;
    *) shift ;;
  esac
done
if [ -n "$resumed" ]; then
  [ -e "$out/config.toml" ] || { echo "no run in $out" >&2; exit 2; }
else
  [ -e "$out/config.toml" ] && { echo "$out holds a run already" >&2; exit 2; }
  mkdir -p "$out"
  echo "$settings" >"$out/config.toml"
fi
name=$(basename "$out") arm=$(basename "${out%%-seed*}")
mkdir -p "$here/running"
touch "$here/running/$name"
trap 'rm -f "$here/running/$name"' EXIT
ls "$here/running" | wc -l >>"$here/at_a_time.txt"
[ -e "$here/slow" ] && sleep 0.4
if [ -e "$here/fail.$arm" ]; then
  printf 'step 1 of 9\rstep 2 of 9\n'
  echo "error: no luck" >&2
  exit 3
fi
if [ -e "$here/hang.$arm" ]; then
  trap 'echo saved; exit 130' INT
  touch "$here/hanging"
  while :; do sleep 0.05; done
fi
[ -e "$here/silent.$arm" ] && exit 0
number() { (echo 0; tr ' ' '\n' <"$out/config.toml" | sed -n "s/^$1=//p") | tail -n 1; }
echo "{ \"val.score\": $(($(number max_length) * 10 + $(number seed) * $(number seed))).25 }" >"$out/summary.json"
