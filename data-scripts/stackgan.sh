#!/usr/bin/env bash
# CUB-200-2011, the set of chapter 6: photographs of birds with bounding boxes, for research only, from its authors' archive.
# Captions and the authors' lists (text_c10, train, test) are in birds.zip of https://github.com/hanzhanggit/StackGAN; put its
# folders beside CUB_200_2011.
#
#   data-scripts/stackgan.sh            the 11,788 photographs (1.1 GB) into data/birds
#   data-scripts/stackgan.sh FOLDER     a folder in that layout of your own
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -eq 0 ]; then
    input=data/birds
    cargo run -p stackgan -- data download cub -o "$input"
    if [ ! -d "$input/text_c10" ]; then
        echo "now: unpack birds.zip, so that $input has text_c10, train and test beside CUB_200_2011; then run this script with $input"
        exit
    fi
else
    input=$1
fi
cargo run -p stackgan -- data check "$input"
echo "now: cargo run -p stackgan -- train --preset paper --data $input"
