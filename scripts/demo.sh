#!/usr/bin/env bash
# `make demo`: every step that a user takes, as the commands that a user would type.
set -euo pipefail
PATH="${VENV:-$PWD/.venv}/bin:$PATH"

say() { printf '\n$ %s\n' "$*"; "$@"; }

started=$SECONDS
run="demo/run-$(date +%Y%m%d-%H%M%S)"
[ -d demo/scenes ] || say bearcnn data synth demo/scenes
say bearcnn train --config configs/demo.toml --data demo/scenes --out "$run"
say bearcnn evaluate "$run" --at-least accuracy=0.95
say bearcnn export "$run" --format int8 --out "$run/model-int8.onnx"
say bearcnn predict demo/scenes/test/*/*/000[0-3][89].jpg --model "$run/model-int8.onnx"

cat <<END

Done in $((SECONDS - started)) seconds: the accuracy on the test photos is at least 0.95, as promised.

  demo/scenes          the drawn pictures; look at a few
  $run/report.html
                       open it in a browser: the scores, a threshold to move, the worst mistakes
  $run/model.onnx
                       the model: this one file is all that predict needs

Now with your own photos, one folder for each kind of thing, one of them called bear:

  .venv/bin/bearcnn train --data YOUR_PHOTOS
  .venv/bin/bearcnn predict SOME_PHOTO.jpg
END
