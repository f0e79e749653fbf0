//! Adversarial neural cryptography (Abadi and Andersen 2016, <https://arxiv.org/abs/1610.06918>).
//!
//! Alice turns a message of 16 bits and a key into a ciphertext of 16 numbers; Bob, who has the key, turns that back
//! into the message; Eve, who has not, tries to. Bits are -1 and 1. Alice and Bob learn together to be understood by
//! each other and not by Eve, who learns against them. Nobody tells them how to encrypt.
//!
//! What they learn is no cryptography to rely on: nothing is known about it but that a few networks did not break it.
//!
//! ```no_run
//! let pair = crypto::Pair::open("runs/crypto/001")?;
//! let cipher = pair.encrypt(b"meet me at nine", "a key")?;
//! assert_eq!(pair.decrypt(&cipher, "a key")?, b"meet me at nine");
//! # Ok::<(), anyhow::Error>(())
//! ```

pub mod attack;
pub mod config;
pub mod data;
pub mod discriminator;
pub mod evaluate;
pub mod generate;
pub mod generator;
pub mod history;
pub mod loss;
pub mod measure;
pub mod mix;
pub mod plot;
pub mod train;

pub use config::Config;
pub use generate::Pair;
