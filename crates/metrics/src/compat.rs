//! The reference tools whose numbers are reproduced, and what each does differently.

use crate::files::Listing;
use crate::resize::Resize;
use crate::statistics::Mean;

/// The tool whose rules are followed. Every rule changes digits: the resize most, the rounding of the mean
/// in the eighth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Compat {
    /// pytorch-fid 0.3.0.
    #[default]
    PytorchFid,
    /// torch-fidelity 0.4.0.
    TorchFidelity,
    /// clean-fid 0.1.35 in its mode `clean`.
    Clean,
    /// clean-fid 0.1.35 in its mode `legacy_pytorch`.
    CleanLegacyPytorch,
    /// clean-fid 0.1.35 in its mode `legacy_tensorflow`.
    CleanLegacyTensorflow,
    /// torchmetrics 1.9.0 as it comes, with antialiasing.
    Torchmetrics,
    /// torchmetrics 1.9.0 with `antialias=False`.
    TorchmetricsPlain,
}

impl Compat {
    /// Every tool, by its word on the command line.
    pub const ALL: [(&'static str, Self); 7] = [
        ("pytorch-fid", Self::PytorchFid),
        ("torch-fidelity", Self::TorchFidelity),
        ("clean", Self::Clean),
        ("clean-legacy-pytorch", Self::CleanLegacyPytorch),
        ("clean-legacy-tensorflow", Self::CleanLegacyTensorflow),
        ("torchmetrics", Self::Torchmetrics),
        ("torchmetrics-plain", Self::TorchmetricsPlain),
    ];

    /// Its word on the command line.
    pub fn word(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, compat)| *compat == self);
        found.map_or("", |(word, _)| word)
    }

    /// The tool and its version.
    pub fn tool(self) -> &'static str {
        match self {
            Self::PytorchFid => "pytorch-fid 0.3.0",
            Self::TorchFidelity => "torch-fidelity 0.4.0",
            Self::Clean => "clean-fid 0.1.35, mode clean",
            Self::CleanLegacyPytorch => "clean-fid 0.1.35, mode legacy_pytorch",
            Self::CleanLegacyTensorflow => "clean-fid 0.1.35, mode legacy_tensorflow",
            Self::Torchmetrics => "torchmetrics 1.9.0",
            Self::TorchmetricsPlain => "torchmetrics 1.9.0 with antialias=False",
        }
    }

    /// How it brings pictures to the network's size and range.
    pub fn resize(self) -> Resize {
        match self {
            Self::PytorchFid => Resize::TorchBilinear,
            Self::TorchFidelity | Self::TorchmetricsPlain => Resize::TensorFlowBilinear,
            Self::Clean => Resize::PillowBicubic,
            Self::CleanLegacyPytorch => Resize::CleanLegacyPytorch,
            Self::CleanLegacyTensorflow => Resize::CleanLegacyTensorflow,
            Self::Torchmetrics => Resize::TorchAntialias,
        }
    }

    /// Which files of a folder it takes.
    pub fn listing(self) -> Listing {
        match self {
            Self::PytorchFid => Listing::PytorchFid,
            Self::TorchFidelity => Listing::TorchFidelity,
            Self::Clean | Self::CleanLegacyPytorch | Self::CleanLegacyTensorflow => Listing::Clean,
            // torchmetrics is handed tensors.
            Self::Torchmetrics | Self::TorchmetricsPlain => Listing::All,
        }
    }

    /// How it keeps the mean.
    pub fn mean_precision(self) -> Mean {
        match self {
            Self::PytorchFid | Self::Torchmetrics | Self::TorchmetricsPlain => Mean::Float64,
            Self::TorchFidelity
            | Self::Clean
            | Self::CleanLegacyPytorch
            | Self::CleanLegacyTensorflow => Mean::Float32,
        }
    }
}

impl std::fmt::Display for Compat {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.word())
    }
}

impl std::str::FromStr for Compat {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(known, _)| *known == word);
        found.map(|(_, compat)| *compat).ok_or_else(|| {
            let words: Vec<&str> = Self::ALL.iter().map(|(word, _)| *word).collect();
            format!("one of: {}", words.join(", "))
        })
    }
}
