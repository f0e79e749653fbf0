//! The FID of many small sets against one: of every row of a sweep, say.

use crate::compat::Compat;
use crate::extractor::{Extractor, Unreadable};
use crate::features::Features;
use crate::frechet;
use crate::inception::FeatureLayer;
use crate::source::Source;
use anyhow::Result;
use gan_core::console::Console;
use std::path::PathBuf;

/// The network with the features of the real side.
#[derive(Debug)]
pub struct Fid {
    extractor: Extractor,
    real: Features,
}

impl Fid {
    /// Looks at the real side with the network of `weights`: a file, or `published`. As pytorch-fid does it.
    ///
    /// # Errors
    /// As [`Extractor::open`] and [`Extractor::features`].
    pub fn new(
        weights: &str,
        device: &str,
        reals: Vec<PathBuf>,
        console: &Console,
    ) -> Result<Self> {
        let named = (weights != "published").then_some(weights);
        let extractor = Extractor::open(named, device, console)?;
        let real = look(&extractor, reals)?;
        Ok(Self { extractor, real })
    }

    /// The name of the number: that of another network is no FID in the usual sense.
    pub fn title(&self) -> &'static str {
        if self.extractor.is_published() {
            "FID"
        } else {
            "Frechet distance, other weights"
        }
    }

    /// The distance of a set of pictures from the real side.
    ///
    /// # Errors
    /// As [`Extractor::features`] and [`frechet::exact`].
    pub fn of(&self, fakes: Vec<PathBuf>) -> Result<f64> {
        let fake = look(&self.extractor, fakes)?;
        let distance = frechet::exact(&self.real, &fake, Compat::PytorchFid.mean_precision())?;
        Ok(distance.value)
    }
}

fn look(extractor: &Extractor, files: Vec<PathBuf>) -> Result<Features> {
    let mut all = Features::empty(FeatureLayer::D2048.dims());
    extractor.features(
        &Source::Files(files),
        Compat::PytorchFid.resize(),
        &[FeatureLayer::D2048],
        Unreadable::Refuse,
        &mut |_| (),
        &mut |features| {
            all.append(&features[0]);
            Ok(())
        },
    )?;
    Ok(all)
}
