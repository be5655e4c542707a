#!/bin/sh
# Wheels for infra/gpu/measure.sh, to be carried to a GPU machine without a network: sh infra/gpu/wheels.sh FOLDER
# The machine has torch, triton, transformers, jaxtyping, scipy, matplotlib and pytest; diffusers is pure Python.
set -eu
cd "$(dirname "$0")/../.."
python3 -m pip download --no-deps --only-binary=:all: --dest "$1" --constraint constraints.txt diffusers
