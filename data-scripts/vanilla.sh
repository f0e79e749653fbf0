#!/usr/bin/env bash
# MNIST: 12 MB, 70,000 handwritten digits, CC BY-SA 3.0, from two public mirrors of the original files.
# Fashion-MNIST: 31 MB, 70,000 articles of clothing, MIT, from its authors' repository.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo run -p vanilla -- data download mnist -o data/mnist
cargo run -p vanilla -- data check data/mnist
cargo run -p vanilla -- data download fashion-mnist -o data/fashion-mnist
cargo run -p vanilla -- data check data/fashion-mnist

echo "now: cargo run -p vanilla -- train --preset mnist --data data/mnist"
