//! `data prepare --sub-images` and `--low-resolution`: datasets for upscaling, made of pictures.
//!
//! ```sh
//! srgan data prepare -i DIV2K -o parts --sub-images 480 --stride 240
//! srgan data prepare -i photographs -o pairs --low-resolution 4 --split 0.9
//! ```
//!
//! - `--sub-images SIDE` cuts each picture into squares that overlap, from the upper left corner on; the last of a row or
//!   column ends where the picture ends. `a.jpg` becomes `a_s001.png`, `a_s002.png`, ... Of pairs, both pictures are cut.
//! - `--low-resolution SCALE` gives each picture a partner in `lq`, as training would make it of the whole picture, and
//!   puts the picture itself into `gt`, without what makes no whole pixel there.
//! - With both, the partner is made first and cut then, so no square has a border that its picture had not.
//!
//! Parts are kept, in any layout that [`find`] knows; `--split SHARE` tells `train` from `test` anew, by the names of
//! the whole pictures alone. What cannot be read, is too small or does not fit its partner is left out and named; more
//! than a tenth of that is refused. The new folder appears when it is whole. A mark of procedural data is kept.

use super::{Found, SCALES, Sample, find, read};
use crate::config::Config;
use crate::degrade;
use crate::discriminator::Shape;
use anyhow::Result;
use gan_core::command::save_picture;
use gan_core::console::Console;
use gan_core::dataset::{PreparedPairs, ResolutionPreparation, keep_procedural_mark};
use gan_core::failure::{Kind, at_path, failure};
use gan_core::folder::{NewFolder, Places, make_all, place_of};
use gan_core::images;
use image::{RgbImage, imageops};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The parts of a dataset.
const PARTS: [&str; 2] = ["train", "test"];

/// One picture or pair: its part, its files, and the place of what is made of it, from the folder of the part on.
#[derive(Debug)]
struct Job {
    part: usize,
    from: Vec<PathBuf>,
    to: PathBuf,
}

/// Makes a dataset of sub-images, or of pairs.
///
/// # Errors
/// [`Kind::Usage`] when the output is there already, or lies inside the input, or sides and scale do not fit;
/// [`Kind::Data`] when more than a tenth of the input cannot be used; [`Kind::Disk`]. Then nothing stays behind.
pub(super) fn prepare(
    preparation: &ResolutionPreparation,
    console: &mut Console,
) -> Result<PreparedPairs> {
    let input = &preparation.input;
    check_sides(preparation)?;
    let mut found = Vec::new();
    for (number, part) in PARTS.into_iter().enumerate() {
        found.extend(find(input, part, &SCALES)?.map(|found| (number, found)));
    }
    let paired = found.iter().find(|(_, found)| found.is_paired());
    if let (Some((_, paired)), Some(_)) = (paired, preparation.low_resolution) {
        return Err(failure(
            Kind::Usage,
            format!(
                "the pictures are pairs already ({}): leave out --low-resolution, or give the folder of high resolution",
                paired.layout()
            ),
        ));
    }
    let mut left_out: Vec<String> = found
        .iter()
        .flat_map(|(_, found)| found.why_alone())
        .collect();
    let jobs = plan(found, preparation.split);
    let all = jobs.len() + left_out.len();
    let most = (images::MOST_BROKEN * all as f64) as usize;
    let too_many = |left_out: &[String]| {
        failure(
            Kind::Data,
            format!(
                "more than a tenth of {all} pictures under {} cannot be used, the first: {}",
                input.display(),
                left_out[0]
            ),
        )
    };
    if left_out.len() > most {
        return Err(too_many(&left_out));
    }
    let new = NewFolder::outside(input, &preparation.output)?;
    keep_procedural_mark(input, new.path())?;
    console.count(jobs.len() as u64, "pictures");
    let (counts, scale) = (
        [AtomicUsize::new(0), AtomicUsize::new(0)],
        AtomicUsize::new(0),
    );
    let unusable = make_all(jobs.len(), most - left_out.len(), console, &|at| {
        let job = &jobs[at];
        let sample = read(&job.from, None)?;
        let parts = cut(whole(sample, preparation), preparation, &job.from[0])?;
        for (number, sample) in parts.iter().enumerate() {
            let name = match preparation.sub_images {
                Some(_) => numbered(&job.to, number + 1),
                None => job.to.clone(),
            };
            write(sample, &new.path().join(PARTS[job.part]), &name)?;
            if let Some(low) = &sample.low {
                let of_pair = sample.high.width() / low.width();
                scale.store(of_pair as usize, Ordering::Relaxed);
            }
        }
        counts[job.part].fetch_add(parts.len(), Ordering::Relaxed);
        Ok(())
    });
    console.finish();
    left_out.extend(unusable?.into_iter().map(|(_, why)| why));
    if left_out.len() > most {
        return Err(too_many(&left_out));
    }
    let mut flags = Vec::new();
    match scale.into_inner() {
        0 => (),
        scale => flags.push(format!("--scale {scale}")),
    }
    let multiple = Shape::MULTIPLE as u32;
    let usual = Config::default().crop_size as u32;
    let is_small = |side: &u32| (multiple..usual).contains(side);
    if let Some(side) = preparation.sub_images.filter(is_small) {
        flags.push(format!("--crop-size {}", side / multiple * multiple));
    }
    let mut prepared = PreparedPairs {
        left_out,
        suggestion: flags.join(" "),
        ..PreparedPairs::default()
    };
    for (part, count) in PARTS.into_iter().zip(counts) {
        let count = count.into_inner();
        if count > 0 {
            prepared.parts.push((part.to_owned(), count));
        }
    }
    new.publish()?;
    Ok(prepared)
}

/// Refuses squares that would begin or end within a low-resolution pixel.
fn check_sides(preparation: &ResolutionPreparation) -> Result<()> {
    let Some(scale) = preparation.low_resolution else {
        return Ok(());
    };
    for (flag, length) in [
        ("--sub-images", preparation.sub_images),
        ("--stride", preparation.stride),
    ] {
        if let Some(length) = length.filter(|length| !length.is_multiple_of(scale)) {
            return Err(failure(
                Kind::Usage,
                format!("{flag} {length} is no multiple of {scale}, the scale of --low-resolution"),
            ));
        }
    }
    Ok(())
}

/// What is made of which files.
fn plan(found: Vec<(usize, Found)>, split: Option<f64>) -> Vec<Job> {
    let mut places = Places::default();
    let mut jobs = Vec::new();
    for (part, found) in found {
        for (from, name) in found.samples.into_iter().zip(&found.names) {
            let part = match split {
                Some(share) => usize::from(place_of(name) >= share),
                None => part,
            };
            let place = places.png(PARTS[part], name);
            let to = place.strip_prefix(PARTS[part]).unwrap_or(&place).to_owned();
            jobs.push(Job { part, from, to });
        }
    }
    jobs
}

/// A sample before it is cut up, with its partner where it is to have one.
fn whole(sample: Sample, preparation: &ResolutionPreparation) -> Sample {
    let Some(scale) = preparation.low_resolution else {
        return sample;
    };
    let high = degrade::modcrop(sample.high, scale);
    let low =
        (high.width() > 0 && high.height() > 0).then(|| degrade::low_resolution(&high, scale));
    Sample { high, low }
}

/// What is written of a sample.
///
/// # Errors
/// [`Kind::Data`] when nothing is left of it.
fn cut(sample: Sample, preparation: &ResolutionPreparation, path: &Path) -> Result<Vec<Sample>> {
    let (width, height) = sample.high.dimensions();
    let refuse = |what: String| {
        let size = format!("{}: {width} x {height} pixels", path.display());
        Err(failure(Kind::Data, format!("{size} {what}")))
    };
    if width == 0 || height == 0 {
        return refuse("are left at that scale: leave the picture out".to_owned());
    }
    let Some(side) = preparation.sub_images else {
        return Ok(vec![sample]);
    };
    if width.min(height) < side {
        return refuse(format!("hold no square of {side}: lower --sub-images"));
    }
    let scale = sample.low.as_ref().map_or(1, |low| width / low.width());
    let stride = preparation
        .stride
        .unwrap_or((side / 2).next_multiple_of(scale));
    if !side.is_multiple_of(scale) || !stride.is_multiple_of(scale) {
        return refuse(format!(
            "are {scale} times as many as its partner has: --sub-images and --stride must be multiples of that"
        ));
    }
    let mut parts = Vec::new();
    for top in places_along(height, side, stride) {
        for left in places_along(width, side, stride) {
            let part = |picture: &RgbImage, scale: u32| {
                let [left, top, side] = [left, top, side].map(|length| length / scale);
                imageops::crop_imm(picture, left, top, side, side).to_image()
            };
            parts.push(Sample {
                high: part(&sample.high, 1),
                low: sample.low.as_ref().map(|low| part(low, scale)),
            });
        }
    }
    Ok(parts)
}

/// Where squares begin along a length that holds one: every `stride` pixels, and at the end.
fn places_along(length: u32, side: u32, stride: u32) -> Vec<u32> {
    let last = length - side;
    let mut places: Vec<u32> = (0..=last).step_by(stride as usize).collect();
    if !last.is_multiple_of(stride) {
        places.push(last);
    }
    places
}

/// `a.png` as `a_s001.png`.
fn numbered(place: &Path, number: usize) -> PathBuf {
    let stem = place.file_stem().unwrap_or_default().to_string_lossy();
    place.with_file_name(format!("{stem}_s{number:03}.png"))
}

fn write(sample: &Sample, folder: &Path, name: &Path) -> Result<()> {
    let save = |picture: &RgbImage, folder: &Path| {
        let place = folder.join(name);
        if let Some(parent) = place.parent() {
            std::fs::create_dir_all(parent)
                .map_err(|error| at_path(Kind::Disk, "create", parent, &error))?;
        }
        save_picture(&place, picture)
    };
    match &sample.low {
        None => save(&sample.high, folder),
        Some(low) => {
            save(&sample.high, &folder.join("gt"))?;
            save(low, &folder.join("lq"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::DATASETS;
    use clap::Parser;
    use gan_core::dataset::DataCommand;
    use gan_core::failure::exit_code;
    use image::Rgb;

    #[derive(clap::Parser)]
    struct Line {
        #[command(subcommand)]
        data: DataCommand,
    }

    /// `data prepare -i INPUT -o OUTPUT ...`, and the exit code with what was said.
    fn run(input: &Path, output: &Path, more: &[&str]) -> Result<(), (u8, String)> {
        let paths = [input.to_str().unwrap(), output.to_str().unwrap()];
        let line = ["data", "prepare", "-i", paths[0], "-o", paths[1]];
        let line = Line::try_parse_from(line.iter().chain(more))
            .map_err(|error| (error.exit_code() as u8, error.to_string()))?;
        line.data
            .run(&DATASETS)
            .map_err(|error| (exit_code(&error), format!("{error:#}")))
    }

    fn save(place: &Path, picture: &RgbImage) {
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        picture.save(place).unwrap();
    }

    fn open(place: &Path) -> RgbImage {
        images::to_rgb(&images::read(place).unwrap())
    }

    fn places(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| Rgb([3 * x as u8, 5 * y as u8, 7]))
    }

    fn names(folder: &Path) -> Vec<String> {
        let files = images::list(folder).unwrap();
        (0..files.len())
            .map(|at| files.name(at).display().to_string())
            .collect()
    }

    #[test]
    fn squares_cover_a_picture_to_its_edges() {
        assert_eq!(places_along(50, 20, 10), [0, 10, 20, 30]);
        assert_eq!(places_along(55, 20, 10), [0, 10, 20, 30, 35]);
        assert_eq!(places_along(20, 20, 10), [0]);
        assert_eq!(places_along(21, 20, 10), [0, 1]);
        assert_eq!(
            numbered(Path::new("x/a.b.png"), 7),
            Path::new("x/a.b_s007.png")
        );
    }

    #[test]
    fn sub_images_and_their_partners_show_the_same_places() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        for number in 0..11 {
            save(
                &place(&format!("in/train/{number:02}.png")),
                &places(54, 41),
            );
        }
        save(&place("in/val/deep/a.png"), &places(40, 40));
        // One that is too small, of twelve, is left out.
        save(&place("in/train/10.png"), &places(54, 31));
        let whole = degrade::low_resolution(&degrade::modcrop(places(54, 41), 4), 4);
        let flags = [
            "--sub-images",
            "32",
            "--stride",
            "16",
            "--low-resolution",
            "4",
        ];
        run(&place("in"), &place("out"), &flags).unwrap();
        // 54 x 41 become 52 x 40: three columns and two rows of squares.
        assert_eq!(names(&place("out/train/gt")), names(&place("out/train/lq")));
        assert_eq!(names(&place("out/train/gt")).len(), 60);
        assert_eq!(names(&place("out/test/gt")).len(), 4);
        let high = open(&place("out/train/gt/03_s006.png"));
        let low = open(&place("out/train/lq/03_s006.png"));
        assert_eq!(
            high,
            imageops::crop_imm(&places(54, 41), 20, 8, 32, 32).to_image()
        );
        assert_eq!(low, imageops::crop_imm(&whole, 5, 2, 8, 8).to_image());
        // Pairs are cut up as well, and need no partner.
        let error = run(&place("out"), &place("again"), &["--low-resolution", "4"]).unwrap_err();
        assert!(
            error.0 == 2 && error.1.contains("pairs already"),
            "{error:?}"
        );
        run(&place("out"), &place("again"), &["--sub-images", "16"]).unwrap();
        assert_eq!(names(&place("again/train/gt")).len(), 60 * 9);
        let part = open(&place("again/train/lq/03_s006_s009.png"));
        assert_eq!(part, imageops::crop_imm(&low, 4, 4, 4, 4).to_image());
        assert!(!place("again.partial").exists() && names(&place("in")).len() == 12);
    }

    #[test]
    fn whole_pictures_are_split_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        for number in 0..40 {
            save(&place(&format!("in/{number:02}.png")), &places(34, 34));
        }
        run(
            &place("in"),
            &place("out"),
            &["--sub-images", "16", "--split", "0.7"],
        )
        .unwrap();
        let parts = ["train", "test"].map(|part| {
            let squares = names(&place("out").join(part));
            let pictures: std::collections::BTreeSet<_> =
                squares.iter().map(|name| name[..2].to_owned()).collect();
            assert_eq!(
                squares.len(),
                16 * pictures.len(),
                "no picture is in both parts"
            );
            pictures.len()
        });
        assert!(
            parts[0] + parts[1] == 40 && parts[0] > parts[1] && parts[1] > 4,
            "{parts:?}"
        );
    }

    #[test]
    fn what_cannot_be_used_is_refused_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        for number in 0..5 {
            save(&place(&format!("in/{number}.png")), &places(20, 20));
        }
        let refused = |flags: &[&str], code: u8, what: &str| {
            let (found, said) = run(&place("in"), &place("out"), flags).unwrap_err();
            assert!(found == code && said.contains(what), "{flags:?}: {said}");
            assert!(!place("out").exists());
            assert_eq!(
                names(folder.path()).len(),
                5,
                "an original is gone, or a part stayed"
            );
        };
        refused(&["--sub-images", "32"], 3, "lower --sub-images");
        refused(
            &["--sub-images", "18", "--low-resolution", "4"],
            2,
            "no multiple of 4",
        );
        refused(
            &[
                "--sub-images",
                "16",
                "--stride",
                "6",
                "--low-resolution",
                "4",
            ],
            2,
            "--stride 6",
        );
        std::fs::write(place("in/2.png"), "<html>").unwrap();
        refused(&["--low-resolution", "2"], 3, "2.png");
        let (code, said) =
            run(&place("in"), &place("in/out"), &["--low-resolution", "2"]).unwrap_err();
        assert!(code == 2 && said.contains("lies inside"), "{said}");
    }
}
