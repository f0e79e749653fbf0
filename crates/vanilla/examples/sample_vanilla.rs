//! A checkpoint loaded and sampled: `cargo run -p vanilla --example sample_vanilla -- RUN PICTURE.png`.

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [run, picture] = arguments.as_slice() else {
        anyhow::bail!("usage: sample RUN PICTURE.png");
    };
    let sampler = vanilla::Sampler::open(run)?;
    let pictures = sampler.sample(&[0]);
    pictures[0].save(picture)?;
    Ok(())
}
