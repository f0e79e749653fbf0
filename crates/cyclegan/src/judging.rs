//! The verb `judge`: translations whose right answers are known.

use crate::judge::{Judgement, SHORTEST_SIDE, judge};
use anyhow::Result;
use gan_core::command::print;
use gan_core::failure::{Kind, failure};
use gan_core::images;
use image::RgbImage;
use std::path::{Path, PathBuf};

/// `judge`.
#[derive(Debug, Clone, clap::Args)]
pub struct JudgeCommand {
    /// The pictures that were translated, `testA` for instance.
    #[arg(short, long, value_name = "DIR")]
    pub input: PathBuf,
    /// Their translations, under equal names.
    #[arg(long, value_name = "DIR")]
    pub translated: PathBuf,
    /// The right answers, under equal names: `testA_answers` of `data prepare --procedural`.
    #[arg(long, value_name = "DIR")]
    pub answers: PathBuf,
    /// One JSON object on the standard output instead of lines.
    #[arg(long)]
    pub json: bool,
}

fn read(folder: &Path, name: &Path) -> Result<RgbImage> {
    let place = folder.join(name);
    Ok(images::to_rgb(&images::read(&place)?))
}

/// `cyclegan judge`.
///
/// # Errors
/// [`Kind::Data`] when a picture has no partner, cannot be read, or is of another size than its partners.
pub fn judge_folders(command: &JudgeCommand) -> Result<()> {
    let files = images::list(&command.input)?;
    let mut all: Vec<Judgement> = Vec::with_capacity(files.len());
    for at in 0..files.len() {
        let name = files.name(at);
        let input = read(&command.input, name)?;
        let (width, height) = input.dimensions();
        if width.min(height) < SHORTEST_SIDE {
            return Err(failure(
                Kind::Data,
                format!(
                    "{} has {width} x {height} pixels; pictures of at least {SHORTEST_SIDE} x {SHORTEST_SIDE} are \
                     judged",
                    files.path(at).display()
                ),
            ));
        }
        let partners = [&command.translated, &command.answers];
        let [translated, answer] = partners.map(|folder| read(folder, name));
        let (translated, answer) = (translated?, answer?);
        for (partner, folder) in [&translated, &answer].into_iter().zip(partners) {
            if partner.dimensions() != input.dimensions() {
                return Err(failure(
                    Kind::Data,
                    format!(
                        "{} has {:?} pixels, {} has {:?}: pictures are judged at equal sizes",
                        folder.join(name).display(),
                        partner.dimensions(),
                        files.path(at).display(),
                        input.dimensions()
                    ),
                ));
            }
        }
        all.push(judge(&input, &translated, &answer));
    }
    let mean = |of: fn(&Judgement) -> f64| all.iter().map(of).sum::<f64>() / all.len() as f64;
    let rows = [
        ("pictures", all.len() as f64),
        ("colour", mean(|judged| judged.colour)),
        ("texture", mean(|judged| judged.texture)),
        ("shape", mean(|judged| judged.shape)),
        ("changed", mean(|judged| f64::from(judged.changed))),
        ("kept", mean(|judged| f64::from(judged.kept))),
        (
            "changed_and_kept",
            mean(|judged| f64::from(judged.changed && judged.kept)),
        ),
    ];
    let lines: Vec<String> = if command.json {
        let fields = rows.map(|(name, value)| format!("\"{name}\":{value}"));
        vec![format!("{{{}}}", fields.join(","))]
    } else {
        rows.map(|(name, value)| format!("{name:<16} {value:.3}"))
            .into()
    };
    print(&lines.join("\n"));
    Ok(())
}
