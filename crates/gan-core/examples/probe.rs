use burn::tensor::{Device, Tensor};
use std::time::Instant;
fn main() {
    let d = Device::flex();
    for (m, k, n) in [(128, 784, 500), (128, 500, 784), (784, 128, 500), (128, 500, 500), (500, 128, 500), (1024, 1024, 1024)] {
        let a = Tensor::<2>::ones([m, k], &d);
        let b = Tensor::<2>::ones([k, n], &d);
        let at = Tensor::<2>::ones([k, m], &d).transpose();
        let bt = Tensor::<2>::ones([n, k], &d).transpose();
        for (name, x, y) in [("nn", a.clone(), b.clone()), ("tn", at.clone(), b.clone()), ("nt", a.clone(), bt.clone())] {
            let mut best = f64::MAX;
            for _ in 0..20 {
                let t = Instant::now();
                let c = x.clone().matmul(y.clone());
                let s = t.elapsed().as_secs_f64();
                drop(c);
                best = best.min(s);
            }
            eprintln!("{m}x{k}x{n} {name}: {:.2} ms {:.0} GFLOP/s", best * 1e3, 2e-9 * (m * k * n) as f64 / best);
        }
    }
    let a = Tensor::<2>::ones([784, 500], &d);
    let b = Tensor::<2>::ones([784, 500], &d);
    for _ in 0..3 {
        let t = Instant::now();
        for _ in 0..20 { let _ = a.clone() + b.clone(); }
        eprintln!("add 392k: {:.3} ms", t.elapsed().as_secs_f64() * 50.0);
        let t = Instant::now();
        for _ in 0..20 { let _ = a.clone().mul_scalar(0.5); }
        eprintln!("mul_scalar 392k: {:.3} ms", t.elapsed().as_secs_f64() * 50.0);
        let t = Instant::now();
        for _ in 0..20 { let _ = a.clone().sqrt(); }
        eprintln!("sqrt 392k: {:.3} ms", t.elapsed().as_secs_f64() * 50.0);
        let x = Tensor::<2>::ones([128, 500], &d);
        let t = Instant::now();
        for _ in 0..20 { let _ = burn::tensor::activation::leaky_relu(x.clone(), 0.2); }
        eprintln!("leaky 64k: {:.3} ms", t.elapsed().as_secs_f64() * 50.0);
        let t = Instant::now();
        for _ in 0..20 { let _ = x.clone().tanh(); }
        eprintln!("tanh 64k: {:.3} ms", t.elapsed().as_secs_f64() * 50.0);
        let t = Instant::now();
        for _ in 0..20 { let _ = a.clone().into_data(); }
        eprintln!("into_data 392k: {:.3} ms", t.elapsed().as_secs_f64() * 50.0);
        let t = Instant::now();
        for _ in 0..20 { let _ = a.clone().mul_scalar(0.5).into_data(); }
        eprintln!("mul+into_data 392k: {:.3} ms", t.elapsed().as_secs_f64() * 50.0);
    }
}
