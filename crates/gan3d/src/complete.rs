//! Filling in what a shape lacks: the latent vector is sought whose volume agrees with what is known and which the
//! discriminator takes for real (Yeh et al. 2017, <https://arxiv.org/abs/1607.07539>, carried over to volumes).

use crate::data::{numbers, volumes};
use crate::generate::{self, Sampler, ShapeArguments};
use crate::picture;
use crate::volume::Volume;
use anyhow::Result;
use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData, activation::sigmoid};
use gan_core::command::{CheckpointArguments, print, save_picture};
use gan_core::console::{Console, Voice};
use gan_core::failure::{Kind, at_path, failure};
use gan_core::layers::Statistics;
use gan_core::learner::Learner;
use gan_core::loss::GeneratorLoss;
use gan_core::optimizer::{Rule, Schedule};
use gan_core::picture as sheets;
use gan_core::random::Prior;
use gan_core::stage::At;
use gan_core::weights::{self, Network};
use shapes::files;
use shapes::fit::fitted;
use shapes::render::{self, Material};
use shapes::voxels::Voxels;
use std::path::{Path, PathBuf};

/// `complete`.
#[derive(Debug, Clone, clap::Args)]
pub struct CompleteCommand {
    /// Which weights.
    #[command(flatten)]
    pub weights: CheckpointArguments,
    /// The partial shape as voxels: .mat, .binvox, .npy or .npz. A mesh would be fitted to its own box, without what is
    /// missing.
    #[arg(short, long, value_name = "FILE")]
    pub input: PathBuf,
    /// The voxels that are known, full or empty: a file of voxels of the same size.
    #[arg(long, value_name = "FILE", conflicts_with = "unknown")]
    pub known: Option<PathBuf>,
    /// The box that is not known, as shares of the sides: x0,y0,z0,x1,y1,z1 (0,0,0.5,1,1,1 is the upper half). Without
    /// it and --known, what lies in the box around all full voxels is known, and the rest is not.
    #[arg(long, value_name = "BOX", allow_hyphen_values = true)]
    pub unknown: Option<String>,
    /// The whole shape, to be measured against.
    #[arg(long, value_name = "FILE")]
    pub truth: Option<PathBuf>,
    /// Steps of Adam on the latent vectors.
    #[arg(long, default_value_t = 200)]
    pub steps: u64,
    /// Adam's learning rate.
    #[arg(long, default_value_t = 0.05)]
    pub lr: f64,
    /// Latent vectors that are tried at once; the one that agrees best is kept.
    #[arg(long, default_value_t = 8)]
    pub restarts: usize,
    /// Weight of the discriminator's opinion against agreement.
    #[arg(long, default_value_t = 0.01)]
    pub prior_weight: f64,
    /// What becomes of volumes.
    #[command(flatten)]
    pub shape: ShapeArguments,
    /// Folder of completed.npy, completed.glb and sheet.png.
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// The first latent vectors follow from it.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// Latent vectors that learn, as numbers that may take any value.
#[derive(Module, Debug)]
struct Latents {
    raw: Param<Tensor<2>>,
}

impl Network for Latents {}

/// The number that may take any value, of a number of a latent vector.
fn free(value: f32, prior: Prior) -> f32 {
    let logit = |share: f32| {
        let share = share.clamp(0.02, 0.98);
        (share / (1.0 - share)).ln()
    };
    match prior {
        Prior::Normal => value,
        Prior::Uniform => logit((value / 3f32.sqrt() + 1.0) / 2.0),
        Prior::Unit => logit(value),
    }
}

/// Latent vectors in the prior's range, of numbers that may take any value.
fn kept(raw: Tensor<2>, prior: Prior) -> Tensor<2> {
    match prior {
        Prior::Normal => raw,
        Prior::Uniform => (sigmoid(raw) * 2.0 - 1.0) * 3f64.sqrt(),
        Prior::Unit => sigmoid(raw),
    }
}

/// One file's only shape, as its file has it.
fn shape(path: &Path, resolution: usize) -> Result<Voxels> {
    let ending = path
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    if ["off", "obj", "stl", "ply", "glb"].contains(&ending.as_str()) {
        return Err(failure(
            Kind::Usage,
            format!(
                "{} is a mesh, which would be fitted to its own box, without what is missing: give voxels (.mat, .binvox, \
                 .npy, .npz)",
                path.display()
            ),
        ));
    }
    let reading = files::Reading {
        side: resolution,
        ..files::Reading::default()
    };
    let mut shapes = files::read(path, &reading)?;
    match shapes.len() {
        1 => Ok(shapes.remove(0)),
        count => Err(failure(
            Kind::Data,
            format!("{} holds {count} shapes; one is expected", path.display()),
        )),
    }
}

/// Which voxels are not known, from the text of `--unknown`.
fn outside(text: &str, resolution: usize) -> Result<Voxels> {
    let numbers: Vec<f64> = text
        .split(',')
        .filter_map(|part| part.trim().parse().ok())
        .filter(|share| (0.0..=1.0).contains(share))
        .collect();
    let corners: Option<[f64; 6]> = numbers.try_into().ok();
    let legal = corners.filter(|corners| (0..3).all(|axis| corners[axis] < corners[axis + 3]));
    let Some(corners) = legal else {
        return Err(failure(
            Kind::Usage,
            format!(
                "--unknown {text} is not x0,y0,z0,x1,y1,z1 with shares from 0 to 1, such as 0,0,0.5,1,1,1"
            ),
        ));
    };
    Ok(Voxels::from_fn([resolution; 3], |at| {
        !(0..3).all(|axis| {
            let middle = (at[axis] as f64 + 0.5) / resolution as f64;
            (corners[axis]..corners[axis + 3]).contains(&middle)
        })
    }))
}

/// The box around all full voxels: full voxels alone, as what is known, are best explained by a solid block.
fn inside(partial: &Voxels) -> Voxels {
    let mut low = partial.size();
    let mut high = [0; 3];
    for at in partial.full() {
        for axis in 0..3 {
            low[axis] = low[axis].min(at[axis]);
            high[axis] = high[axis].max(at[axis] + 1);
        }
    }
    Voxels::from_fn(partial.size(), |at| {
        (0..3).all(|axis| (low[axis]..high[axis]).contains(&at[axis]))
    })
}

/// What was found.
#[derive(Debug)]
pub struct Completed {
    /// The completed shape: what is known as it was, the rest from the generator.
    pub voxels: Voxels,
    /// Mean cross-entropy of the known voxels, in nats.
    pub disagreement: f64,
}

/// Seeks the volume that agrees best with the `known` voxels of `partial`; both are cubes of the network's side.
///
/// # Errors
/// When the discriminator of the checkpoint cannot be read.
pub fn complete(
    sampler: &Sampler,
    command: &CompleteCommand,
    partial: &Voxels,
    known: &Voxels,
    console: &mut Console,
) -> Result<Completed> {
    let config = sampler.config();
    let device = sampler.device.clone().autodiff();
    let judge = if command.prior_weight > 0.0 {
        let (network, judged) = generate::discriminator(&command.weights, &sampler.device)?;
        if judged.resolution != config.resolution {
            return Err(failure(
                Kind::Checkpoint,
                "the two networks are of different sizes",
            ));
        }
        Some(
            weights::apply(
                crate::discriminator::Discriminator::new(&judged, &device),
                &weights::collect(&network),
            )?
            .no_grad(),
        )
    } else {
        None
    };
    let generator = crate::generator::Generator::new(config, &device);
    let generator = weights::apply(generator, &weights::collect(&sampler.generator))?.no_grad();
    let count = command.restarts;
    let width = config.latent_dim;
    let first: Vec<f32> = (0..count as u64)
        .flat_map(|number| config.prior.latent(command.seed + number, width))
        .map(|value| free(value, config.prior))
        .collect();
    let raw = Tensor::<2>::from_data(TensorData::new(first, [count, width]), &device);
    let rule = Rule::Adam {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
    };
    let latents = Latents {
        raw: Param::from_tensor(raw),
    };
    let mut learner = Learner::new(latents, rule, command.lr, Schedule::Constant);
    let target = volumes(numbers([partial], config.resolution), config, &device);
    let mask = volumes(numbers([known], config.resolution), config, &device);
    let known_count = known.count() as f64;
    // Of each latent vector: the cross-entropy of the known voxels.
    let cost = |made: Tensor<5>| -> Tensor<2> {
        let sure = made.clamp(1e-5, 1.0 - 1e-5);
        let full = sure.clone().log() * target.clone();
        let empty = (sure.neg() + 1.0).log() * (target.clone().neg() + 1.0);
        let all = (full + empty).neg() * mask.clone();
        all.reshape([count as i64, -1]).sum_dim(1) / known_count
    };
    console.count(command.steps, "steps");
    for step in 0..command.steps {
        let latent = kept(learner.network().raw.val(), config.prior);
        let made = generator.forward(latent, Statistics::Running);
        let mut loss = cost(made.clone()).sum();
        if let Some(judge) = &judge {
            let logits = judge.forward(made, Statistics::Running);
            let opinion = GeneratorLoss::NonSaturating.of(logits);
            loss = loss + opinion * (command.prior_weight * count as f64);
        }
        learner.descend(loss, &At::new(command.seed, step, command.steps));
        console.tick(step + 1);
    }
    console.finish();
    let latent = kept(learner.network().raw.val(), config.prior);
    let made = generator.forward(latent, Statistics::Running);
    let costs = weights::values(cost(made.clone()).inner());
    let best = (0..count)
        .min_by(|a, b| costs[*a].total_cmp(&costs[*b]))
        .unwrap_or(0);
    let values = weights::values(made.inner());
    let size = config.voxels();
    let volume = Volume::new(
        config.resolution,
        values[best * size..(best + 1) * size].to_vec(),
    );
    let found = command.shape.voxels(&volume);
    let voxels = Voxels::from_fn([config.resolution; 3], |at| {
        if known.is_full(at) {
            partial.is_full(at)
        } else {
            found.is_full(at)
        }
    });
    Ok(Completed {
        voxels,
        disagreement: f64::from(costs[best]),
    })
}

/// `gan3d complete`.
///
/// # Errors
/// When a file cannot be read or written, or nothing is known.
pub fn run(command: &CompleteCommand) -> Result<()> {
    command.shape.check()?;
    let usage = |what: &str| Err(failure(Kind::Usage, what));
    if !(1..=1000).contains(&command.restarts) || !(1..=100_000).contains(&command.steps) {
        return usage("--restarts must be 1 to 1000, --steps 1 to 100000");
    }
    let is_legal = |value: f64| value >= 0.0 && value.is_finite();
    if !is_legal(command.prior_weight) || !is_legal(command.lr) || command.lr == 0.0 {
        return usage("--lr must be above 0, --prior-weight at least 0, both finite");
    }
    let sampler = Sampler::find(&command.weights, &command.shape.untold)?;
    let resolution = sampler.config().resolution;
    let given = shape(&command.input, resolution)?;
    let same_frame = |path: &Path| -> Result<Voxels> {
        let other = shape(path, resolution)?;
        if other.size() == given.size() {
            return Ok(fitted(&other, resolution));
        }
        Err(failure(
            Kind::Usage,
            format!(
                "{} has {:?} voxels, and {} {:?}: they have to lie in the same frame",
                path.display(),
                other.size(),
                command.input.display(),
                given.size()
            ),
        ))
    };
    let partial = fitted(&given, resolution);
    let known = match (&command.known, &command.unknown) {
        (Some(path), _) => same_frame(path)?,
        (None, Some(text)) => outside(text, resolution)?,
        (None, None) => inside(&partial),
    };
    if known.count() == 0 {
        return Err(failure(
            Kind::Data,
            format!("nothing of {} is known", command.input.display()),
        ));
    }
    let truth = command.truth.as_deref().map(same_frame).transpose()?;
    std::fs::create_dir_all(&command.output)
        .map_err(|error| at_path(Kind::Disk, "create", &command.output, &error))?;
    let mut console = Console::new(Voice::Normal);
    let found = complete(&sampler, command, &partial, &known, &mut console)?;
    let mesh = picture::mesh(&found.voxels);
    let place = |name: &str| command.output.join(name);
    files::write_voxels(std::slice::from_ref(&found.voxels), &place("completed.npy"))?;
    if found.voxels.count() > 0 {
        files::write_mesh(&mesh, &place("completed.glb"))?;
    }
    let given = Voxels::from_fn(partial.size(), |at| {
        known.is_full(at) && partial.is_full(at)
    });
    let mut columns = vec![("given", given), ("completed", found.voxels.clone())];
    columns.extend(truth.clone().map(|truth| ("whole", truth)));
    let pictures = columns.iter().map(|(_, voxels)| {
        let mesh = picture::mesh(voxels);
        render::render(&mesh, &picture::camera(), &Material::default(), 256, 256)
    });
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let sheet = sheets::table(&names, &[pictures.collect()]);
    save_picture(&place("sheet.png"), &sheet)?;
    let mut line = format!(
        "cross-entropy of what is known {:.4} nats a voxel",
        found.disagreement
    );
    if let Some(truth) = truth {
        line.push_str(&format!(
            "; IoU with the whole shape {:.3}, of what was given {:.3}",
            found.voxels.intersection_over_union(&truth),
            columns[0].1.intersection_over_union(&truth)
        ));
    }
    print(&format!("{line}; files in {}", command.output.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latent_vectors_stay_in_their_priors_range() {
        let device = burn::tensor::Device::flex();
        for prior in [Prior::Normal, Prior::Uniform, Prior::Unit] {
            let drawn = prior.latent(3, 500);
            let raw: Vec<f32> = drawn.iter().map(|value| free(*value, prior)).collect();
            let raw = Tensor::from_data(TensorData::new(raw, [1, 500]), &device);
            let back = weights::values(kept(raw.clone(), prior));
            for (value, back) in drawn.iter().zip(&back) {
                assert!((value - back).abs() < 0.08, "{prior:?}: {value} {back}");
            }
            let far = weights::values(kept(raw * 100.0, prior));
            let limit = match prior {
                Prior::Normal => f32::INFINITY,
                Prior::Uniform => 3f32.sqrt() + 1e-5,
                Prior::Unit => 1.0,
            };
            assert!(far.iter().all(|value| value.abs() <= limit), "{prior:?}");
        }
    }

    #[test]
    fn what_lies_around_full_voxels_is_known() {
        let partial = Voxels::from_fn([16; 3], |at| [[2, 3, 4], [5, 3, 9]].contains(&at));
        let known = inside(&partial);
        assert_eq!(known.count(), 4 * 6);
        assert!(known.is_full([3, 3, 7]) && !known.is_full([3, 4, 7]));
        assert_eq!(inside(&Voxels::from_fn([4; 3], |_| false)).count(), 0);
    }

    #[test]
    fn a_box_of_unknown_voxels_is_told() {
        let known = outside("0,0,0.5,1,1,1", 16).unwrap();
        assert_eq!(known.count(), 16 * 16 * 8);
        assert!(known.is_full([3, 3, 7]) && !known.is_full([3, 3, 8]));
        for text in [
            "",
            "0,0,0,1,1",
            "0,0,0,1,1,2",
            "0.5,0,0,0.5,1,1",
            "a,0,0,1,1,1",
        ] {
            let error = outside(text, 16).unwrap_err();
            assert_eq!(gan_core::failure::exit_code(&error), 2, "{text}");
        }
    }
}
