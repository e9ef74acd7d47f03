#!/usr/bin/env bash
# Writes requirements/: every package that `make install` installs, pinned as constraints.txt says, with the SHA-256 of
# each of its files on PyPI, for all systems and Python 3.11 to 3.13. Needs uv, which `make lock` installs.
#
# torch has files of its own. PyPI's build for Linux needs NVIDIA's libraries (cuda.txt, 3 GB). A build for processors
# alone ("2.13.0+cpu", from an index or a folder of its own) needs none, and PyPI doesn't know its hash: give the wheel
# as CPU_TORCH=FILE, or torch-cpu.txt stays as it is.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() {
    uv pip compile --quiet --no-header --no-annotate --universal --python-version 3.11.5 --generate-hashes \
        --constraints constraints.txt "$@"
}
torch_and_gpu=$(echo torch | compile - | sed -nE 's/^((torch|triton|nvidia|cuda)[a-z0-9-]*)==.*/\1/p')
without=()
for name in $torch_and_gpu; do without+=(--no-emit-package "$name"); done

echo "setuptools>=77" | compile pyproject.toml - --extra dev --extra pretrained "${without[@]}" > requirements/lock.txt
# MegaDetector's validator, for one test: what it says it needs (ultralytics, AGPL; opencv-python) is for detecting.
printf '%s\n' megadetector==10.0.28 jsonpickle==4.1.4 humanfriendly==10.0 | compile - --no-deps >> requirements/lock.txt

echo torch | compile - --no-deps > requirements/torch.txt
echo torch | compile - --no-emit-package torch > requirements/cuda.txt
if [ -n "${CPU_TORCH:-}" ]; then
    version=$(basename "$CPU_TORCH" | cut -d- -f2)
    printf 'torch==%s \\\n    --hash=sha256:%s\n' "$version" "$(sha256sum "$CPU_TORCH" | cut -d' ' -f1)" \
        > requirements/torch-cpu.txt
fi
