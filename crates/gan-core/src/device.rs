//! The device that a user names, among the backends that were compiled in.

use crate::failure::{Kind, failure};
use anyhow::Result;
use burn::tensor::Device;

/// Names that this build accepts for `--device`.
pub fn names() -> Vec<&'static str> {
    let mut names = vec!["auto", "cpu", "flex"];
    if cfg!(feature = "ndarray") {
        names.push("ndarray");
    }
    if cfg!(feature = "tch") {
        names.extend(["tch", "tch:cuda:N"]);
    }
    if cfg!(feature = "wgpu") {
        names.push("wgpu");
    }
    if cfg!(feature = "vulkan") {
        names.push("vulkan");
    }
    if cfg!(feature = "metal") {
        names.push("metal");
    }
    if cfg!(feature = "cuda") {
        names.push("cuda[:N]");
    }
    names
}

/// The device called `name`: `auto` is the first accelerator that was compiled in, else the CPU.
///
/// # Errors
/// A [`Kind::Usage`] failure that lists the devices of this build; never a silent fallback.
pub fn parse(name: &str) -> Result<Device> {
    let (kind, index) = match name.rsplit_once(':') {
        Some((kind, digits)) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            (kind, digits.parse::<usize>().unwrap_or(0))
        }
        _ => (name, 0),
    };
    let _ = index;
    match kind {
        #[cfg(feature = "cuda")]
        "auto" | "cuda" => Ok(Device::cuda(index)),
        #[cfg(feature = "metal")]
        "metal" => Ok(Device::metal(Default::default())),
        #[cfg(feature = "vulkan")]
        "vulkan" => Ok(Device::vulkan(Default::default())),
        #[cfg(feature = "wgpu")]
        "wgpu" => Ok(Device::wgpu(Default::default())),
        #[cfg(feature = "tch")]
        #[expect(
            deprecated,
            reason = "libtorch stays a choice as long as burn carries it"
        )]
        "tch" => Ok(Device::libtorch()),
        #[cfg(feature = "tch")]
        #[expect(
            deprecated,
            reason = "libtorch stays a choice as long as burn carries it"
        )]
        "tch:cuda" => Ok(Device::libtorch_cuda(index)),
        #[cfg(feature = "ndarray")]
        #[expect(
            deprecated,
            reason = "ndarray stays a choice as long as burn carries it"
        )]
        "ndarray" => Ok(Device::ndarray()),
        #[cfg(not(feature = "cuda"))]
        "auto" => Ok(Device::flex()),
        "cpu" | "flex" => Ok(Device::flex()),
        _ => Err(failure(
            Kind::Usage,
            format!(
                "device {name} is not in this build, which has: {}. Add one with \
                 `cargo run --features ndarray|tch|wgpu|vulkan|metal|cuda ...`",
                names().join(", ")
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_device_lists_the_known_ones() {
        assert!(parse("cpu").is_ok());
        let error = parse("tpu:3").unwrap_err().to_string();
        assert!(
            error.contains("tpu:3") && error.contains("auto, cpu, flex"),
            "{error}"
        );
    }
}
