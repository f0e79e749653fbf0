#!/usr/bin/env python3
"""Crops of upscaled pictures beside each other, as `srgan evaluate -o` wrote them: a row for each place, a column for
each folder. Places are of the high-resolution picture.

    python3 crops.py set14.jpg bicubic=B/made SRResNet=A/made adversarial=G/made original=A/real \
        monarch:330,150 comic:90,60 zebra:250,170 ppt3:80,420

Needs Pillow.
"""

import pathlib
import sys

from PIL import Image, ImageDraw

SIDE, TIMES, GAP, HEAD = 64, 4, 4, 18


def opened(folder, name):
    found = [path for path in pathlib.Path(folder).iterdir() if path.stem == name]
    if len(found) != 1:
        sys.exit(f"{folder}: expected one picture named {name}, found {len(found)}")
    return Image.open(found[0]).convert("RGB")


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    target, words = sys.argv[1], sys.argv[2:]
    columns = [word.split("=", 1) for word in words if "=" in word]
    places = [word.split(":", 1) for word in words if "=" not in word]
    cell = SIDE * TIMES + GAP
    sheet = Image.new("RGB", (GAP + cell * len(columns), HEAD + cell * len(places)), "white")
    draw = ImageDraw.Draw(sheet)
    for column, (label, folder) in enumerate(columns):
        draw.text((GAP + column * cell, 3), label, fill="black")
        for row, (name, corner) in enumerate(places):
            left, top = (int(number) for number in corner.split(","))
            crop = opened(folder, name).crop((left, top, left + SIDE, top + SIDE))
            # Each pixel a square, so that nothing is smoothed.
            crop = crop.resize((SIDE * TIMES, SIDE * TIMES), Image.Resampling.NEAREST)
            sheet.paste(crop, (GAP + column * cell, HEAD + row * cell))
    sheet.save(target, quality=92)


main()
