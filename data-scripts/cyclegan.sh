#!/usr/bin/env bash
# monet2photo, the set of chapter 7, as CycleGAN's authors distribute it: 1,072 paintings by Monet and 6,287
# photographs to train on, about 290 MB. The photographs come from Flickr, under the licences of their makers.
# Others of theirs: horse2zebra, apple2orange, summer2winter_yosemite, vangogh2photo, cezanne2photo, ukiyoe2photo,
# maps, facades, iphone2dslr_flower.
#
#   data-scripts/cyclegan.sh                  monet2photo into data/monet2photo
#   data-scripts/cyclegan.sh horse2zebra      another set
set -euo pipefail
cd "$(dirname "$0")/.."

name="${1:-monet2photo}"
cargo run -p cyclegan -- data download "$name" -o "data/$name"
# The archive holds a folder of its own name.
folder="data/$name/$name/$name"
[ -d "$folder" ] || folder="data/$name/$name"
cargo run -p cyclegan -- data check "$folder"
echo "now: cargo run -p cyclegan -- train --preset paper --data $folder"
