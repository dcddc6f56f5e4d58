#!/usr/bin/env bash
# Writes run.txt, api.txt and test.txt out of pyproject.toml, with markers and hashes for every platform and every Python from
# 3.11 on. Versions that stand there are kept; others: lock.sh --upgrade, or lock.sh --upgrade-package NAME.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() { uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-annotate --no-header "$@"; }

# FILE COMMENT AWK [FILE...]: keeps of FILE what the awk program prints, below a comment.
keep() {
  local file=$1 comment=$2
  shift 2
  { echo "# $comment Made by \`make lock\`."; awk "$@" "$file"; } > "$file.new"
  mv "$file.new" "$file"
}

compile "$@" --output-file requirements/run.txt -c requirements/torch.txt --extra worker --extra local pyproject.toml
keep requirements/run.txt "What runs." '/^[^ ]/ {skip = /^(torch|triton|nvidia-.*|cuda-.*)==/} !skip && !/^#/'
echo 'setuptools>=80' | compile --output-file requirements/api.txt -c requirements/run.txt pyproject.toml -
keep requirements/api.txt "What the API and the command line need, of run.txt." '!/^#/'
compile "$@" --output-file requirements/test.txt -c requirements/run.txt --extra dev pyproject.toml
keep requirements/test.txt "What tests and linters need besides run.txt." \
  'NR == FNR {if (/==/) known[$1]; next} /^[^ ]/ {skip = $1 in known} !skip && !/^#/' requirements/run.txt
