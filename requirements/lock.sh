#!/usr/bin/env bash
# Writes run.txt, api.txt, files.txt, evaluate.txt and test.txt out of pyproject.toml, with markers and hashes for every platform and
# every Python from 3.11 on. Versions that stand there are kept; others: lock.sh --upgrade, or lock.sh --upgrade-package NAME.
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
# further NAME EXTRA COMMENT: what an extra needs besides what was written before.
before=(requirements/run.txt)
further() {
  local file=requirements/$1 extra=$2 comment=$3
  shift 3
  compile "$@" --output-file "$file" $(printf -- '-c %s ' "${before[@]}") --extra "$extra" pyproject.toml
  keep "$file" "$comment" \
    -v "target=$file" 'FILENAME != target {if (/==/) known[$1]; next} /^[^ ]/ {skip = $1 in known} !skip && !/^#/' "${before[@]}"
  before+=("$file")
}
further files.txt files "What reading CSV, Parquet and mapping files needs besides run.txt." "$@"
further evaluate.txt evaluate "What the baselines of river need besides run.txt and files.txt." "$@"
further test.txt dev "What tests and linters need besides run.txt, files.txt and evaluate.txt." "$@"
