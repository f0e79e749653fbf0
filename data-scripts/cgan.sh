#!/usr/bin/env bash
# IMDB-WIKI, the set of chapter 3: photographs of the famous with dates of birth, cropped to faces, for research only, from
# its authors' server.
#
#   data-scripts/cgan.sh            the 62,328 faces of Wikipedia (1 GB) into data/wiki
#   data-scripts/cgan.sh imdb       the 460,723 faces of IMDB (7 GB) into data/imdb
#   data-scripts/cgan.sh FOLDER     a folder of your own: UTKFace (from https://susanqq.github.io/UTKFace), or a table
#                                   in CSV with the columns path and age
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1:-wiki}" in
wiki | imdb)
    set="${1:-wiki}"
    cargo run -p cgan -- data download "$set" -o "data/$set"
    input=$(dirname "$(find "data/$set" -name "$set.mat" | head -n 1)")
    preset=paper
    ;;
*)
    input=$1
    preset=utkface
    ;;
esac
cargo run -p cgan -- data check "$input"
echo "now: cargo run -p cgan -- train --preset $preset --data $input"
