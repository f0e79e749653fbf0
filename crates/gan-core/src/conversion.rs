//! Pictures in, pictures out: files, folders and patterns through a network, one picture after the other.
//!
//! A result has the name of its picture, below the output folder where the picture lay below an input folder,
//! and its format by that name's ending: PNG, JPEG (quality 95), WebP (lossless) or BMP; of a GIF, and of a
//! name without such an ending, a PNG. What there is to refuse about names is refused before the first is
//! written, and a result takes its name only when it is whole.
//!
//! Kept are 16 bits a channel (PNG), the alpha channel, enlarged as the picture is (not JPEG: on white), and an
//! RGB colour profile (not BMP). EXIF orientation is applied. What a file cannot keep is said, and that of an
//! animation the first frame is taken. Grey becomes RGB, unless the converter
//! keeps it. A network sees the colours
//! that a file has beneath its alpha, as the result is shown under the same alpha again; where nothing shows
//! of them they mean nothing, and it sees white.
//!
//! One thread reads ahead, one writes behind, and each holds one picture at most: one that was read as numbers
//! of four bytes, one that was made in the bytes of its file's pixels.

mod names;
mod pixels;

use crate::console::Console;
use crate::failure::{Kind, at_path, exit_code, failure};
use crate::process::{may_be_alive, owner};
use crate::tiles::TileArguments;
use anyhow::Result;
use image::ImageError;
use names::{Job, Planned, plan};
use pixels::{Canvas, Format, Rest};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

pub use crate::tiles::{Emit, Planes};

/// Which pictures become which.
#[derive(Debug, Clone, clap::Args)]
pub struct ConversionArguments {
    /// Pictures: files, folders (every picture at any depth) and patterns such as 'photos/*.jpg'.
    #[arg(short, long, required = true, num_args = 1.., value_name = "PATH")]
    pub input: Vec<PathBuf>,
    /// Folder of the results; for a single picture also a file's name.
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Replace results that are there already.
    #[arg(long)]
    pub overwrite: bool,
    /// Pass over pictures whose results are there already: go on where an earlier call ended.
    #[arg(long, conflicts_with = "overwrite")]
    pub skip_existing: bool,
    /// What a result's name gets before its ending: with `out`, a.png becomes a_out.png.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub suffix: String,
    /// The format of results: auto keeps the picture's own.
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    pub ext: Ending,
    /// How large pictures are divided.
    #[command(flatten)]
    pub tiles: TileArguments,
}

/// The format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Ending {
    /// The picture's own.
    #[default]
    Auto,
    /// PNG.
    Png,
    /// JPEG, quality 95.
    Jpg,
    /// WebP, lossless.
    Webp,
    /// BMP.
    Bmp,
}

/// What came of it.
#[must_use = "end with `check`, so that the exit code tells of pictures that failed"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// Pictures that were written.
    pub written: usize,
    /// Pictures that were passed over, each with a warning.
    pub failed: usize,
}

impl Done {
    /// The end of a process: a failure if any picture failed.
    ///
    /// # Errors
    /// [`Kind::Data`] when pictures were passed over.
    pub fn check(self) -> Result<()> {
        if self.failed == 0 {
            return Ok(());
        }
        Err(failure(
            Kind::Data,
            format!(
                "{} of {} pictures could not be converted (see the warnings above); the others were written",
                self.failed,
                self.written + self.failed
            ),
        ))
    }
}

/// What turns one picture into another, of any size.
pub trait Converter {
    /// How many times as wide and as high a result is.
    fn scale(&self) -> usize {
        1
    }

    /// Whether a grey picture's result is grey.
    fn keeps_grey(&self) -> bool {
        false
    }

    /// Converts one picture, and hands over its result in strips.
    ///
    /// # Errors
    /// A [`Kind::Data`] is this picture's failure; any other ends the work.
    fn convert(&mut self, picture: &Planes, emit: &mut Emit<'_>) -> Result<()>;
}

/// Converts every picture and writes the results.
///
/// # Errors
/// [`Kind::Usage`] for names that cannot be, [`Kind::Data`] for missing pictures, or when the only picture
/// is unreadable: all before the first is written. [`Kind::Disk`] when a result cannot be written,
/// [`Kind::Diverged`] for a result that is not finite, and whatever the converter reports; a [`Kind::Data`] of
/// its is that picture's failure only. The caller ends with [`Done::check`].
pub fn run(
    arguments: &ConversionArguments,
    console: &mut Console,
    converter: &mut dyn Converter,
) -> Result<Done> {
    let Planned {
        jobs,
        notes,
        skipped,
    } = plan(arguments)?;
    notes.iter().for_each(|note| console.warn(note));
    if skipped > 0 {
        console.say(&format!(
            "{skipped} of {} results are there already",
            skipped + jobs.len()
        ));
    }
    remove_leftovers(&jobs);
    // Where that cannot be, the work would be in vain.
    jobs.first()
        .map_or(Ok(()), |job| create(folder_of(&job.target)))?;
    // A single picture may be a large one, of which the rows are counted.
    let is_single = jobs.len() == 1;
    if is_single {
        console.count(100, "%");
    } else {
        console.count(jobs.len() as u64, "pictures");
    }
    let done = stream(&jobs, console, &InFlight::default(), converter);
    console.finish();
    let done = done?;
    let failed = match done.failed {
        0 => String::new(),
        failed => format!(", {failed} could not be converted"),
    };
    console.say(&format!(
        "{} of {} pictures written to {}{failed}",
        done.written,
        jobs.len(),
        arguments.output.display()
    ));
    Ok(done)
}

/// How the name of an unfinished result starts; hidden, so that nothing takes it for a picture.
const UNFINISHED: &str = ".conversion";

/// Removes what processes that were killed left behind.
fn remove_leftovers(jobs: &[Job]) {
    let folders: BTreeSet<_> = jobs.iter().map(|job| folder_of(&job.target)).collect();
    for folder in folders {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(UNFINISHED) && owner(&name).is_some_and(|id| !may_be_alive(id)) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// How many pictures are in memory, and were at most.
#[derive(Debug, Default)]
struct InFlight {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// Counts as one picture while it lives.
struct Ticket<'a>(&'a InFlight);

impl<'a> Ticket<'a> {
    fn new(in_flight: &'a InFlight) -> Self {
        let now = in_flight.now.fetch_add(1, Ordering::Relaxed) + 1;
        in_flight.most.fetch_max(now, Ordering::Relaxed);
        Self(in_flight)
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A picture on its way in.
struct Loaded<'a> {
    planes: Planes,
    rest: Rest,
    ticket: Ticket<'a>,
}

/// A result on its way out.
struct Made<'a> {
    canvas: Canvas,
    _ticket: Ticket<'a>,
}

/// What happens to pictures that cannot be converted.
struct Failures<'a> {
    console: &'a Console,
    count: AtomicUsize,
    total: usize,
}

impl Failures<'_> {
    /// Warns and goes on; of a single picture, the failure is that of the process.
    fn pass_over(&self, error: anyhow::Error) -> Result<()> {
        if self.total == 1 {
            return Err(error);
        }
        self.console.warn(&format!("passed over: {error:#}"));
        self.count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// How often a line tells how far it is, where there is no progress bar.
const INTERVAL: Duration = Duration::from_secs(5);

fn stream(
    jobs: &[Job],
    console: &Console,
    in_flight: &InFlight,
    converter: &mut dyn Converter,
) -> Result<Done> {
    let failures = Failures {
        console,
        count: AtomicUsize::new(0),
        total: jobs.len(),
    };
    let failures = &failures;
    let written = std::thread::scope(|scope| {
        // Without a place in between: what is ready waits in its thread.
        let (ahead, pictures) = sync_channel(0);
        let (behind, results) = sync_channel(0);
        let reader = scope.spawn(move || {
            for job in jobs {
                let ticket = Ticket::new(in_flight);
                let loaded = pixels::read(&job.source).map(|(planes, rest)| Loaded {
                    planes,
                    rest,
                    ticket,
                });
                // Nobody takes more after a failure.
                if ahead.send((job, loaded)).is_err() {
                    return;
                }
            }
        });
        let writer = scope.spawn(move || write_all(results, failures));
        let converted = convert_all(pictures, behind, failures, converter);
        let written = joined(writer);
        joined(reader);
        // A result that could not be written is why there was no place for the next.
        let written = written?;
        converted.map(|()| written)
    })?;
    Ok(Done {
        written,
        failed: failures.count.load(Ordering::Relaxed),
    })
}

/// What a thread returned; a panic there goes on here.
fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    let panicked = |panic| std::panic::resume_unwind(panic);
    thread.join().unwrap_or_else(panicked)
}

/// Takes pictures until there are no more, or nobody takes the results. Dropping both ends stops the threads.
fn convert_all<'a>(
    pictures: Receiver<(&'a Job, Result<Loaded<'a>>)>,
    results: SyncSender<(&'a Job, Made<'a>)>,
    failures: &Failures<'_>,
    converter: &mut dyn Converter,
) -> Result<()> {
    let mut told = Instant::now();
    let mut tell = |text: String| {
        if told.elapsed() >= INTERVAL {
            failures.console.status("converted", &text);
            told = Instant::now();
        }
    };
    for (index, (job, loaded)) in pictures.iter().enumerate() {
        let made = loaded.and_then(|loaded| {
            convert_one(job, loaded, converter, &mut |rows, height| {
                if failures.total == 1 {
                    failures.console.tick((100 * rows / height) as u64);
                    tell(format!("{rows} of {height} rows"));
                }
            })
        });
        match made {
            Ok(made) => {
                if results.send((job, made)).is_err() {
                    return Ok(());
                }
            }
            Err(error) if exit_code(&error) == Kind::Data.exit_code() => {
                failures.pass_over(error)?;
            }
            Err(error) => return Err(error),
        }
        if failures.total > 1 {
            failures.console.tick(index as u64 + 1);
            tell(format!("{} of {} pictures", index + 1, failures.total));
        }
    }
    Ok(())
}

/// Paints what the converter makes of a picture; `tell` hears how many rows of how many are painted.
fn convert_one<'a>(
    job: &Job,
    loaded: Loaded<'a>,
    converter: &mut dyn Converter,
    tell: &mut dyn FnMut(usize, usize),
) -> Result<Made<'a>> {
    let named = |error: anyhow::Error| error.context(job.source.display().to_string());
    let Loaded {
        planes,
        rest,
        ticket,
    } = loaded;
    let size = [planes.width, planes.height].map(|side| side * converter.scale());
    let format = Format::of(&job.target).unwrap_or(Format::Png);
    let mut canvas = Canvas::new(format, size, rest, converter.keeps_grey()).map_err(named)?;
    let mut emit = |top: usize, strip: &Planes| {
        if !strip.values.iter().all(|value| value.is_finite()) {
            let what = "the network's result is not finite: take other weights";
            return Err(failure(Kind::Diverged, what));
        }
        canvas.paint(top, strip);
        tell(top + strip.height, size[1]);
        Ok(())
    };
    converter.convert(&planes, &mut emit).map_err(named)?;
    Ok(Made {
        canvas,
        _ticket: ticket,
    })
}

/// Writes results until there are no more.
fn write_all<'a>(results: Receiver<(&'a Job, Made<'a>)>, failures: &Failures<'_>) -> Result<usize> {
    let mut written = 0;
    for (job, made) in results {
        for lost in made.canvas.losses() {
            let line = format!("{}: {lost}", job.source.display());
            failures.console.warn(&line);
        }
        match save(&job.source, &job.target, &made.canvas) {
            Ok(()) => written += 1,
            Err(error) if exit_code(&error) == Kind::Data.exit_code() => {
                failures.pass_over(error)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

/// Writes a file that is whole as soon as it has its name.
fn save(source: &Path, target: &Path, canvas: &Canvas) -> Result<()> {
    let folder = folder_of(target);
    create(folder)?;
    let unfinished = folder.join(format!("{UNFINISHED}.tmp-{}", std::process::id()));
    let written = File::create(&unfinished).and_then(|file| {
        let mut file = BufWriter::new(file);
        let encoded = canvas.encode(&mut file);
        let refused = match encoded {
            Ok(()) => None,
            Err(ImageError::IoError(error)) => return Err(error),
            Err(error) => Some(error),
        };
        file.flush()?;
        Ok(refused)
    });
    let finished = written.and_then(|refused| match refused {
        None => std::fs::rename(&unfinished, target).map(|()| None),
        Some(error) => Ok(Some(error)),
    });
    if !matches!(finished, Ok(None)) {
        let _ = std::fs::remove_file(&unfinished);
    }
    match finished.map_err(|error| at_path(Kind::Disk, "write", target, &error))? {
        None => Ok(()),
        Some(error) => Err(failure(
            Kind::Data,
            format!(
                "{}: {canvas} cannot be written: {error}; take a .png",
                source.display()
            ),
        )),
    }
}

fn folder_of(target: &Path) -> &Path {
    match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn create(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|error| at_path(Kind::Disk, "create", folder, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Voice;
    use crate::tiles::{Requirements, Tile, Tiling};
    use image::{DynamicImage, Rgb, RgbImage};

    pub(super) fn arguments(input: &[&Path], output: &Path) -> ConversionArguments {
        ConversionArguments {
            input: input.iter().map(|path| path.to_path_buf()).collect(),
            output: output.to_owned(),
            overwrite: false,
            skip_existing: false,
            suffix: String::new(),
            ext: Ending::Auto,
            tiles: TileArguments {
                tile: Tile::Auto,
                tile_pad: None,
            },
        }
    }

    /// A converter that makes all rows at once.
    struct Whole<F>(usize, F);

    impl<F: FnMut(&Planes) -> Result<Planes>> Converter for Whole<F> {
        fn scale(&self) -> usize {
            self.0
        }

        fn convert(&mut self, picture: &Planes, emit: &mut Emit<'_>) -> Result<()> {
            emit(0, &self.1(picture)?)
        }
    }

    fn convert(arguments: &ConversionArguments) -> Result<Done> {
        let mut same = Whole(1, |planes: &Planes| Ok(planes.clone()));
        run(arguments, &mut Console::new(Voice::Quiet), &mut same)
    }

    fn draw(place: &Path, shade: u8) {
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        let picture = RgbImage::from_fn(9, 7, |x, y| Rgb([x as u8, 20 * y as u8, shade]));
        picture.save(place).unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let files = crate::images::list(folder).unwrap();
        let name = |index| files.name(index).display().to_string();
        (0..files.len()).map(name).collect()
    }

    #[test]
    fn a_folder_keeps_its_shape_and_a_broken_picture_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("in"), folder.path().join("new/out"));
        for name in [
            "a.png",
            "deep/er/a.png",
            "b.bmp",
            "c.webp",
            "d.jpg",
            "e.gif",
            "f.png",
        ] {
            draw(&input.join(name), 9);
        }
        std::fs::write(input.join("deep/broken.jpg"), "<html>").unwrap();
        let whole = std::fs::read(input.join("f.png")).unwrap();
        std::fs::write(input.join("cut.png"), &whole[..whole.len() - 20]).unwrap();
        let done = convert(&arguments(&[&input], &output)).unwrap();
        assert_eq!((done.written, done.failed), (7, 2));
        let error = done.check().unwrap_err();
        assert_eq!(exit_code(&error), 3);
        assert!(error.to_string().starts_with("2 of 9"), "{error}");
        assert_eq!(
            names(&output),
            [
                "a.png",
                "b.bmp",
                "c.webp",
                "d.jpg",
                "deep/er/a.png",
                "e.png",
                "f.png"
            ]
        );
        for name in ["a.png", "b.bmp", "c.webp", "deep/er/a.png"] {
            let [old, new] = [&input, &output].map(|place| {
                let place = place.join(name);
                let format = image::guess_format(&std::fs::read(&place).unwrap());
                (crate::images::read(&place).unwrap(), format.unwrap())
            });
            assert!(old == new, "{name}");
        }
        // Nothing unfinished stays.
        let hidden = std::fs::read_dir(&output).unwrap().flatten();
        let hidden = hidden.filter(|entry| entry.file_name().to_string_lossy().starts_with('.'));
        assert_eq!(hidden.count(), 0);

        // The only picture's failure is that of the process.
        let error = convert(&arguments(&[&input.join("cut.png")], &output)).unwrap_err();
        assert_eq!(exit_code(&error), 3);
        assert!(error.to_string().contains("cut.png: the file ends early"));
    }

    #[test]
    fn what_the_network_reports_ends_the_work_unless_it_is_about_the_picture() {
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("in"), folder.path().join("out"));
        for (name, shade) in [("a.png", 1), ("b.png", 2), ("c.png", 3), ("d.png", 4)] {
            draw(&input.join(name), shade);
        }
        let arguments = ConversionArguments {
            overwrite: true,
            ..arguments(&[&input], &output)
        };
        let outcome = |at_two: &dyn Fn(&Planes) -> Result<Planes>| {
            let mut count = 0;
            let mut converter = Whole(1, |planes: &Planes| {
                count += 1;
                if count == 2 {
                    return at_two(planes);
                }
                Ok(planes.clone())
            });
            let done = run(&arguments, &mut Console::new(Voice::Quiet), &mut converter);
            (done, count)
        };
        let (done, count) = outcome(&|_| Err(failure(Kind::Data, "too small")));
        assert_eq!(
            done.unwrap(),
            Done {
                written: 3,
                failed: 1
            }
        );
        assert_eq!(count, 4);
        let (done, count) = outcome(&|_| anyhow::bail!("no device"));
        let said = format!("{:#}", done.unwrap_err());
        assert!(said.contains("b.png: no device"), "{said}");
        assert_eq!(count, 2);
        let (done, _) = outcome(&|planes| {
            let mut planes = planes.clone();
            planes.values[5] = f32::NAN;
            Ok(planes)
        });
        assert_eq!(exit_code(&done.unwrap_err()), 7);
        // A place that cannot be written: the threads end, too.
        std::fs::remove_dir_all(&output).unwrap();
        let (done, _) = outcome(&|planes| {
            // The first result may just be written.
            while std::fs::write(&output, "in the way").is_err() {
                let _ = std::fs::remove_dir_all(&output);
            }
            Ok(planes.clone())
        });
        assert_eq!(exit_code(&done.unwrap_err()), 6);
    }

    #[test]
    fn many_pictures_are_not_in_memory_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("in"), folder.path().join("out"));
        for index in 0..200 {
            draw(&input.join(format!("{index:03}.png")), index);
        }
        let jobs = plan(&arguments(&[&input], &output)).unwrap().jobs;
        let in_flight = InFlight::default();
        let mut seen = 0;
        let mut converter = Whole(1, |planes: &Planes| {
            // So that the reader could run ahead, and the writer fall behind, if they were let.
            std::thread::sleep(Duration::from_millis(u64::from(seen % 4 == 0)));
            seen += 1;
            Ok(planes.clone())
        });
        let quiet = Console::new(Voice::Quiet);
        let done = stream(&jobs, &quiet, &in_flight, &mut converter);
        assert_eq!(
            done.unwrap(),
            Done {
                written: 200,
                failed: 0
            }
        );
        let most = in_flight.most.load(Ordering::Relaxed);
        assert!((2..=3).contains(&most), "{most}");
        assert_eq!(in_flight.now.load(Ordering::Relaxed), 0);
        for index in [0, 77, 199] {
            let place = output.join(format!("{index:03}.png"));
            let DynamicImage::ImageRgb8(picture) = crate::images::read(&place).unwrap() else {
                panic!("not RGB");
            };
            assert_eq!(picture.get_pixel(3, 2).0, [3, 40, index]);
        }
    }

    #[test]
    fn results_of_before_are_no_pictures_and_are_replaced_only_when_told() {
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("in"), folder.path().join("in/out"));
        draw(&input.join("a.png"), 1);
        draw(&input.join("inner/b.png"), 2);
        let mut arguments = arguments(&[&input], &output);
        let left = output.join(format!("{UNFINISHED}.tmp-{}", u32::MAX - 5));
        std::fs::create_dir(&output).unwrap();
        std::fs::write(&left, "x").unwrap();
        assert_eq!(convert(&arguments).unwrap().written, 2);
        assert_eq!(left.exists(), !cfg!(target_os = "linux"));
        let error = convert(&arguments).unwrap_err();
        assert_eq!(exit_code(&error), 2);
        let said = error.to_string();
        assert!(said.contains("2 of 2 results are there already"), "{said}");
        assert!(
            said.contains("out/a.png") && said.contains("--overwrite"),
            "{said}"
        );
        arguments.overwrite = true;
        draw(&input.join("a.png"), 7);
        assert_eq!(convert(&arguments).unwrap().written, 2);
        assert_eq!(names(&output), ["a.png", "inner/b.png"]);
        let new = crate::images::read(&output.join("a.png")).unwrap();
        assert_eq!(new.into_rgb8().get_pixel(0, 0).0[2], 7);
    }

    #[test]
    fn a_picture_is_enlarged_in_tiles() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        let picture = RgbImage::from_fn(50, 37, |x, y| Rgb([4 * x as u8, 5 * y as u8, 9]));
        picture.save(place("small.png")).unwrap();
        let mut arguments = arguments(&[&place("small.png")], &place("large.png"));
        arguments.tiles = TileArguments {
            tile: Tile::Side(24),
            tile_pad: Some(6),
        };
        let needs = Requirements {
            multiple: 4,
            least: 8,
            scale: 2,
            bytes_per_pixel: 1,
            reach: None,
        };
        let mut tiling = Tiling::new(arguments.tiles, needs).unwrap();
        let mut twice = |part: &Planes| {
            let (width, height) = (2 * part.width, 2 * part.height);
            let value = |at: usize| {
                let (row, x) = (at / width, at % width);
                part.values[row / 2 * part.width + x / 2]
            };
            let values = (0..3 * width * height).map(value).collect();
            Ok(Planes::new(width, height, values))
        };
        let mut console = Console::new(Voice::Quiet);
        let mut converter = Whole(2, |planes: &Planes| tiling.run(planes, &mut twice));
        let done = run(&arguments, &mut console, &mut converter);
        done.unwrap().check().unwrap();
        assert!(tiling.summary().is_some());
        let large = crate::images::read(&place("large.png"))
            .unwrap()
            .into_rgb8();
        let expected = RgbImage::from_fn(100, 74, |x, y| *picture.get_pixel(x / 2, y / 2));
        assert!(large == expected);
    }

    #[test]
    fn flags_are_read() {
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            conversion: ConversionArguments,
        }
        use clap::Parser;
        let read = |text: &str| Command::try_parse_from(text.split(' '));
        let arguments = read("x -i a.png b.png -i c -o out -t 256 --tile-pad 8").unwrap();
        assert_eq!(arguments.conversion.input.len(), 3);
        assert_eq!(arguments.conversion.tiles.tile, Tile::Side(256));
        assert!(read("x -o out").is_err() && read("x -i a -o out -t 0").is_err());
    }
}
