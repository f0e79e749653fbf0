//! The device that a user names, among the backends that were compiled in.

use crate::failure::{Kind, failure};
use anyhow::Result;
use burn::tensor::{Device, Tensor};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A device that `--device` may name.
struct Backend {
    name: &'static str,
    /// The cargo feature that compiles it in, and whether it did.
    feature: &'static str,
    is_compiled: bool,
    /// Whether a number may follow, `cuda:1`.
    is_numbered: bool,
    about: &'static str,
}

/// Every device, the accelerators first: `auto` takes the first one that is compiled in and works.
const BACKENDS: [Backend; 8] = [
    Backend {
        name: "cuda",
        feature: "cuda",
        is_compiled: cfg!(feature = "cuda"),
        is_numbered: true,
        about: "NVIDIA GPU",
    },
    Backend {
        name: "metal",
        feature: "metal",
        is_compiled: cfg!(feature = "metal"),
        is_numbered: false,
        about: "Apple GPU",
    },
    Backend {
        name: "vulkan",
        feature: "vulkan",
        is_compiled: cfg!(feature = "vulkan"),
        is_numbered: false,
        about: "GPU through Vulkan",
    },
    Backend {
        name: "wgpu",
        feature: "wgpu",
        is_compiled: cfg!(feature = "wgpu"),
        is_numbered: false,
        about: "GPU through what the system has (Vulkan, Metal, DirectX)",
    },
    Backend {
        name: "tch:cuda",
        feature: "tch",
        is_compiled: cfg!(feature = "tch"),
        is_numbered: true,
        about: "NVIDIA GPU through libtorch",
    },
    Backend {
        name: "cpu",
        feature: "flex",
        is_compiled: true,
        is_numbered: false,
        about: "this processor, also called flex; results are the same bit for bit",
    },
    Backend {
        name: "tch",
        feature: "tch",
        is_compiled: cfg!(feature = "tch"),
        is_numbered: false,
        about: "this processor through libtorch",
    },
    Backend {
        name: "ndarray",
        feature: "ndarray",
        is_compiled: cfg!(feature = "ndarray"),
        is_numbered: false,
        about: "this processor through ndarray, slow",
    },
];

/// Names that this build accepts for `--device`.
pub fn names() -> Vec<&'static str> {
    let compiled = BACKENDS.iter().filter(|backend| backend.is_compiled);
    std::iter::once("auto")
        .chain(compiled.map(|backend| backend.name))
        .collect()
}

/// Whether what the device called `name` computes lies in this machine's own memory. `auto` may mean anything
/// where an accelerator is compiled in.
pub fn is_processor(name: &str) -> bool {
    let mut accelerators = BACKENDS.iter().take_while(|backend| backend.name != "cpu");
    match name {
        "auto" => !accelerators.any(|backend| backend.is_compiled),
        _ => ["cpu", "flex", "ndarray", "tch"].contains(&name),
    }
}

/// The device called `name`, which works: something was computed on it. `auto` is the first accelerator
/// that was compiled in and works, else the CPU.
///
/// # Errors
/// A [`Kind::Usage`] failure for a device that is unknown, not compiled in or not here; never a silent
/// fallback.
pub fn parse(name: &str) -> Result<Device> {
    if name == "auto" {
        let accelerators = BACKENDS.iter().take_while(|backend| backend.name != "cpu");
        for backend in accelerators.filter(|backend| backend.is_compiled) {
            if let Ok(device) = open(backend.name, 0) {
                return Ok(device);
            }
        }
        return Ok(Device::flex());
    }
    let refuse = |what: String| Err(failure(Kind::Usage, what));
    let (kind, index) = match name.rsplit_once(':') {
        Some((kind, digits)) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            match digits.parse::<u16>() {
                Ok(index) => (kind, Some(usize::from(index))),
                Err(_) => {
                    return refuse(format!(
                        "--device {name}: what follows the colon is no number of a device, such as 0"
                    ));
                }
            }
        }
        _ => (name, None),
    };
    let kind = if kind == "flex" { "cpu" } else { kind };
    let Some(backend) = BACKENDS.iter().find(|backend| backend.name == kind) else {
        return refuse(format!(
            "there is no device {name}; this build has {}",
            names().join(", ")
        ));
    };
    if !backend.is_compiled {
        return refuse(format!(
            "device {name} is not in this build, which has {}: add it with `cargo run --features {} ..`",
            names().join(", "),
            backend.feature
        ));
    }
    if index.is_some() && !backend.is_numbered {
        return refuse(format!("device {kind} takes no number: --device {kind}"));
    }
    open(kind, index.unwrap_or(0)).or_else(|why| {
        refuse(format!(
            "device {name} is in this build, but not usable here: {why}. `--device cpu` always is"
        ))
    })
}

/// The device, after a sum was computed on it; or why that failed.
fn open(kind: &str, index: usize) -> Result<Device, String> {
    if kind == "cpu" {
        return Ok(Device::flex());
    }
    // A backend without its hardware or driver panics, some when they are asked for a device and others
    // with the first operation.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let tried = catch_unwind(AssertUnwindSafe(|| {
        let device = make(kind, index);
        let sum = Tensor::<1>::ones([4], &device).sum().into_data();
        (device, sum.iter::<f32>().next())
    }));
    std::panic::set_hook(hook);
    match tried {
        Ok((device, Some(4.0))) => Ok(device),
        Ok((_, other)) => Err(format!("four times one is {other:?} there")),
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_else(|| "it gave no reason".to_owned());
            // Some give a page of addresses, with the ends of its lines escaped.
            let first = text.lines().next().unwrap_or_default();
            let first = first.split("\\n").next().unwrap_or_default();
            Err(first.chars().take(200).collect())
        }
    }
}

#[cfg_attr(
    not(any(feature = "cuda", feature = "tch")),
    expect(unused_variables, reason = "only these count their devices")
)]
fn make(kind: &str, index: usize) -> Device {
    match kind {
        #[cfg(feature = "cuda")]
        "cuda" => Device::cuda(index),
        #[cfg(feature = "metal")]
        "metal" => Device::metal(Default::default()),
        #[cfg(feature = "vulkan")]
        "vulkan" => Device::vulkan(Default::default()),
        #[cfg(feature = "wgpu")]
        "wgpu" => Device::wgpu(Default::default()),
        #[cfg(feature = "tch")]
        #[expect(
            deprecated,
            reason = "libtorch stays a choice as long as burn carries it"
        )]
        "tch" => Device::libtorch(),
        #[cfg(feature = "tch")]
        #[expect(
            deprecated,
            reason = "libtorch stays a choice as long as burn carries it"
        )]
        "tch:cuda" => Device::libtorch_cuda(index),
        #[cfg(feature = "ndarray")]
        #[expect(
            deprecated,
            reason = "ndarray stays a choice as long as burn carries it"
        )]
        "ndarray" => Device::ndarray(),
        _ => Device::flex(),
    }
}

/// Every device: whether it is compiled in, and whether it works here.
pub fn table() -> String {
    let mut lines = vec![format!("{:<10} {:<12} here", "device", "compiled in")];
    for backend in &BACKENDS {
        let here = match (backend.is_compiled, backend.name) {
            (false, _) => format!(
                "unknown: cargo run --features {} .. ({})",
                backend.feature, backend.about
            ),
            (true, "cpu") => format!(
                "yes ({}; {} threads, {:?})",
                backend.about,
                convolution::threads::usual(),
                convolution::Level::current()
            ),
            (true, name) => match open(name, 0) {
                Ok(_) => format!("yes ({})", backend.about),
                Err(why) => format!("no: {why}"),
            },
        };
        let compiled = if backend.is_compiled { "yes" } else { "no" };
        lines.push(format!("{:<10} {compiled:<12} {here}", backend.name));
    }
    lines.push("auto takes the first that is compiled in and works, from the top".to_owned());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_not_there_is_one_clear_sentence() {
        assert!(parse("cpu").is_ok() && parse("flex").is_ok() && parse("auto").is_ok());
        let refused = |name: &str| parse(name).unwrap_err().to_string();
        let unknown = refused("tpu:3");
        assert!(
            unknown.contains("no device tpu:3") && unknown.contains("auto, cpu"),
            "{unknown}"
        );
        assert!(refused("cpu:1").contains("takes no number"));
        for name in ["cpu:", "cuda:", "cuda:70000", "cpu:99999999999999999999999"] {
            assert!(refused(name).contains("no number of a device"), "{name}");
        }
        assert!(is_processor("flex") && is_processor("tch") && !is_processor("cuda:1"));
        for backend in BACKENDS.iter().filter(|backend| !backend.is_compiled) {
            let missing = refused(backend.name);
            let fix = format!("--features {}", backend.feature);
            assert!(
                missing.contains("not in this build") && missing.contains(&fix),
                "{missing}"
            );
        }
        for backend in &BACKENDS {
            assert!(table().contains(backend.about) || backend.is_compiled);
        }
    }
}
