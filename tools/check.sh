#!/usr/bin/env bash
# Set up, then check style and types and run every test.
#
#   bash tools/check.sh [--fast]
#
# --fast leaves out the slow tests and those in an environment with OpenMMLab's distribution.
# TBD_DATA names the folder of real data sets; tests that need them are skipped without it.
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
FAST=false
case ${1:-} in
  "") ;;
  --fast) FAST=true ;;
  *) echo "check.sh: unknown option '$1'; there is --fast" >&2; exit 2 ;;
esac

FAILED=()
step() {
  local name=$1
  shift
  if [ ${#FAILED[@]} -gt 0 ]; then
    echo "== failed so far: ${FAILED[*]} =="
  fi
  echo "== $name =="
  "$@" || FAILED+=("$name")
}

bash tools/setup.sh onedl || exit 1
PY=.venv/bin/python
if ! $FAST; then
  bash tools/setup.sh openmmlab || exit 1
fi

# Two processes of tests, each with whole files of them and one thread.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

step lint $PY -m ruff check .
step format $PY -m ruff format --check .
step types $PY -m mypy tbd
step tests $PY -m pytest -n 2 --dist loadscope -m "not slow"
if ! $FAST; then
  step slow-tests $PY -m pytest -n 2 --dist loadscope -m slow
  step openmmlab-tests .venv-openmmlab/bin/python -m pytest -n 2 --dist loadscope -m openmmlab
fi
# pytest's summary stays the last thing printed.
[ ${#FAILED[@]} -eq 0 ]
