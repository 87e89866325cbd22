#!/usr/bin/env bash
# Make an environment with tbd and all that it needs; nothing is done when it is up to date.
#
#   bash tools/setup.sh [onedl|openmmlab]
#
# The argument names the distribution of MMDetection: onedl (default) goes to .venv, openmmlab
# to .venv-openmmlab. VENV chooses another folder, PYTHON the interpreter that it is made with.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
DISTRIBUTION=${1:-onedl}
case $DISTRIBUTION in
  onedl) DEFAULT_VENV=$ROOT/.venv EXTRAS=onedl,dev ;;
  openmmlab) DEFAULT_VENV=$ROOT/.venv-openmmlab EXTRAS=openmmlab,test ;;
  *) echo "setup.sh: unknown distribution '$DISTRIBUTION'; it is onedl or openmmlab" >&2; exit 2 ;;
esac
VENV=${VENV:-$DEFAULT_VENV}

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python3.10}; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  echo "setup.sh: no Python >= 3.10 found (tried ${PYTHON:-python3, python3.10 to python3.14});" \
    "install one, or name it: PYTHON=/path/to/python3.11" >&2
  return 1
}

# What decides the content of the environment; ROOT because the installation is editable. The version
# of an editable installation is the one that tbd had then.
wanted() {
  {
    echo "$ROOT $EXTRAS"
    cat "$ROOT/pyproject.toml" "$ROOT/constraints.txt"
    grep __version__ "$ROOT/tbd/__init__.py"
  } | cksum
}

STAMP=$VENV/.tbd-installed
if [ -x "$VENV/bin/python" ] && [ "$(cat "$STAMP" 2>/dev/null)" = "$(wanted)" ]; then
  exit 0
fi

LOG=$VENV/install.log
echo "== environment $VENV: $DISTRIBUTION; a new one downloads some GB, which takes minutes."
echo "   What pip says is in $LOG =="
NEW=false
if ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
  NEW=true
  INTERPRETER=$(find_python)
  if ! "$INTERPRETER" -m venv "$VENV"; then
    echo "setup.sh: $INTERPRETER cannot make virtual environments; on Debian and Ubuntu" \
      "'apt-get install python3-venv' helps, or name another interpreter with PYTHON=" >&2
    exit 1
  fi
fi
export PIP_DISABLE_PIP_VERSION_CHECK=1
: >"$LOG"
pip() {
  if ! "$VENV/bin/python" -m pip "$@" >>"$LOG" 2>&1; then
    tail -n 20 "$LOG" >&2
    echo "setup.sh: pip failed; its whole output is in $LOG" >&2
    exit 1
  fi
}

# torch and its CUDA libraries take gigabytes; an environment that lies beside this one lends them.
if $NEW; then
  for OTHER in "$ROOT/.venv" "$ROOT/.venv-openmmlab"; do
    if [ "$OTHER" != "$VENV" ] && [ -f "$OTHER/.tbd-installed" ]; then
      "$VENV/bin/python" "$ROOT/tools/link_packages.py" "$OTHER" >>"$LOG" 2>&1 || tail -n 5 "$LOG" >&2
      break
    fi
  done
fi
pip install -c "$ROOT/constraints.txt" -e "$ROOT[$EXTRAS]"

# OpenCV's desktop build needs libGL, which servers and containers often lack.
if ! "$VENV/bin/python" -c 'import cv2' 2>/dev/null; then
  echo "== OpenCV's desktop build does not load here: installing the headless one =="
  pip uninstall --yes opencv-python opencv-python-headless
  pip install --no-deps -c "$ROOT/constraints.txt" opencv-python-headless
  "$VENV/bin/python" -c 'import cv2'
fi
wanted >"$STAMP"
