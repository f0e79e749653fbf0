//! `data prepare --pairs`: datasets of pairs, made of others.
//!
//! ```sh
//! pix2pix data prepare --pairs combine -i two_folders -o together --size 256
//! pix2pix data prepare --pairs split -i together -o two_folders
//! pix2pix data prepare --pairs edges -i photographs -o drawn --size 256 --split 0.9
//! ```
//!
//! - `combine`: pictures with equal names in two folders, in any layout that [`find`] knows, become `train/NAME.png` and
//!   `test/NAME.png` with A left and B right. The two must have one size: they show the same place, and stretching one
//!   of them would hide that they do not.
//! - `split`: pairs side by side become `A/train/NAME.png` and `B/train/NAME.png`, and the same for `test`. What was
//!   combined comes out with the same pixels.
//! - `edges`: photographs at any depth become pairs with a line drawing left, black on white, and the photograph right,
//!   as edges2shoes has them. The drawing is made after `--size`, so its lines are one pixel wide in the file: give the
//!   size that training loads (`load_size`), or lines fade when they are scaled down. `--split SHARE` tells `train` from
//!   `test` by names alone; without it, what lies in `train` and `test` (or `val`) stays there, and all else is to train
//!   on.
//!
//! `--size N` squeezes each picture of a pair that exists to N x N, as training does; photographs are cut to their
//! central square, which does not distort them. Both filters are antialiased.
//!
//! What has no partner, cannot be read, cannot be halved or has two sizes is left out and named; more than a tenth of
//! that is refused. The new folder appears when it is whole. A mark of procedural data is kept.

use crate::data::{Found, find, read};
use crate::edges::drawing;
use anyhow::Result;
use gan_core::command::save_picture;
use gan_core::console::Console;
use gan_core::dataset::{PairPreparation, Pairs, PreparedPairs, keep_procedural_mark};
use gan_core::failure::{Kind, at_path, failure};
use gan_core::folder::{NewFolder, Places, make_all, place_of};
use gan_core::images;
use image::{RgbImage, imageops};
use std::path::{Path, PathBuf};

/// The widest picture of a pair: both side by side are still read.
const MOST_WIDTH: u32 = 10_000;
/// Most pixels of each picture of a pair.
const MOST_PIXELS: u64 = 1 << 26;
/// Most pixels of a picture that is drawn, which takes about 30 bytes for each.
const MOST_DRAWN_PIXELS: u64 = 1 << 24;

/// One pair that is to be made: from which files, and which ones it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Job {
    part: &'static str,
    from: Vec<PathBuf>,
    to: Vec<PathBuf>,
}

/// All that is to be made, and what has no partner.
#[derive(Debug, Default)]
struct Plan {
    jobs: Vec<Job>,
    alone: Vec<String>,
}

/// Makes a dataset of pairs.
///
/// # Errors
/// [`Kind::Usage`] when the output is there already, or lies inside the input; [`Kind::Data`] when the input has another
/// layout, or more than a tenth of it cannot be used; [`Kind::Disk`]. Then nothing stays behind.
pub fn prepare(preparation: &PairPreparation, console: &mut Console) -> Result<PreparedPairs> {
    let (input, size) = (&preparation.input, preparation.size);
    let plan = match preparation.pairs {
        Pairs::Edges => plan_photographs(input, preparation.split)?,
        pairs => plan_pairs(input, pairs, console)?,
    };
    let all = plan.jobs.len() + plan.alone.len();
    let most = (images::MOST_BROKEN * all as f64) as usize;
    if plan.alone.len() > most {
        return Err(failure(
            Kind::Data,
            format!(
                "{} of {all} pictures and pairs under {} have no partner, the first: {}; `pix2pix data check` lists them",
                plan.alone.len(),
                input.display(),
                plan.alone[0]
            ),
        ));
    }
    let make = |paths: &[PathBuf]| match preparation.pairs {
        Pairs::Combine => combined(paths, size),
        Pairs::Split => halves(paths, size),
        Pairs::Edges => drawn(&paths[0], size),
    };
    let new = NewFolder::outside(input, &preparation.output)?;
    keep_procedural_mark(input, new.path())?;
    console.count(plan.jobs.len() as u64, "pairs");
    let made = make_all(plan.jobs.len(), most - plan.alone.len(), console, &|at| {
        write(&plan.jobs[at], new.path(), &make(&plan.jobs[at].from)?)
    });
    console.finish();
    let mut prepared = PreparedPairs {
        left_out: plan.alone,
        suggestion: match preparation.pairs {
            Pairs::Edges => "--direction a2b".to_owned(),
            Pairs::Combine | Pairs::Split => {
                "--direction a2b (b2a where B is the input)".to_owned()
            }
        },
        ..PreparedPairs::default()
    };
    prepared
        .left_out
        .extend(made?.into_iter().map(|(_, why)| why));
    if prepared.left_out.len() > most {
        return Err(failure(
            Kind::Data,
            format!(
                "more than a tenth of {all} pairs or pictures cannot be used, the first: {}",
                prepared.left_out[0]
            ),
        ));
    }
    for part in ["train", "test"] {
        let of_part = plan.jobs.iter().filter(|job| job.part == part);
        let written = of_part.filter(|job| new.path().join(&job.to[0]).is_file());
        let count = written.count();
        if count > 0 {
            prepared.parts.push((part.to_owned(), count));
        }
    }
    new.publish()?;
    Ok(prepared)
}

/// Pairs in files, part by part.
fn plan_pairs(input: &Path, pairs: Pairs, console: &Console) -> Result<Plan> {
    let mut plan = Plan::default();
    let mut places = Places::default();
    for part in ["train", "test"] {
        let Some(found) = find(input, part)? else {
            continue;
        };
        check_layout(&found, pairs)?;
        for (from, name) in found.pairs.into_iter().zip(&found.names) {
            let to = match pairs {
                Pairs::Split => ["A", "B"]
                    .map(|side| places.png(&format!("{side}/{part}"), name))
                    .to_vec(),
                Pairs::Combine | Pairs::Edges => vec![places.png(part, name)],
            };
            plan.jobs.push(Job { part, from, to });
        }
        let alone = found.alone.iter();
        plan.alone
            .extend(alone.map(|path| format!("{} has no partner", path.display())));
    }
    if plan.jobs.is_empty() && plan.alone.is_empty() {
        return Err(failure(
            Kind::Data,
            format!(
                "{} holds no part with pairs: expected train/ or test/ with pairs side by side, or trainA/ and trainB/",
                input.display()
            ),
        ));
    }
    let has = |name: &str| input.join(name).is_dir() || input.join(format!("{name}A")).is_dir();
    if has("test") && has("val") {
        console.warn("val is passed over, as there is a test: prepare it by itself");
    }
    Ok(plan)
}

/// Refuses pairs that lie as they would come out.
fn check_layout(found: &Found, pairs: Pairs) -> Result<()> {
    let files = found.pairs.first().map_or(2, Vec::len);
    let what = match (pairs, files) {
        (Pairs::Combine, 1) => {
            "--pairs combine takes pictures with equal names in two folders, A/train and B/train, train/A and train/B, \
             trainA and trainB, or A and B"
        }
        (Pairs::Split, 2) => "--pairs split takes pairs side by side in one folder, train",
        _ => return Ok(()),
    };
    Err(failure(
        Kind::Data,
        format!("the pairs are taken as {}: {what}", found.layout),
    ))
}

/// Photographs at any depth, each in its part.
fn plan_photographs(input: &Path, split: Option<f64>) -> Result<Plan> {
    let files = images::list(input)?;
    let mut places = Places::default();
    let jobs = (0..files.len())
        .map(|at| {
            let (part, name) = part_of(files.name(at), split);
            Job {
                part,
                from: vec![files.path(at)],
                to: vec![places.png(part, name)],
            }
        })
        .collect();
    Ok(Plan {
        jobs,
        ..Plan::default()
    })
}

/// The part of a photograph, and its name in there.
fn part_of(name: &Path, split: Option<f64>) -> (&'static str, &Path) {
    if let Some(share) = split {
        let part = if place_of(name) < share {
            "train"
        } else {
            "test"
        };
        return (part, name);
    }
    for (folder, part) in [("train", "train"), ("test", "test"), ("val", "test")] {
        if let Ok(inner) = name.strip_prefix(folder) {
            return (part, inner);
        }
    }
    ("train", name)
}

fn write(job: &Job, folder: &Path, pictures: &[RgbImage]) -> Result<()> {
    for (place, picture) in job.to.iter().zip(pictures) {
        let place = folder.join(place);
        if let Some(parent) = place.parent() {
            std::fs::create_dir_all(parent)
                .map_err(|error| at_path(Kind::Disk, "create", parent, &error))?;
        }
        save_picture(&place, picture)?;
    }
    Ok(())
}

/// Both pictures of a pair, `size` pixels a side.
fn sized(paths: &[PathBuf], size: Option<u32>) -> Result<[RgbImage; 2]> {
    let pair = read(paths)?;
    Ok(match size {
        Some(size) if pair[0].dimensions() != (size, size) => pair.map(|picture| {
            imageops::resize(&picture, size, size, imageops::FilterType::CatmullRom)
        }),
        _ => pair,
    })
}

fn combined(paths: &[PathBuf], size: Option<u32>) -> Result<Vec<RgbImage>> {
    let pair = sized(paths, size)?;
    check_size(&pair[0], &paths[0], MOST_PIXELS)?;
    Ok(vec![beside(&pair)])
}

fn halves(paths: &[PathBuf], size: Option<u32>) -> Result<Vec<RgbImage>> {
    sized(paths, size).map(Vec::from)
}

fn drawn(path: &Path, size: Option<u32>) -> Result<Vec<RgbImage>> {
    let photo = images::to_rgb(&images::read(path)?);
    let photo = match size {
        Some(size) => images::square(&photo, size),
        None => photo,
    };
    // At most 8192 x 8192 where a size was given.
    let most = if size.is_some() {
        MOST_PIXELS
    } else {
        MOST_DRAWN_PIXELS
    };
    check_size(&photo, path, most)?;
    Ok(vec![beside(&[drawing(&photo), photo])])
}

/// Refuses a picture of which a pair side by side would be too large.
fn check_size(picture: &RgbImage, path: &Path, most: u64) -> Result<()> {
    let (width, height) = picture.dimensions();
    if width <= MOST_WIDTH && u64::from(width) * u64::from(height) <= most {
        return Ok(());
    }
    Err(failure(
        Kind::Data,
        format!(
            "{}: {width} x {height} pixels are too large for a pair (up to {MOST_WIDTH} pixels wide and {most} in all): \
             bring them to a size that training needs with --size",
            path.display()
        ),
    ))
}

/// Two pictures of equal size, the first left.
///
/// # Panics
/// If their heights differ.
pub(crate) fn beside(pair: &[RgbImage; 2]) -> RgbImage {
    let [left, right] = pair;
    assert_eq!(left.height(), right.height(), "pictures side by side");
    let mut both = RgbImage::new(left.width() + right.width(), left.height());
    imageops::replace(&mut both, left, 0, 0);
    imageops::replace(&mut both, right, i64::from(left.width()), 0);
    both
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::DATASETS;
    use clap::Parser;
    use gan_core::dataset::DataCommand;
    use gan_core::failure::exit_code;
    use image::Rgb;
    use tempfile::TempDir;

    #[derive(clap::Parser)]
    struct Line {
        #[command(subcommand)]
        data: DataCommand,
    }

    /// `data prepare --pairs WHAT -i INPUT -o OUTPUT ...`, and the exit code with what was said.
    fn run(what: &str, input: &Path, output: &Path, more: &[&str]) -> Result<(), (u8, String)> {
        let paths = [input.to_str().unwrap(), output.to_str().unwrap()];
        let line = [
            "data", "prepare", "--pairs", what, "-i", paths[0], "-o", paths[1],
        ];
        let line = Line::try_parse_from(line.iter().chain(more))
            .map_err(|error| (error.exit_code() as u8, error.to_string()))?;
        line.data
            .run(&DATASETS)
            .map_err(|error| (exit_code(&error), format!("{error:#}")))
    }

    /// What [`prepare`] tells.
    fn tell(pairs: Pairs, input: &Path, output: &Path) -> Result<PreparedPairs> {
        let preparation = PairPreparation {
            pairs,
            input: input.to_owned(),
            output: output.to_owned(),
            size: None,
            split: None,
        };
        prepare(
            &preparation,
            &mut Console::new(gan_core::console::Voice::Quiet),
        )
    }

    /// A picture of its own for every number.
    fn picture(width: u32, height: u32, number: u8) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            Rgb([number, 7 * x as u8, 11 * y as u8])
        })
    }

    fn save(place: &Path, picture: &RgbImage) {
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        picture.save(place).unwrap();
    }

    fn open(place: &Path) -> RgbImage {
        images::to_rgb(&images::read(place).unwrap())
    }

    fn names(folder: &Path) -> Vec<String> {
        let files = images::list(folder).unwrap();
        (0..files.len())
            .map(|at| files.name(at).display().to_string())
            .collect()
    }

    /// Twelve pairs to train on, one of them deeper, and one to test with, in two folders.
    fn two_folders() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        for number in 0..11 {
            save(
                &place(&format!("trainA/{number:02}.png")),
                &picture(9, 6, number),
            );
            save(
                &place(&format!("trainB/{number:02}.bmp")),
                &picture(9, 6, 100 + number),
            );
        }
        for (side, number) in [("A", 50), ("B", 150)] {
            save(
                &place(&format!("train{side}/deep/x.y.png")),
                &picture(5, 7, number),
            );
            save(
                &place(&format!("test{side}/00.png")),
                &picture(4, 4, number + 1),
            );
        }
        folder
    }

    #[test]
    fn what_was_combined_is_split_into_the_same_pixels() {
        let (folder, out) = (two_folders(), tempfile::tempdir().unwrap());
        let (together, apart) = (out.path().join("together"), out.path().join("apart"));
        let told = tell(Pairs::Combine, folder.path(), &together).unwrap();
        assert_eq!(
            told.parts,
            [("train".to_owned(), 12), ("test".to_owned(), 1)]
        );
        assert!(told.left_out.is_empty(), "{told:?}");
        let found = names(&together);
        assert_eq!(found.len(), 13);
        for name in [
            "train/00.png",
            "train/10.png",
            "train/deep/x.y.png",
            "test/00.png",
        ] {
            assert!(found.contains(&name.to_owned()), "{found:?}");
        }
        let both = open(&together.join("train/03.png"));
        assert_eq!(both.dimensions(), (18, 6));
        assert_eq!(
            (both.get_pixel(0, 0).0[0], both.get_pixel(9, 0).0[0]),
            (3, 103)
        );

        run("split", &together, &apart, &[]).unwrap();
        assert_eq!(names(&apart).len(), 26);
        for (side, number) in [("A", 0), ("B", 100)] {
            let place = |name: &str| apart.join(side).join(name);
            for at in 0..11 {
                let name = format!("train/{at:02}.png");
                assert_eq!(
                    open(&place(&name)),
                    picture(9, 6, number + at),
                    "{side} {name}"
                );
            }
            assert_eq!(
                open(&place("train/deep/x.y.png")),
                picture(5, 7, number + 50)
            );
            assert_eq!(open(&place("test/00.png")), picture(4, 4, number + 51));
        }
        // And back again, from the other layout.
        run("combine", &apart, &out.path().join("again"), &[]).unwrap();
        for name in names(&together) {
            let bytes = |folder: &str| std::fs::read(out.path().join(folder).join(&name)).unwrap();
            assert_eq!(bytes("together"), bytes("again"), "{name}");
        }
    }

    #[test]
    fn each_picture_of_a_pair_gets_the_size() {
        let (folder, out) = (two_folders(), tempfile::tempdir().unwrap());
        let together = out.path().join("together");
        run("combine", folder.path(), &together, &["--size", "8"]).unwrap();
        for name in names(&together) {
            assert_eq!(open(&together.join(name)).dimensions(), (16, 8));
        }
        let apart = out.path().join("apart");
        run("split", &together, &apart, &["--size", "5"]).unwrap();
        for name in names(&apart) {
            assert_eq!(open(&apart.join(name)).dimensions(), (5, 5));
        }
    }

    #[test]
    fn what_is_no_pair_is_named_and_refused_above_a_tenth() {
        let (folder, out) = (two_folders(), tempfile::tempdir().unwrap());
        let place = |name: &str| folder.path().join(name);
        save(&place("trainA/alone.png"), &picture(9, 6, 0));
        let told = tell(Pairs::Combine, folder.path(), &out.path().join("one")).unwrap();
        assert_eq!(told.left_out.len(), 1);
        assert!(
            told.left_out[0].contains("alone.png has no partner"),
            "{told:?}"
        );

        // Also where two files of a folder have one name.
        save(&place("trainA/03.bmp"), &picture(9, 6, 0));
        let refused = |part: &str| {
            let output = out.path().join("none");
            let (code, said) = run("combine", folder.path(), &output, &[]).unwrap_err();
            assert_eq!(code, 3, "{said}");
            assert!(said.contains(part), "{said}");
            assert!(!output.exists());
        };
        refused("2 of 15");
        std::fs::remove_file(place("trainA/03.bmp")).unwrap();

        // Two sizes, and a file that is no picture.
        std::fs::remove_file(place("trainA/alone.png")).unwrap();
        save(&place("trainB/05.bmp"), &picture(6, 9, 0));
        let told = tell(Pairs::Combine, folder.path(), &out.path().join("sizes")).unwrap();
        let said = &told.left_out[0];
        assert!(
            said.contains("05.png has 9 x 6") && said.contains("05.bmp has 6 x 9"),
            "{said}"
        );
        assert_eq!(told.parts[0].1, 11);
        std::fs::write(place("trainB/06.bmp"), "<html>").unwrap();
        refused("more than a tenth of 13");
        let left = std::fs::read_dir(out.path()).unwrap().flatten();
        assert!(
            left.into_iter()
                .all(|entry| !entry.file_name().to_string_lossy().starts_with('.'))
        );
    }

    #[test]
    fn layouts_widths_and_flags_that_do_not_fit_are_refused() {
        let (folder, out) = (two_folders(), tempfile::tempdir().unwrap());
        let output = out.path().join("none");
        let refused = |what: &str, input: &Path, more: &[&str], code: u8, part: &str| {
            let (found, said) = run(what, input, &output, more).unwrap_err();
            assert_eq!(found, code, "{said}");
            assert!(said.contains(part), "{said}");
            assert!(!output.exists());
        };
        let missing = folder.path().join("missing");
        refused("combine", &missing, &[], 3, "missing");
        refused("split", folder.path(), &[], 3, "trainA and");
        refused(
            "split",
            folder.path(),
            &["--split", "0.5"],
            2,
            "--pairs edges",
        );
        refused(
            "split",
            folder.path(),
            &["--dedupe"],
            2,
            "cannot be used with",
        );
        refused("split", folder.path(), &["--size", "0"], 2, "1 to 8192");
        refused("neither", folder.path(), &[], 2, "combine, split, edges");
        let odd = folder.path().join("odd");
        save(&odd.join("train/a.png"), &picture(9, 6, 1));
        refused("split", &odd, &[], 3, "width of 9");
        refused("combine", &odd, &[], 3, "side by side");
        // What is there already is not touched.
        std::fs::create_dir(out.path().join("full")).unwrap();
        std::fs::write(out.path().join("full/x"), "x").unwrap();
        let (code, said) =
            run("combine", folder.path(), &out.path().join("full"), &[]).unwrap_err();
        assert_eq!(code, 2);
        assert!(said.contains("there already"), "{said}");
        let inside = folder.path().join("inside");
        let (code, said) = run("combine", folder.path(), &inside, &[]).unwrap_err();
        assert_eq!(code, 2);
        assert!(said.contains("lies inside -i"), "{said}");
    }

    #[test]
    fn photographs_get_their_edges_left() {
        let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let place = |name: &str| folder.path().join(name);
        let photo = RgbImage::from_fn(64, 48, |x, y| {
            let is_inside = (20..44).contains(&x) && (12..36).contains(&y);
            Rgb(if is_inside { [200, 40, 10] } else { [240; 3] })
        });
        for name in [
            "a.png",
            "a.bmp",
            "train/b.png",
            "test/deep/c.png",
            "val/d.png",
        ] {
            save(&place(name), &photo);
        }
        let output = out.path().join("drawn");
        run("edges", folder.path(), &output, &["--size", "40"]).unwrap();
        let expected = [
            "test/d.png",
            "test/deep/c.png",
            "train/a.png",
            "train/a_2.png",
            "train/b.png",
        ];
        assert_eq!(names(&output), expected);
        let both = open(&output.join("train/a.png"));
        assert_eq!(both.dimensions(), (80, 40));
        let [left, right] = read(&[output.join("train/a.png")]).unwrap();
        assert_eq!(right, images::square(&photo, 40));
        assert_eq!(left, drawing(&right));
        assert!(
            left.pixels()
                .all(|pixel| pixel.0 == [0; 3] || pixel.0 == [255; 3])
        );
        assert!(left.pixels().any(|pixel| pixel.0 == [0; 3]));

        // By the names alone: the same again without one of them.
        run(
            "edges",
            folder.path(),
            &out.path().join("halves"),
            &["--split", "0.5"],
        )
        .unwrap();
        let halves = names(&out.path().join("halves"));
        assert_eq!(halves.len(), 5);
        std::fs::remove_file(place("train/b.png")).unwrap();
        run(
            "edges",
            folder.path(),
            &out.path().join("less"),
            &["--split", "0.5"],
        )
        .unwrap();
        let less = names(&out.path().join("less"));
        assert!(
            less.len() == 4 && less.iter().all(|name| halves.contains(name)),
            "{less:?}"
        );

        std::fs::write(place("e.jpg"), "<html>").unwrap();
        let (code, said) = run("edges", folder.path(), &out.path().join("no"), &[]).unwrap_err();
        assert_eq!(code, 3);
        assert!(said.contains("e.jpg"), "{said}");
    }

    #[test]
    fn what_is_made_of_procedural_data_is_procedural() {
        let out = tempfile::tempdir().unwrap();
        let drawn = out.path().join("drawn");
        let line = [
            "data",
            "prepare",
            "--procedural",
            "--num",
            "2",
            "-o",
            drawn.to_str().unwrap(),
        ];
        Line::try_parse_from(line)
            .unwrap()
            .data
            .run(&DATASETS)
            .unwrap();
        let apart = out.path().join("apart");
        run("split", &drawn, &apart, &["--size", "16"]).unwrap();
        assert!(gan_core::dataset::procedural_mark(&apart).is_some());
    }
}
