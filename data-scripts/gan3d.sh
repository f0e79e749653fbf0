#!/usr/bin/env bash
# 3D-ShapeNets, the set of chapter 2: volumetric models of 40 classes (ModelNet40) in 12 orientations, 30 x 30 x 30
# voxels, for academic use only, from its authors' server.
#
#   data-scripts/gan3d.sh             all classes into data/3DShapeNets_64
#   data-scripts/gan3d.sh ARCHIVE     an archive, a folder of meshes or of voxels of your own into data/shapes_64
set -euo pipefail
cd "$(dirname "$0")/.."

if [ $# -eq 0 ]; then
    cargo run -p gan3d -- data download 3DShapeNets -o data/3DShapeNets
    input=$(find data/3DShapeNets -type d -name volumetric_data | head -n 1)
    folder=data/3DShapeNets_64
else
    input=$1
    folder=data/shapes_64
fi
cargo run -p gan3d -- data prepare -i "$input" -o "$folder" --size 64
cargo run -p gan3d -- data check "$folder"
echo "now: cargo run -p gan3d -- train --preset paper --data $folder --class chair"
