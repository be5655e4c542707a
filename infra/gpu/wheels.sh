#!/bin/sh
# Wheels for infra/gpu/measure.sh, to be carried to a GPU machine without a network: sh infra/gpu/wheels.sh FOLDER
# The machine has torch, triton, transformers, jaxtyping, scipy, matplotlib and pytest, for Python 3.12 on x86-64
# (PYTHON_VERSION says another). diffusers is pure Python; the rest is what an export needs: about 44 MB in all.
set -eu
cd "$(dirname "$0")/../.."
platforms=
for platform in manylinux_2_28_x86_64 manylinux_2_17_x86_64 manylinux2014_x86_64 any; do
  platforms="$platforms --platform $platform"
done
# shellcheck disable=SC2086 # platforms are several words
python3 -m pip download --no-deps --only-binary=:all: --python-version "${PYTHON_VERSION:-3.12}" $platforms \
  --dest "$1" --constraint constraints.txt diffusers \
  trimesh networkx manifold3d fast-simplification xatlas embreex scikit-image lazy-loader pillow packaging \
  pygltflib dataclasses-json marshmallow typing-inspect mypy-extensions
