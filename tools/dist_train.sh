#!/usr/bin/env bash
# Train with several processes, one per GPU; over gloo where there is no GPU.
#
#   bash tools/dist_train.sh CONFIG PROCESSES [options of tools/train.py]
#
# Several machines: run it on each with NNODES, NODE_RANK (0 … NNODES-1), MASTER_ADDR (the
# first machine) and PORT set. PYTHON chooses the interpreter.
set -euo pipefail

if [ $# -lt 2 ]; then
  echo "usage: bash tools/dist_train.sh CONFIG PROCESSES [options of tools/train.py]" >&2
  exit 2
fi
CONFIG=$1
PROCESSES=$2
exec "${PYTHON:-python}" -m torch.distributed.run \
  --nnodes="${NNODES:-1}" \
  --node_rank="${NODE_RANK:-0}" \
  --master_addr="${MASTER_ADDR:-127.0.0.1}" \
  --master_port="${PORT:-29500}" \
  --nproc_per_node="$PROCESSES" \
  "$(dirname "$0")/train.py" "$CONFIG" --launcher pytorch "${@:3}"
