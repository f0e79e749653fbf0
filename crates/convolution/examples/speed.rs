use convolution::*;
use std::time::Instant;
fn main() {
    // batch, large_c, small_c, large, k, s, p
    let shapes: Vec<(&str, usize, usize, usize, usize, usize, usize, usize)> = vec![
        ("dcgan 3-64", 32, 3, 64, 64, 4, 2, 1),
        ("dcgan 64-128", 32, 64, 128, 32, 4, 2, 1),
        ("dcgan 128-256", 32, 128, 256, 16, 4, 2, 1),
        ("dcgan 256-512", 32, 256, 512, 8, 4, 2, 1),
        ("dcgan 512-1", 32, 512, 1, 4, 4, 1, 0),
        ("dcgan 512-100", 32, 512, 100, 4, 4, 1, 0),
        ("res 256 64", 1, 256, 256, 64, 3, 1, 1),
        ("sr 64 24", 16, 64, 64, 24, 3, 1, 1),
        ("7x7 3-64 256", 1, 3, 64, 256, 7, 1, 3),
        ("7x7 64-3 256", 1, 64, 3, 256, 7, 1, 3),
        ("down 64-128 256", 1, 64, 128, 256, 3, 2, 1),
        ("unet 512 2", 1, 512, 512, 2, 4, 2, 1),
        ("1x1 512", 32, 640, 512, 4, 1, 1, 0),
    ];
    let only = std::env::args().nth(1);

    for (name, batch, lc, sc, size, k, s, p) in shapes {
        if only.as_ref().is_some_and(|o| !name.contains(o.as_str())) {
            continue;
        }
        let small = Geometry::convolved(
            [1, size, size],
            [1, k, k],
            [1, s, s],
            [(0, 0), (p, p), (p, p)],
            [1; 3],
        )
        .unwrap();
        let g = Geometry {
            batch,
            large_channels: lc,
            small_channels: sc,
            large: [1, size, size],
            small,
            kernel: [1, k, k],
            stride: [1, s, s],
            padding: [(0, 0), (p, p), (p, p)],
            dilation: [1; 3],
            groups: 1,
        };
        let v = |n: usize| -> Vec<f32> {
            (0..n)
                .map(|i| ((i * 7919) % 1000) as f32 / 500.0 - 1.0)
                .collect()
        };
        let (l, sm, w) = (
            v(g.large_length()),
            v(g.small_length()),
            v(g.weight_length()),
        );
        let flops = 2.0 * g.multiplications() as f64;
        let time = |f: &dyn Fn()| {
            f();
            let mut times: Vec<f64> = (0..21)
                .map(|_| {
                    let t = Instant::now();
                    f();
                    t.elapsed().as_secs_f64()
                })
                .collect();
            times.sort_by(f64::total_cmp);
            times[10]
        };
        let a = time(&|| {
            std::hint::black_box(convolve(&g, &l, &w, None));
        });
        let b = time(&|| {
            std::hint::black_box(transpose(&g, &sm, &w, None));
        });
        let c = time(&|| {
            std::hint::black_box(weight_gradient(&g, &l, &sm));
        });
        println!(
            "{name:18} {:7.2} GF  fwd {:7.2} ms {:4.0}  dx {:7.2} ms {:4.0}  dw {:7.2} ms {:4.0}",
            flops / 1e9,
            a * 1e3,
            flops / a / 1e9,
            b * 1e3,
            flops / b / 1e9,
            c * 1e3,
            flops / c / 1e9
        );
    }
}
