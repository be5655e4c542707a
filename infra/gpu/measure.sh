#!/bin/sh
# Everything that needs a GPU, in one go: the tests under tests/gpu, then the benchmarks.
#
#   sh infra/gpu/measure.sh OUT [WHEELS]           on a GPU: about half an hour, JSON, plots and logs in OUT
#   DEVICE=cpu PARTS="tests sd21 if idle" sh infra/gpu/measure.sh OUT    a rehearsal without one, with tiny priors
#   PARTS="tests sd21" sh infra/gpu/measure.sh OUT        some of it: tests, sd21, if-m, if-l, if-xl, idle
#
# The part "idle" says what optimisation loses while exports run beside it.
#
# It needs torch, triton and transformers, and what wheels.sh has put into WHEELS; neither Ray nor a network.
set -eu
cd "$(dirname "$0")/../.."
out=$1 python=${PYTHON:-python3} device=${DEVICE:-cuda}
mkdir -p "$out"
if [ -n "${2:-}" ]; then
  "$python" -m pip install -q --no-index --no-deps --upgrade --target "$out/.site" "$2"/*.whl
fi
export PYTHONPATH="pipeline:$out/.site${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
parts=${PARTS:-tests sd21 if-m if-xl idle}

# One view of 64 x 64, as a step of the research codes shows.
settings="optimize.views_per_step=1"
sizes="--slots 1 4 8 16 32 --steps 20 --baseline-steps 20 --repeats 2 --side-by-side 1 2 4 8 --operators"
idle="--slots 8 --steps 5 --baseline-steps 1 --repeats 1 --side-by-side --beside-exports 1 2"
tiny=
if [ "$device" = cpu ]; then
  settings="optimize.views_per_step=1 render.image_px=8 render.samples_per_ray=4 field.hash_grid.entries_per_level=256"
  sizes="--slots 1 2 --steps 1 --baseline-steps 1 --repeats 1 --side-by-side 2 --operators --window 0.1"
  idle="--slots 2 --steps 1 --baseline-steps 1 --repeats 1 --side-by-side --beside-exports 1 --window 0.1"
  tiny=tiny-
fi
changes=
for setting in $settings; do
  changes="$changes --set $setting"
done

benchmark() { # architecture, name of the results, sizes
  # shellcheck disable=SC2086 # sizes and settings are several words
  "$python" jobs/benchmark.py --device "$device" --recipe dreamfusion_hash --architecture "$tiny$1" $3 $changes \
    --whole 0 --json "$out/$2.json" --plot "$out/$2.png"
}

for part in $parts; do
  case $part in
    tests)
      "$python" -m pytest -c tests/gpu/pytest.ini --rootdir tests/gpu --confcutdir tests/gpu tests/gpu > "$out/tests.log" 2>&1 ||
        echo "tests failed: $out/tests.log" >&2
      tail -n 1 "$out/tests.log"
      ;;
    idle) benchmark sd21 idle "$idle" ;;
    *) benchmark "$part" "$part" "$sizes" ;;
  esac
done
