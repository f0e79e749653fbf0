//! Configurations: TOML, merged over the defaults and checked.
#![no_main]

use gan_core::config::{Configuration, Layer, Training, merge, to_toml};

gan_core::configuration! {
    /// A key of each kind.
    Sample, SampleFlags, training = Training::default();
    /// Width.
    latent_dim: usize = 100;
    /// Rate.
    lr: f64 = 2e-4;
    /// Widths.
    hidden: Vec<usize> = vec![5, 6];
    /// Whether.
    flip: bool = true;
}

impl Configuration for Sample {
    const WORD: &'static str = "sample";
    const PRESETS: &'static [(&'static str, &'static str)] = &[];
    fn training(&self) -> &Training {
        &self.training
    }
    fn validate(&self) -> anyhow::Result<()> {
        Ok(())
    }
}

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(layer) = Layer::parse("given.toml", text)
        && let Ok(config) = merge::<Sample>(&[layer])
    {
        let written = to_toml(&config).expect("a configuration can be written");
        let layer = Layer::parse("written", &written).expect("what was written is read");
        merge::<Sample>(&[layer]).expect("what was written is legal");
    }
});
