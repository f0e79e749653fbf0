#!/usr/bin/env bash
# What the README measured on Set14, from the data to the sheet of crops.
#
#     crates/srgan/pictures/recipe.sh CBSD68 CELEBA CELEBA_FULL_SIZE SET14 FOLDER
#
# CBSD68 is a folder of pictures of that set (36 of the 68 were there), CELEBA of faces at half size (000001.jpg to
# 002500.jpg, 89 x 109; every eighth is taken) and CELEBA_FULL_SIZE of 32 at 178 x 218, which replace those of their names.
# Four of CBSD68 are kept out of training and choose the best checkpoint. FOLDER is new. An hour on 2 cores. The sheet
# needs Python with Pillow.
set -euo pipefail
cbsd=$1 celeba=$2 full=$3 set14=$4 folder=$5
srgan="cargo run -p srgan --"
mkdir -p "$folder"/raw/{train,val} "$folder"/data/train/celeba
cp "$cbsd"/*.png "$folder/raw/train"
for name in 108082 143090 163085 196073; do mv "$folder/raw/train/$name.png" "$folder/raw/val"; done
$srgan data prepare -i "$folder/raw/train" -o "$folder/data/train/cbsd" --sub-images 160 --stride 80
cp -r "$folder/raw/val" "$folder/data/val"
for number in $(seq 1 8 2500); do cp "$celeba/$(printf %06d "$number").jpg" "$folder/data/train/celeba"; done
cp "$full"/*.jpg "$folder/data/train/celeba"

small="--data $folder/data --out $folder/runs --content-loss mse --blocks 6 --width-g 48 --width-d 16 --crop-size 64"
# Published networks are larger; these learn in the time that there is. SRResNet as in the paper, and without batch norm.
$srgan train $small --name srresnet --adversarial=false --lr 0.0005 --mse-steps 7000
$srgan train $small --name msrresnet --adversarial=false --lr 0.0005 --mse-steps 4500 --net-g msrresnet
$srgan train $small --name adversarial --init-from "$folder/runs/srgan/msrresnet" --mse-steps 0 --net-g msrresnet \
    --lambda-adversarial 0.0005 --steps 5000
for run in srresnet msrresnet adversarial; do
    $srgan evaluate --checkpoint "$folder/runs/srgan/$run" --data "$set14" -o "$folder/$run"
done
python3 "$(dirname "$0")/crops.py" "$folder/set14.jpg" bicubic="$folder/msrresnet/bicubic" \
    MSRResNet="$folder/msrresnet/made" adversarial="$folder/adversarial/made" original="$folder/msrresnet/real" \
    monarch:300,150 comic:90,60 zebra:250,170 face:100,100 flowers:180,120
