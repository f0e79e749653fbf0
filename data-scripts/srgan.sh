#!/usr/bin/env bash
# CelebA, the set of chapter 5: 1.4 GB, 202,599 aligned faces of 178 x 218, for non-commercial research only, from its
# authors' Google Drive; a hundredth of them is kept for testing.
# DIV2K: 800 + 100 photographs of about 2040 x 1400, 4 GB, for academic research only, cut into squares of 480 pixels
# that are read many times as fast.
#
#   data-scripts/srgan.sh                          CelebA into data/celeba_sr
#   data-scripts/srgan.sh DIV2K                    DIV2K into data/DIV2K_480
#   data-scripts/srgan.sh FOLDER_OF_PHOTOGRAPHS    your own into data/photographs_480
set -euo pipefail
cd "$(dirname "$0")/.."

name="${1:-celeba}"
if [ "$name" = celeba ]; then
    cargo run -p srgan -- data download celeba -o data/celeba
    cargo run -p srgan -- data prepare -i data/celeba/img_align_celeba -o data/celeba_sr --split 0.99
    folder=data/celeba_sr
elif [ "$name" = DIV2K ]; then
    cargo run -p srgan -- data download DIV2K -o data/DIV2K
    cargo run -p srgan -- data prepare -i data/DIV2K -o data/DIV2K_480 --sub-images 480 --stride 240
    folder=data/DIV2K_480
else
    cargo run -p srgan -- data prepare -i "$name" -o data/photographs_480 --sub-images 480 --split 0.95
    folder=data/photographs_480
fi
cargo run -p srgan -- data check "$folder"
echo "now: cargo run -p srgan -- train --preset paper --data $folder"
