#!/usr/bin/env bash
# Take every figure that needs a GPU, in under eight minutes: benchmarks/gpu.json and the table in docs/gpu.md.
#
#   bash benchmarks/gpu.sh                      on a CUDA device; then commit the two files
#   bash benchmarks/gpu.sh --small --device cpu --out /tmp/figures.json    tries the script at small sizes; writes nothing else
#
# A part that takes too long or fails is named in the table; the others are measured all the same.
set -uo pipefail
cd "$(dirname "$0")/.."

DEVICE=cuda SMALL="" OUT=benchmarks/gpu.json PYTHON=${PYTHON:-.venv/bin/python}
while [ $# -gt 0 ]; do
  case $1 in
    --small) SMALL=1 ;;
    --device) DEVICE=$2; shift ;;
    --out) OUT=$2; shift ;;
    *) echo "unknown option $1; there are --small, --device and --out" >&2; exit 2 ;;
  esac
  shift
done

PARTS=$(mktemp -d)
trap 'rm -rf "$PARTS"' EXIT
export OMP_WAIT_POLICY=PASSIVE
SLACK=${SMALL:+20}  # a busy machine may try the script, too

# part NAME SECONDS MODULE OPTIONS…: one benchmark, its JSON, how long it took, and how it ended
part() {
  local name=$1 seconds=$2 module=$3 began=$SECONDS code=0
  shift 3
  timeout "$((seconds * ${SLACK:-1}))" "$PYTHON" -m "$module" "$@" >"$PARTS/$name.log" 2>&1 || code=$?
  [ "$code" = 0 ] || { echo "$name ended with $code after $((SECONDS - began)) s:" >&2; tail -5 "$PARTS/$name.log" >&2; }
  echo "$name $code $((SECONDS - began))" >>"$PARTS/ended"
}

if [ -n "$SMALL" ]; then
  SPIKING=(--networks zoo --batches 1 --seconds 0.1 --pairs 1 --modes inference gradient)
  STEP=(--generators pixel --presets "" --candidates 1 --repeats 1)
  UNITS=(--units 4 --steps 2 --singles 2 --rounds 1)
  WIDE=(--units 2 --steps 1 --singles 1 --rounds 1)
  LATENCY=(--generations 10)
else
  SPIKING=(--batches 1 16 64 --seconds 4 --pairs 3 --memory 30)
  STEP=(--generators fourier --presets "" lucid maco --candidates 1 8 64 --repeats 7)
  UNITS=(--units 64 --steps 32 --singles 8 --rounds 3)
  WIDE=(--units 64 --steps 16 --singles 4 --rounds 2)
  LATENCY=(--generations 200)
fi

part spiking 140 benchmarks.spiking.bench --device "$DEVICE" --out "$PARTS/spiking.json" "${SPIKING[@]}"
part step 90 benchmarks.seeing.step --device "$DEVICE" --out "$PARTS/step.json" "${STEP[@]}"
part step-trained 70 benchmarks.seeing.step --network efficientnet-lite0 --device "$DEVICE" --out "$PARTS/step-trained.json" "${STEP[@]}"
part units 50 benchmarks.seeing.many_units --device "$DEVICE" --out "$PARTS/units.json" "${UNITS[@]}"
part units-224 70 benchmarks.seeing.many_units --network efficientnet-lite0 --device "$DEVICE" --out "$PARTS/units-224.json" "${WIDE[@]}"
part latency 40 benchmarks.sessions.latency --out "$PARTS" "${LATENCY[@]}"

"$PYTHON" -m benchmarks.gpu --parts "$PARTS" --out "$OUT" ${SMALL:+--small}
