//! A checkpoint loaded and sampled: `cargo run -p dcgan --example sample_dcgan -- RUN PICTURE.png`.

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [run, picture] = arguments.as_slice() else {
        anyhow::bail!("usage: sample RUN PICTURE.png");
    };
    let sampler = dcgan::Sampler::open(run)?;
    let pictures = sampler.sample(&[0]);
    pictures[0].save(picture)?;
    Ok(())
}
