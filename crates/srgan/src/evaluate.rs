//! How near upscaled pictures come to what they should be, beside bicubic resizing.

use crate::data;
use crate::degrade::resized;
use crate::upscale::{GeneratorArguments, Upscaler};
use anyhow::Result;
use gan_core::command::{print, save_picture};
use gan_core::console::{Console, Voice};
use gan_core::failure::{Kind, at_path, failure};
use gan_core::folder::Places;
use image::RgbImage;
use metrics::paired::{Colour, Pair, Picture, Rule, View};
use serde_json::json;
use std::path::{Path, PathBuf};

/// `evaluate`.
#[derive(Debug, Clone, clap::Args)]
pub struct EvaluateCommand {
    /// Which generator.
    #[command(flatten)]
    pub generator: GeneratorArguments,
    /// High-resolution pictures, or pairs in gt/ and lq/.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Pixels that are cut off at each edge first: the scale without it.
    #[arg(long, value_name = "PIXELS")]
    pub crop_border: Option<usize>,
    /// A new folder: made/ gets the upscaled pictures, bicubic/ those that were only resized, real/ what both are
    /// compared with. There `eval psnr --channels y
    /// --crop-border SCALE` and `eval ssim --rule pytorch-msssim` with the same flags find the same numbers.
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// How near a picture comes to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Nearness {
    /// Of luma (BT.601, studio swing, not rounded), in dB.
    pub psnr_y: f64,
    /// Of luma.
    pub ssim_y: f64,
    /// Of red, green and blue, in dB.
    pub psnr_rgb: f64,
    /// Of red, green and blue.
    pub ssim_rgb: f64,
}

/// Compares two pictures of one size as papers on super-resolution do: of the bytes, without a border; SSIM over the
/// windows that lie within.
///
/// # Errors
/// [`Kind::Data`] for pictures of different sizes, or of which the border leaves less than SSIM's window.
pub fn nearness(made: &RgbImage, high: &RgbImage, border: usize) -> Result<Nearness> {
    let [made, high] = [made, high].map(|picture| {
        let size = [picture.height(), picture.width()].map(|side| side as usize);
        (size, gan_core::images::planar(picture, 3))
    });
    let [made, high] =
        [&made, &high].map(|([height, width], bytes)| Picture::bytes(3, *height, *width, bytes));
    let pair = |colour: Colour| {
        let view = View {
            data_range: 255.0,
            colour,
            crop_border: border,
        };
        Pair::new(&made, &high, &view)
    };
    let (luma, channels) = (pair(Colour::Luma)?, pair(Colour::Channels)?);
    Ok(Nearness {
        psnr_y: luma.psnr(),
        ssim_y: luma.ssim(Rule::PytorchMsssim)?,
        psnr_rgb: channels.psnr(),
        ssim_rgb: channels.ssim(Rule::PytorchMsssim)?,
    })
}

/// A row of the table.
#[derive(Debug, Clone)]
struct Row {
    name: String,
    made: Nearness,
    bicubic: Nearness,
}

/// `srgan evaluate`.
///
/// # Errors
/// When the checkpoint cannot be used, or too many pictures cannot be read.
pub fn evaluate(command: &EvaluateCommand) -> Result<()> {
    let mut console = Console::new(Voice::Normal);
    let upscaler = Upscaler::of(&command.generator, &console)?;
    let scale = upscaler.shape().scale;
    let border = command.crop_border.unwrap_or(scale);
    let tests = data::tests(&command.data, scale)?;
    if let Some(folder) = &command.output {
        check_new(folder)?;
    }
    if let Some(line) = tests.remark() {
        console.warn(&line);
    }
    let mut places = Places::default();
    let (mut rows, mut broken) = (Vec::new(), Vec::new());
    console.count(tests.len() as u64, "pictures");
    for index in 0..tests.len() {
        let measured = tests.pair(index).and_then(|(low, high)| {
            let made = upscaler.picture(&low)?;
            let (width, height) = made.dimensions();
            let bicubic = resized(&low, width, height);
            if let Some(folder) = &command.output {
                let name = places.png("", tests.name(index));
                write(&folder.join("made").join(&name), &made)?;
                write(&folder.join("real").join(&name), &high)?;
                write(&folder.join("bicubic").join(&name), &bicubic)?;
            }
            Ok(Row {
                name: tests.name(index).display().to_string(),
                made: nearness(&made, &high, border)?,
                bicubic: nearness(&bicubic, &high, border)?,
            })
        });
        match measured {
            Ok(row) => rows.push(row),
            Err(error) if gan_core::failure::exit_code(&error) == Kind::Data.exit_code() => {
                let name = tests.name(index).display().to_string();
                let said = format!("{error:#}");
                broken.push(if said.contains(&name) {
                    said
                } else {
                    format!("{name}: {said}")
                });
            }
            Err(error) => return Err(error),
        }
        console.tick(index as u64 + 1);
    }
    console.finish();
    broken.extend(tests.left_out());
    for line in &broken {
        console.warn(&format!("left out: {line}"));
    }
    if rows.is_empty() {
        return Err(failure(
            Kind::Data,
            format!("no picture of {} could be measured", command.data.display()),
        ));
    }
    let text = if command.json {
        as_json(&rows, scale, border).to_string()
    } else {
        as_text(&rows, scale, border, &tests)
    };
    print(&text);
    if broken.is_empty() {
        return Ok(());
    }
    Err(failure(
        Kind::Data,
        format!(
            "{} of {} pictures could not be measured (see the warnings above); the means are of the others",
            broken.len(),
            rows.len() + broken.len()
        ),
    ))
}

/// Refuses a folder that holds something: pictures there may be those that are measured.
fn check_new(folder: &Path) -> Result<()> {
    match std::fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(failure(
                Kind::Usage,
                format!(
                    "-o {}: it is not empty; name a new folder",
                    folder.display()
                ),
            )),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(at_path(Kind::Usage, "write into", folder, &error)),
    }
}

fn write(path: &Path, picture: &RgbImage) -> Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)
            .map_err(|error| at_path(Kind::Disk, "create", parent, &error))?;
    }
    save_picture(path, picture)
}

fn mean(rows: &[Row], of: impl Fn(&Row) -> f64) -> f64 {
    rows.iter().map(of).sum::<f64>() / rows.len() as f64
}

fn means(rows: &[Row], of: impl Fn(&Row) -> Nearness) -> Nearness {
    Nearness {
        psnr_y: mean(rows, |row| of(row).psnr_y),
        ssim_y: mean(rows, |row| of(row).ssim_y),
        psnr_rgb: mean(rows, |row| of(row).psnr_rgb),
        ssim_rgb: mean(rows, |row| of(row).ssim_rgb),
    }
}

/// JSON has no infinity, which two equal pictures give.
fn number(value: f64) -> serde_json::Value {
    if value.is_finite() {
        value.into()
    } else {
        value.to_string().into()
    }
}

fn numbers(of: Nearness) -> serde_json::Value {
    json!({
        "psnr_y": number(of.psnr_y),
        "ssim_y": number(of.ssim_y),
        "psnr_rgb": number(of.psnr_rgb),
        "ssim_rgb": number(of.ssim_rgb),
    })
}

fn as_json(rows: &[Row], scale: usize, border: usize) -> serde_json::Value {
    json!({
        "scale": scale,
        "crop_border": border,
        "made": numbers(means(rows, |row| row.made)),
        "bicubic": numbers(means(rows, |row| row.bicubic)),
        "pictures": rows.iter().map(|row| json!({
            "name": row.name,
            "made": numbers(row.made),
            "bicubic": numbers(row.bicubic),
        })).collect::<Vec<_>>(),
    })
}

fn as_text(rows: &[Row], scale: usize, border: usize, tests: &data::Tests) -> String {
    let width = rows.iter().map(|row| row.name.chars().count()).max();
    let width = width.unwrap_or(0).max("bicubic".len());
    let line = |name: &str, made: Nearness, bicubic: Nearness| {
        let gap = " ".repeat(width - name.chars().count().min(width));
        let both = [made, bicubic].map(|of| {
            format!(
                "{:8.3} {:7.4}  {:8.3} {:7.4}",
                of.psnr_y, of.ssim_y, of.psnr_rgb, of.ssim_rgb
            )
        });
        format!("{name}{gap}  {}  |{}\n", both[0], both[1])
    };
    let gap = " ".repeat(width);
    let heads = "  PSNR-Y  SSIM-Y      PSNR    SSIM";
    let mut text = format!(
        "{gap}  made{gap:>0$}  | bicubic\n{gap}{heads}  |{heads}\n",
        29
    );
    for row in rows {
        text.push_str(&line(&row.name, row.made, row.bicubic));
    }
    let (made, bicubic) = (means(rows, |row| row.made), means(rows, |row| row.bicubic));
    text.push_str(&line("mean", made, bicubic));
    text.push_str(&format!(
        "{} pictures of {}, x{scale}, {}; {border} pixels cut off at each edge; Y is BT.601 luma in studio swing, not \
         rounded; SSIM as pytorch-msssim",
        rows.len(),
        tests.layout(),
        tests.origin()
    ));
    text
}
