#!/usr/bin/env bash
# CelebA: 1.4 GB, 202,599 aligned faces, for non-commercial research only, from its authors' Google Drive.
# Anime faces, as chapter 4 of the book collects them: nobody distributes the archive, so the pictures
# come from where you collected them (for instance with gallery-dl and a face cropper), under the
# licences of their makers.
#
#   data-scripts/dcgan.sh                        CelebA into data/celeba_64
#   data-scripts/dcgan.sh FOLDER_OF_PICTURES     your own pictures into data/anime_faces
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -eq 0 ]; then
    cargo run -p dcgan -- data download celeba -o data/celeba
    # The paper's crop: the middle 108 x 108 pixels of 178 x 218.
    cargo run -p dcgan -- data prepare -i data/celeba/img_align_celeba -o data/celeba_64 \
        --crop 35,55,108,108 --size 64
    cargo run -p dcgan -- data check data/celeba_64
    echo "now: cargo run -p dcgan -- train --data data/celeba_64"
else
    cargo run -p dcgan -- data check "$1"
    cargo run -p dcgan -- data prepare -i "$1" -o data/anime_faces --crop center --min-size 48 --size 96 --dedupe
    echo "now: cargo run -p dcgan -- train --preset faces --data data/anime_faces"
fi
