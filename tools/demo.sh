#!/usr/bin/env bash
# Show task-balanced distillation on generated images, from nothing: set up, train a teacher, a
# plain student and a distilled student on the CPU, compare the three.
#
#   bash tools/demo.sh [SEED] [options of tools/compare.py]
#
# SEED (default 0) is the seed of all three. Run it again after an interruption to go on, or to
# see the result again; --verbose shows the logs of the trainings. Everything is written to
# work_dirs/demo/seed_SEED/, the images to data/shapes/.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
SEED=0
if [ $# -gt 0 ] && [[ $1 != -* ]]; then
  SEED=$1
  shift
fi
if ! [[ $SEED =~ ^[0-9]+$ ]]; then
  echo "demo.sh: the seed must be a whole number, not '$SEED'" >&2
  exit 2
fi

bash tools/setup.sh onedl

echo "Distilling on generated images: a teacher, a plain student, a distilled student, one after the"
echo "other; about 7 minutes on two CPU cores. Ctrl-C stops, and the same command goes on."
# The same numbers on machines with and without a GPU.
export CUDA_VISIBLE_DEVICES=
exec "${VENV:-.venv}/bin/python" tools/compare.py \
  configs/shapes/retinanet_student_shapes.py configs/shapes/tbd_retinanet_shapes.py \
  --teacher configs/shapes/retinanet_teacher_shapes.py --teacher-seed "$SEED" \
  --baseline configs/shapes/retinanet_student_shapes.py \
  --seeds "$SEED" --work-dir "work_dirs/demo/seed_$SEED" "$@"
