#!/usr/bin/env bash
# Facades of the CMP database as pix2pix's authors distribute them: 400 + 100 + 106 pairs, photograph left, label map
# right. Their page names no licence; CMP gives the pictures for research.
# Others of theirs: maps, cityscapes, night2day, edges2shoes, edges2handbags.
#
#   data-scripts/pix2pix.sh            the facades into data/facades
#   data-scripts/pix2pix.sh maps       another set into data/maps
#   data-scripts/pix2pix.sh FOLDER     edges of your own photographs into data/edges
set -euo pipefail
cd "$(dirname "$0")/.."

name="${1:-facades}"
if [ -d "$name" ]; then
    cargo run -p pix2pix -- data prepare --pairs edges -i "$name" -o data/edges --size 256 --split 0.95
    cargo run -p pix2pix -- data check data/edges
    echo "now: cargo run -p pix2pix -- train --data data/edges"
else
    cargo run -p pix2pix -- data download "$name" -o "data/$name"
    # The archive holds a folder of its own name.
    folder="data/$name/$name/$name"
    [ -d "$folder" ] || folder="data/$name/$name"
    cargo run -p pix2pix -- data check "$folder"
    echo "now: cargo run -p pix2pix -- train --data $folder --direction b2a   (a2b for maps and edges)"
fi
