//! Looping animations from a list of frames: GIF, which every viewer shows, and APNG, which keeps every colour.

use std::fs;
use std::path::Path;

use crate::failure::{Kind, at_path};
use anyhow::{Context, Result, bail, ensure};
use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, DynamicImage, Frame, RgbImage};

/// How many times longer than the others the last frame stays, so that the eye can rest on the result.
const LAST_FRAME_HOLD: u32 = 6;

/// Browsers replace a GIF delay below 20 ms by 100 ms, which would make a fast animation the slowest one.
const SHORTEST_GIF_DELAY_MILLISECONDS: u32 = 20;

/// GIF stores a delay as a 16-bit count of hundredths of a second.
const LONGEST_GIF_DELAY_MILLISECONDS: u32 = 655_350;

/// Up to this many pixels the quantiser looks at every one of a frame: it finds poor palettes from few examples.
const THOROUGH_UP_TO_PIXELS: u64 = 65_536;

#[derive(Clone, Copy)]
enum Format {
    Gif,
    Apng,
}

/// Writes `frames` as an endlessly looping animation to `path`.
///
/// The extension chooses the format: `.gif` (a palette of 256 colours for each frame), `.png` or `.apng` (lossless),
/// in any case of letters. Every frame is shown for `delay_milliseconds`, the last one six times as long. GIF counts
/// time in hundredths of a second: there the delay is rounded down to one and kept within 20 ms to 655.35 s.
///
/// The file is written beside `path` and renamed, so a reader never sees half of one and a failure leaves an earlier
/// file as it was.
///
/// # Errors
///
/// Another extension, no frame, frames of different or of zero size, frames wider or higher than 65 535 pixels for a
/// GIF, or a file that cannot be written.
pub fn write(path: &Path, frames: &[RgbImage], delay_milliseconds: u32) -> Result<()> {
    let format = format_of(path)?;
    let (width, height) =
        common_size(frames).with_context(|| format!("cannot write {}", path.display()))?;
    let bytes = match format {
        Format::Gif => gif_bytes(frames, width, height, delay_milliseconds),
        Format::Apng => apng_bytes(frames, width, height, delay_milliseconds),
    }
    .with_context(|| format!("cannot encode the animation {}", path.display()))?;
    replace_file(path, &bytes)
}

fn format_of(path: &Path) -> Result<Format> {
    let extension = path
        .extension()
        .map(|extension| extension.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("gif") => Ok(Format::Gif),
        Some("png" | "apng") => Ok(Format::Apng),
        _ => bail!(
            "{}: an animation ends in .gif, .png or .apng",
            path.display()
        ),
    }
}

fn common_size(frames: &[RgbImage]) -> Result<(u32, u32)> {
    let Some(first) = frames.first() else {
        bail!("an animation needs at least one frame")
    };
    let (width, height) = first.dimensions();
    ensure!(
        width > 0 && height > 0,
        "the frames are empty ({width}x{height} pixels)"
    );
    for (index, frame) in frames.iter().enumerate() {
        let (other_width, other_height) = frame.dimensions();
        ensure!(
            (other_width, other_height) == (width, height),
            "frame {index} has {other_width}x{other_height} pixels, the first one has {width}x{height}"
        );
    }
    Ok((width, height))
}

fn delay_of_frame(index: usize, count: usize, delay_milliseconds: u32) -> u32 {
    if index + 1 == count {
        delay_milliseconds.saturating_mul(LAST_FRAME_HOLD)
    } else {
        delay_milliseconds
    }
}

fn gif_bytes(
    frames: &[RgbImage],
    width: u32,
    height: u32,
    delay_milliseconds: u32,
) -> Result<Vec<u8>> {
    ensure!(
        u16::try_from(width).is_ok() && u16::try_from(height).is_ok(),
        "a GIF holds at most 65535x65535 pixels, these frames have {width}x{height}"
    );
    let mut bytes = Vec::new();
    // The quantiser looks at one pixel in this many.
    let speed = if u64::from(width) * u64::from(height) <= THOROUGH_UP_TO_PIXELS {
        1
    } else {
        4
    };
    let mut encoder = GifEncoder::new_with_speed(&mut bytes, speed);
    encoder.set_repeat(Repeat::Infinite)?;
    for (index, frame) in frames.iter().enumerate() {
        let delay = delay_of_frame(index, frames.len(), delay_milliseconds).clamp(
            SHORTEST_GIF_DELAY_MILLISECONDS,
            LONGEST_GIF_DELAY_MILLISECONDS,
        );
        let pixels = DynamicImage::ImageRgb8(frame.clone()).into_rgba8();
        encoder.encode_frame(Frame::from_parts(
            pixels,
            0,
            0,
            Delay::from_numer_denom_ms(delay, 1),
        ))?;
    }
    // The encoder writes the end of the file when it is dropped.
    drop(encoder);
    Ok(bytes)
}

fn apng_bytes(
    frames: &[RgbImage],
    width: u32,
    height: u32,
    delay_milliseconds: u32,
) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_animated(u32::try_from(frames.len()).context("too many frames")?, 0)?;
    let mut writer = encoder.write_header()?;
    for (index, frame) in frames.iter().enumerate() {
        let (numerator, denominator) =
            apng_delay(delay_of_frame(index, frames.len(), delay_milliseconds));
        writer.set_frame_delay(numerator, denominator)?;
        writer.write_image_data(frame.as_raw())?;
    }
    writer.finish()?;
    Ok(bytes)
}

/// APNG stores a delay as a fraction of two 16-bit numbers: long delays lose precision instead of overflowing.
fn apng_delay(milliseconds: u32) -> (u16, u16) {
    for (divisor, denominator) in [(1, 1000), (10, 100)] {
        if let Ok(numerator) = u16::try_from(milliseconds / divisor) {
            return (numerator, denominator);
        }
    }
    (u16::try_from(milliseconds / 1000).unwrap_or(u16::MAX), 1)
}

fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".partial");
    let partial = path.with_file_name(name);
    let written = fs::write(&partial, bytes)
        .map_err(|error| at_path(Kind::Disk, "write", &partial, &error))
        .and_then(|()| {
            fs::rename(&partial, path).map_err(|error| at_path(Kind::Disk, "write", path, &error))
        });
    if written.is_err() {
        // The error that matters is the one of writing; a partial file that stays behind is overwritten next time.
        let _ = fs::remove_file(&partial);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::path::PathBuf;

    use image::codecs::gif::GifDecoder;
    use image::codecs::png::PngDecoder;
    use image::{AnimationDecoder, Rgb};

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("animation-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn frames() -> Vec<RgbImage> {
        (0..5u8)
            .map(|frame| {
                RgbImage::from_fn(16, 14, |x, y| Rgb([frame * 50, 15 * x as u8, 15 * y as u8]))
            })
            .collect()
    }

    fn delays(frames: &[Frame]) -> Vec<u32> {
        frames
            .iter()
            .map(|frame| {
                let (numerator, denominator) = frame.delay().numer_denom_ms();
                numerator / denominator
            })
            .collect()
    }

    #[test]
    fn a_gif_comes_back_with_every_frame_and_loops() {
        let folder = folder("gif");
        let path = folder.join("walk.GIF");
        write(&path, &frames(), 80).unwrap();
        let bytes = fs::read(&path).unwrap();
        let at = bytes
            .windows(11)
            .position(|window| window == b"NETSCAPE2.0")
            .unwrap();
        assert_eq!(
            bytes[at + 11..at + 16],
            [3, 1, 0, 0, 0],
            "zero repetitions mean forever"
        );
        let read = GifDecoder::new(Cursor::new(bytes))
            .unwrap()
            .into_frames()
            .collect_frames()
            .unwrap();
        assert_eq!(delays(&read), [80, 80, 80, 80, 480]);
        for (frame, read) in frames().into_iter().zip(read) {
            // 224 colours fit into the palette of the frame.
            assert_eq!(
                DynamicImage::ImageRgba8(read.into_buffer()).into_rgb8(),
                frame
            );
        }
        assert_eq!(
            fs::read_dir(&folder).unwrap().count(),
            1,
            "no partial file stays"
        );
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_apng_comes_back_exactly() {
        let folder = folder("apng");
        for name in ["walk.png", "walk.apng"] {
            let path = folder.join(name);
            write(&path, &frames(), 80).unwrap();
            let decoder = PngDecoder::new(Cursor::new(fs::read(&path).unwrap())).unwrap();
            assert!(decoder.is_apng().unwrap());
            let read = decoder
                .apng()
                .unwrap()
                .into_frames()
                .collect_frames()
                .unwrap();
            assert_eq!(delays(&read), [80, 80, 80, 80, 480]);
            for (frame, read) in frames().into_iter().zip(read) {
                assert_eq!(
                    DynamicImage::ImageRgba8(read.into_buffer()).into_rgb8(),
                    frame
                );
            }
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_cannot_be_an_animation_is_refused() {
        let folder = folder("refused");
        let message = |name: &str, frames: &[RgbImage]| {
            let error = write(&folder.join(name), frames, 80).unwrap_err();
            format!("{error:#}")
        };
        assert!(message("a.webp", &frames()).contains(".gif, .png or .apng"));
        assert!(message("a", &frames()).contains(".gif, .png or .apng"));
        assert!(message("a.gif", &[]).contains("at least one frame"));
        let mixed = [RgbImage::new(4, 4), RgbImage::new(4, 5)];
        assert!(message("a.png", &mixed).contains("frame 1 has 4x5"));
        assert!(message("missing/a.gif", &frames()).contains("a.gif"));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn long_delays_keep_their_length() {
        assert_eq!(apng_delay(80), (80, 1000));
        assert_eq!(apng_delay(120_000), (12_000, 100));
        assert_eq!(apng_delay(6_000_000), (6_000, 1));
        assert_eq!(apng_delay(u32::MAX), (u16::MAX, 1));
    }
}
