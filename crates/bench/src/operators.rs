//! Every convolution of the eight architectures: forward and both gradients, beside PyTorch's.

use crate::Options;
use crate::machine::{self, time};
use crate::peer::Peer;
use crate::table::{self, Kind, Row, median};
use anyhow::Result;
use burn::tensor::{Device, Tensor};
use convolution::Geometry;
use gan_core::random::Stream;
use serde_json::json;

/// Which way a layer goes; the other way is its input gradient.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Convolution,
    Transposed,
}

/// A layer of one or more architectures.
struct Layer {
    users: Vec<String>,
    way: Way,
    geometry: Geometry,
    output_padding: usize,
}

/// The layers of one architecture while they are listed.
struct List<'a> {
    layers: &'a mut Vec<Layer>,
    word: &'static str,
    batch: usize,
    dimensions: usize,
}

impl List<'_> {
    /// The value for each axis; `flat` for the depth where there are two dimensions.
    fn axes<T: Copy>(&self, value: T, flat: T) -> [T; 3] {
        let depth = if self.dimensions == 3 { value } else { flat };
        [depth, value, value]
    }

    /// A convolution from `size` pixels a side.
    fn convolution(
        &mut self,
        from: usize,
        to: usize,
        size: usize,
        kernel: usize,
        stride: usize,
        padding: (usize, usize),
    ) {
        let sides = self.axes(padding, (0, 0));
        let (large, window, steps) = (
            self.axes(size, 1),
            self.axes(kernel, 1),
            self.axes(stride, 1),
        );
        let Some(small) = Geometry::convolved(large, window, steps, sides, [1; 3]) else {
            return;
        };
        self.add(
            Way::Convolution,
            from,
            to,
            large,
            small,
            window,
            steps,
            sides,
            0,
        );
    }

    #[expect(clippy::too_many_arguments, reason = "a layer has that many numbers")]
    /// A transposed convolution from `size` pixels a side.
    fn transposed(
        &mut self,
        from: usize,
        to: usize,
        size: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
        output_padding: usize,
    ) {
        let sides = self.axes((padding, padding), (0, 0));
        let (small, window, steps) = (
            self.axes(size, 1),
            self.axes(kernel, 1),
            self.axes(stride, 1),
        );
        let more = self.axes(output_padding, 0);
        let Some(large) = Geometry::transposed(small, window, steps, sides, more, [1; 3]) else {
            return;
        };
        self.add(
            Way::Transposed,
            to,
            from,
            large,
            small,
            window,
            steps,
            sides,
            output_padding,
        );
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "a geometry has that many numbers"
    )]
    fn add(
        &mut self,
        way: Way,
        large_channels: usize,
        small_channels: usize,
        large: [usize; 3],
        small: [usize; 3],
        kernel: [usize; 3],
        stride: [usize; 3],
        padding: [(usize, usize); 3],
        output_padding: usize,
    ) {
        let geometry = Geometry {
            batch: self.batch,
            large_channels,
            small_channels,
            large,
            small,
            kernel,
            stride,
            padding,
            dilation: [1; 3],
            groups: 1,
        };
        match self
            .layers
            .iter_mut()
            .find(|layer| layer.way == way && layer.geometry == geometry)
        {
            Some(layer) if layer.users.iter().any(|user| user == self.word) => {}
            Some(layer) => layer.users.push(self.word.to_owned()),
            None => self.layers.push(Layer {
                users: vec![self.word.to_owned()],
                way,
                geometry,
                output_padding,
            }),
        }
    }
}

/// The convolutions of every architecture at the sizes of its paper, at batches that a CPU can train.
fn layers() -> Vec<Layer> {
    let mut layers = Vec::new();
    let mut of = |word, batch, dimensions, list: fn(&mut List)| {
        list(&mut List {
            layers: &mut layers,
            word,
            batch,
            dimensions,
        })
    };
    of("dcgan", 32, 2, |list| {
        list.transposed(100, 512, 1, 4, 1, 0, 0);
        for (from, to, size) in [(512, 256, 4), (256, 128, 8), (128, 64, 16), (64, 3, 32)] {
            list.transposed(from, to, size, 4, 2, 1, 0);
        }
        for (from, to, size) in [(3, 64, 64), (64, 128, 32), (128, 256, 16), (256, 512, 8)] {
            list.convolution(from, to, size, 4, 2, (1, 1));
        }
        list.convolution(512, 1, 4, 4, 1, (0, 0));
    });
    of("gan3d", 4, 3, |list| {
        list.transposed(200, 512, 1, 4, 1, 0, 0);
        for (from, to, size) in [(512, 256, 4), (256, 128, 8), (128, 64, 16), (64, 1, 32)] {
            list.transposed(from, to, size, 4, 2, 1, 0);
        }
        for (from, to, size) in [(1, 64, 64), (64, 128, 32), (128, 256, 16), (256, 512, 8)] {
            list.convolution(from, to, size, 4, 2, (1, 1));
        }
        list.convolution(512, 1, 4, 4, 1, (0, 0));
    });
    // Keras' 'same' padding of an even picture with stride 2 is one zero more behind than before.
    of("cgan", 32, 2, |list| {
        for (from, to, size) in [(3, 32, 64), (32, 64, 32), (64, 128, 16), (128, 256, 8)] {
            list.convolution(from, to, size, 5, 2, (1, 2));
        }
        for (from, to, size) in [(256, 128, 16), (128, 64, 32), (64, 3, 64)] {
            list.convolution(from, to, size, 5, 1, (2, 2));
        }
        for (from, to, size) in [(3, 64, 64), (70, 128, 32), (128, 256, 16), (256, 512, 8)] {
            list.convolution(from, to, size, 3, 2, (0, 1));
        }
    });
    of("srgan", 4, 2, |list| {
        list.convolution(3, 64, 24, 9, 1, (4, 4));
        list.convolution(64, 64, 24, 3, 1, (1, 1));
        for size in [24, 48] {
            list.convolution(64, 256, size, 3, 1, (1, 1));
        }
        list.convolution(64, 3, 96, 9, 1, (4, 4));
        list.convolution(3, 64, 96, 3, 1, (1, 1));
        for (from, to, size, stride) in [
            (64, 64, 96, 2),
            (64, 128, 48, 1),
            (128, 128, 48, 2),
            (128, 256, 24, 1),
            (256, 256, 24, 2),
            (256, 512, 12, 1),
            (512, 512, 12, 2),
        ] {
            list.convolution(from, to, size, 3, stride, (1, 1));
        }
        // VGG19 up to its fifth block.
        for (from, to, size) in [
            (64, 64, 96),
            (64, 128, 48),
            (128, 128, 48),
            (128, 256, 24),
            (256, 256, 24),
            (256, 512, 12),
            (512, 512, 12),
            (512, 512, 6),
        ] {
            list.convolution(from, to, size, 3, 1, (1, 1));
        }
    });
    of("stackgan", 8, 2, |list| {
        for (from, to, size) in [
            (1024, 512, 8),
            (512, 256, 16),
            (256, 128, 32),
            (128, 64, 64),
            (64, 3, 64),
        ] {
            list.convolution(from, to, size, 3, 1, (1, 1));
        }
        for (from, to, size) in [(3, 64, 64), (64, 128, 32), (128, 256, 16), (256, 512, 8)] {
            list.convolution(from, to, size, 4, 2, (1, 1));
        }
        list.convolution(640, 512, 4, 3, 1, (1, 1));
        list.convolution(640, 512, 4, 1, 1, (0, 0));
        list.convolution(512, 1, 4, 4, 4, (0, 0));
    });
    of("stackgan", 2, 2, |list| {
        list.convolution(3, 128, 64, 3, 1, (1, 1));
        for (from, to, size) in [(128, 256, 64), (256, 512, 32)] {
            list.convolution(from, to, size, 4, 2, (1, 1));
        }
        for (from, to, size) in [
            (640, 512, 16),
            (512, 512, 16),
            (512, 256, 32),
            (256, 128, 64),
            (128, 64, 128),
            (64, 32, 256),
            (32, 3, 256),
        ] {
            list.convolution(from, to, size, 3, 1, (1, 1));
        }
        for (from, to, size) in [
            (3, 64, 256),
            (64, 128, 128),
            (128, 256, 64),
            (256, 512, 32),
            (512, 1024, 16),
            (1024, 2048, 8),
        ] {
            list.convolution(from, to, size, 4, 2, (1, 1));
        }
        for (from, to) in [(2048, 1024), (1024, 512)] {
            list.convolution(from, to, 4, 3, 1, (1, 1));
        }
    });
    of("cyclegan", 1, 2, |list| {
        // Reflection padding is a pass of its own, so these see the padded picture.
        list.convolution(3, 64, 262, 7, 1, (0, 0));
        list.convolution(64, 128, 256, 3, 2, (1, 1));
        list.convolution(128, 256, 128, 3, 2, (1, 1));
        list.convolution(256, 256, 66, 3, 1, (0, 0));
        list.transposed(256, 128, 64, 3, 2, 1, 1);
        list.transposed(128, 64, 128, 3, 2, 1, 1);
        list.convolution(64, 3, 262, 7, 1, (0, 0));
        for (from, to, size, stride) in [
            (3, 64, 256, 2),
            (64, 128, 128, 2),
            (128, 256, 64, 2),
            (256, 512, 32, 1),
            (512, 1, 31, 1),
        ] {
            list.convolution(from, to, size, 4, stride, (1, 1));
        }
    });
    of("pix2pix", 1, 2, |list| {
        for (from, to, size) in [
            (3, 64, 256),
            (64, 128, 128),
            (128, 256, 64),
            (256, 512, 32),
            (512, 512, 16),
            (512, 512, 8),
            (512, 512, 4),
            (512, 512, 2),
        ] {
            list.convolution(from, to, size, 4, 2, (1, 1));
        }
        for (from, to, size) in [
            (512, 512, 1),
            (1024, 512, 2),
            (1024, 512, 4),
            (1024, 512, 8),
            (1024, 256, 16),
            (512, 128, 32),
            (256, 64, 64),
            (128, 3, 128),
        ] {
            list.transposed(from, to, size, 4, 2, 1, 0);
        }
        for (from, to, size, stride) in [
            (6, 64, 256, 2),
            (64, 128, 128, 2),
            (128, 256, 64, 2),
            (256, 512, 32, 1),
            (512, 1, 31, 1),
        ] {
            list.convolution(from, to, size, 4, stride, (1, 1));
        }
    });
    layers
}

impl Layer {
    fn name(&self) -> String {
        let g = &self.geometry;
        let (mark, from, to, size) = match self.way {
            Way::Convolution => ("", g.large_channels, g.small_channels, g.large),
            Way::Transposed => ("T", g.small_channels, g.large_channels, g.small),
        };
        let size = if g.kernel[0] > 1 {
            format!("{}^3", size[2])
        } else {
            format!("{}^2", size[2])
        };
        let (k, s, b) = (g.kernel[2], g.stride[2], g.batch);
        format!(
            "{} {mark}{from}>{to} {size} k{k}s{s} b{b}",
            self.users.join("+")
        )
    }

    /// The request that prepares PyTorch's side.
    fn request(&self, pass: &str) -> serde_json::Value {
        let g = &self.geometry;
        let from = if g.kernel[0] > 1 { 0 } else { 1 };
        let picture = |channels: usize, size: &[usize; 3]| {
            let mut shape = vec![g.batch, channels];
            shape.extend(&size[from..]);
            shape
        };
        let mut weight = vec![g.small_channels, g.large_channels / g.groups];
        weight.extend(&g.kernel[from..]);
        let is_transposed = self.way == Way::Transposed;
        json!({
            "do": "operator",
            "pass": pass,
            "transposed": is_transposed,
            "input": if is_transposed { picture(g.small_channels, &g.small) } else { picture(g.large_channels, &g.large) },
            "weight": weight,
            "kernel": g.kernel[from..],
            "stride": g.stride[from..],
            "padding": g.padding[from..],
            "dilation": g.dilation[from..],
            "output_padding": vec![self.output_padding; 3 - from],
            "groups": g.groups,
        })
    }
}

/// GFLOP/s of a large product of matrices by burn's own backend: what the machine can do.
fn peak() -> Result<f64> {
    const SIZE: usize = 2048;
    let device = Device::flex();
    let values = Stream::new(0, "peak", 0).uniform(SIZE * SIZE, -1.0, 1.0);
    let matrix = Tensor::<1>::from_data(values.as_slice(), &device).reshape([SIZE, SIZE]);
    let mut times = Vec::new();
    for _ in 0..7 {
        times.push(time(&mut || {
            std::hint::black_box(matrix.clone().matmul(matrix.clone()));
            Ok(())
        })?);
    }
    Ok(2.0 * (SIZE as f64).powi(3) / median(&times) / 1e9)
}

pub(crate) fn measure(options: &Options, threads: usize) -> Result<Vec<Row>> {
    let mut peer = Peer::start(&options.python, threads)?;
    let peak = peak()?;
    let version = peer
        .as_ref()
        .map_or("not found".to_owned(), |peer| peer.version.clone());
    table::say(&format!(
        "{threads} threads; PyTorch {version}; matrix product {peak:.0} GFLOP/s"
    ));
    table::start();
    let mut rows = Vec::new();
    for layer in layers() {
        for pass in ["forward", "input", "weight"] {
            let name = format!("{} {pass}", layer.name());
            if !name.contains(&options.only) {
                continue;
            }
            let row = row(&layer, pass, &name, &mut peer, options, peak)?;
            table::print(&row);
            rows.push(row);
        }
    }
    summarise(&rows);
    Ok(rows)
}

fn row(
    layer: &Layer,
    pass: &str,
    name: &str,
    peer: &mut Option<Peer>,
    options: &Options,
    peak: f64,
) -> Result<Row> {
    let g = &layer.geometry;
    let draw = |part, count| Stream::new(0, part, 0).uniform(count, -1.0, 1.0);
    let large = draw("large", g.large_length());
    let small = draw("small", g.small_length());
    let weight = draw("weight", g.weight_length());
    let mut run = || {
        let result = match (pass, layer.way) {
            ("weight", _) => convolution::weight_gradient(g, &large, &small),
            ("forward", Way::Convolution) | ("input", Way::Transposed) => {
                convolution::convolve(g, &large, &weight, None)
            }
            _ => convolution::transpose(g, &small, &weight, None),
        };
        std::hint::black_box(result);
        Ok(())
    };
    if let Some(peer) = peer {
        peer.ask(&layer.request(pass))?;
        peer.times(2)?;
    }
    time(&mut run)?;
    let once = time(&mut run)?;
    // Enough calls a turn that a turn lasts some milliseconds, and few where one lasts long.
    let turn = (0.02 / once).clamp(2.0, 20.0) as u32;
    let (mut ours, mut torch) = (Vec::new(), Vec::<Vec<f64>>::new());
    for _ in 0..options.rounds {
        machine::settle(&mut run)?;
        for _ in 0..turn {
            ours.push(time(&mut run)?);
        }
        if let Some(peer) = peer {
            let times = peer.times(turn)?;
            torch.resize(times.len(), Vec::new());
            torch
                .iter_mut()
                .zip(times)
                .for_each(|(all, times)| all.extend(times));
        }
    }
    let best = torch
        .iter()
        .map(|times| median(times))
        .min_by(f64::total_cmp);
    let mut row = Row::new(name, Kind::Op, &ours, best);
    let gflops = 2.0 * g.multiplications() as f64 / row.ours_ms / 1e6;
    row.gflops = Some(gflops);
    row.of_peak = Some(gflops / peak);
    Ok(row)
}

/// How many rows reach 60 % of the peak or PyTorch's own time.
fn summarise(rows: &[Row]) {
    let meets = |row: &&Row| {
        row.of_peak.is_some_and(|share| share >= 0.6) || row.ratio.is_some_and(|ratio| ratio <= 1.0)
    };
    let good = rows.iter().filter(meets).count();
    let faster = rows
        .iter()
        .filter(|row| row.ratio.is_some_and(|ratio| ratio <= 1.0))
        .count();
    table::say(&format!(
        "{good} of {} reach 60 % of the matrix product or PyTorch's time; {faster} PyTorch's time",
        rows.len()
    ));
    if let Some(ratios) = rows
        .iter()
        .map(|row| row.ratio)
        .collect::<Option<Vec<f64>>>()
    {
        let mean = ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len().max(1) as f64;
        table::say(&format!("geometric mean of the ratios: {:.2}", mean.exp()));
    }
}
