//! Pictures from files: found, decoded under limits, brought to one size and to RGB.
//!
//! Rules, the same everywhere: the format is told by content, not by name; EXIF orientation is
//! applied; grey becomes three equal channels; alpha is composited on white; 16 bits a channel
//! become 8; a palette's colours are looked up, their alpha too; CMYK is taken as Adobe's programs write it
//! into JPEG files (255 is no ink) and becomes RGB without a colour profile, ink by ink times black; other
//! colour profiles are passed over; the first frame of an animation counts. A file that ends early is refused, also where its
//! decoder would fill the rest with grey. The shorter side is resized to the target with an antialiased
//! triangle filter (PyTorch's `Resize` with antialiasing), then the centre is cropped; a picture more than
//! four times as long as wide is cut to its central square first.

use crate::failure::{Kind, at_path, failure};
use crate::files::{self, Files, Wanted};
use crate::regular;
use anyhow::Result;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};
use std::collections::BTreeSet;
use std::io::Cursor;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Largest width and height that is decoded, in pixels.
const MAX_SIDE: u32 = 20_000;
/// Most pixels of one picture: a small file can claim many.
const MAX_PIXELS: u64 = 150_000_000;
/// Most memory that one picture may take while it is decoded, in bytes; and most bytes of its file.
const MAX_ALLOCATION: u64 = 512 << 20;
/// A picture this many times as long as wide is cut before it is resized: 20000 x 1 pixels would become
/// gigabytes.
const EXTREME_RATIO: u32 = 4;

/// The files that count as pictures.
const PICTURES: Wanted = Wanted {
    endings: &["png", "jpg", "jpeg", "webp", "bmp", "gif"],
    what: "pictures",
};

/// Files that could not be read while training went on: they are passed over, until they are too many.
#[derive(Debug)]
pub struct Broken {
    all: usize,
    found: Mutex<Found>,
}

#[derive(Debug, Default)]
struct Found {
    indices: BTreeSet<usize>,
    untold: Vec<String>,
}

/// Share of unreadable pictures above which training does not start, or stops.
pub const MOST_BROKEN: f64 = 0.1;

impl Broken {
    /// Nothing found yet among `all` files.
    pub fn new(all: usize) -> Self {
        Self {
            all,
            found: Mutex::default(),
        }
    }

    /// Whether file `index` is known to be broken.
    pub fn knows(&self, index: usize) -> bool {
        self.found().indices.contains(&index)
    }

    /// Notes that file `index` cannot be read.
    ///
    /// # Errors
    /// [`Kind::Data`] when more than [`MOST_BROKEN`] of all files are broken.
    pub fn note(&self, index: usize, error: &anyhow::Error) -> Result<()> {
        let mut found = self.found();
        if found.indices.insert(index) {
            found.untold.push(format!("{error:#}"));
        }
        let count = found.indices.len();
        if count as f64 > MOST_BROKEN * self.all as f64 {
            return Err(failure(
                Kind::Data,
                format!(
                    "{count} of {} pictures could not be read by now, the last: {error:#}",
                    self.all
                ),
            ));
        }
        Ok(())
    }

    /// What was found since the last call, in a line for the console.
    pub fn untold(&self) -> Option<String> {
        let mut found = self.found();
        let untold = std::mem::take(&mut found.untold);
        let first = untold.first()?;
        Some(format!(
            "{} of {} pictures passed over so far, {} of them new: {first}",
            found.indices.len(),
            self.all,
            untold.len()
        ))
    }

    fn found(&self) -> std::sync::MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every picture file under `folder`, as [`files::list`].
///
/// # Errors
/// A [`Kind::Data`] failure when the folder cannot be read or holds no picture.
pub fn list(folder: &Path) -> Result<Files> {
    files::list(folder, &PICTURES)
}

/// Decodes a picture under limits, upright.
///
/// # Errors
/// A [`Kind::Data`] failure that names the file when it is missing, broken, cut short or too large.
pub fn read(path: &Path) -> Result<DynamicImage> {
    let refuse = |what: String| failure(Kind::Data, format!("{}: {what}", path.display()));
    let bytes = regular::read(Kind::Data, path, MAX_ALLOCATION)?;
    let mut reader = ImageReader::new(Cursor::new(&bytes))
        .with_guessed_format()
        .map_err(|error| at_path(Kind::Data, "read", path, &error))?;
    let format = reader.format();
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_ALLOCATION);
    reader.limits(limits);
    let mut decoder = reader
        .into_decoder()
        .map_err(|error| refuse(format!("not a readable picture: {error}")))?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(refuse(format!(
            "{width} x {height} pixels are more than {MAX_PIXELS}: scale it down"
        )));
    }
    if !format.is_none_or(|format| has_its_end(format, &bytes)) {
        return Err(refuse(
            "the file ends early: get it again, or remove it".to_owned(),
        ));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder)
        .map_err(|error| refuse(format!("not a readable picture: {error}")))?;
    if picture.width() == 0 || picture.height() == 0 {
        return Err(refuse("the picture is empty".to_owned()));
    }
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// How many pixels a picture has, by the beginning of its file: what it will take in memory.
///
/// # Errors
/// A [`Kind::Data`] failure that names the file when it is missing, or does not begin as a picture.
pub fn pixels(path: &Path) -> Result<u64> {
    let (file, _) = regular::open(Kind::Data, "read", path)?;
    let (width, height) = ImageReader::new(std::io::BufReader::new(file))
        .with_guessed_format()
        .map_err(|error| at_path(Kind::Data, "read", path, &error))?
        .into_dimensions()
        .map_err(|error| {
            let what = format!("{}: not a readable picture: {error}", path.display());
            failure(Kind::Data, what)
        })?;
    Ok(u64::from(width) * u64::from(height))
}

/// Whether a file reaches the end that its format marks. Decoders stop when they have seen every pixel, and
/// that of JPEG makes up what is missing.
fn has_its_end(format: ImageFormat, bytes: &[u8]) -> bool {
    match format {
        ImageFormat::Jpeg => jpeg_has_its_end(bytes),
        ImageFormat::Png => png_has_its_end(bytes),
        // A length after "RIFF" counts what follows it.
        ImageFormat::WebP => bytes.get(4..8).is_some_and(|length| {
            let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]);
            bytes.len() as u64 >= 8 + u64::from(length)
        }),
        // Their decoders notice; a missing mark after the first frame of a GIF costs nothing.
        _ => true,
    }
}

/// Follows the segments of a JPEG, and the coded pixels between them, to the marker "end of image".
fn jpeg_has_its_end(bytes: &[u8]) -> bool {
    let mut at = 2;
    loop {
        // The next marker: 0xff with a byte that neither escapes it (0), nor fills (0xff), nor only tells
        // where the coding starts afresh (0xd0 to 0xd7).
        let rest = bytes.get(at..).unwrap_or_default();
        let is_marker = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7 | 0xff);
        let Some(found) = rest.windows(2).position(is_marker) else {
            return false;
        };
        let marker = rest[found + 1];
        at += found + 2;
        match (marker, bytes.get(at..at + 2)) {
            (0xd9, _) => return true,
            // Two markers stand alone.
            (0x01 | 0xd8, _) => {}
            (_, Some(length)) => at += usize::from(u16::from_be_bytes([length[0], length[1]])),
            (_, None) => return false,
        }
    }
}

/// Follows the chunks of a PNG to its last one.
fn png_has_its_end(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(8..).unwrap_or_default();
    while let Some(([a, b, c, d, kind @ ..], after)) = rest.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        // A check sum of four bytes follows.
        let Some(next) = length.checked_add(4).and_then(|end| after.get(end..)) else {
            return false;
        };
        if kind == b"IEND" {
            return true;
        }
        rest = next;
    }
    false
}

/// Eight bits a channel, three channels, alpha composited on white.
pub fn to_rgb(picture: &DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.to_rgb8();
    }
    let with_alpha = picture.to_rgba8();
    let mut out = RgbImage::new(with_alpha.width(), with_alpha.height());
    for (pixel, source) in out.pixels_mut().zip(with_alpha.pixels()) {
        let [red, green, blue, alpha] = source.0.map(u32::from);
        let mix = |value: u32| ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        pixel.0 = [mix(red), mix(green), mix(blue)];
    }
    out
}

/// Resizes the shorter side to `size` and crops the centre to `size` x `size`. Of a picture more than four
/// times as long as wide, the central square is cut out first.
pub fn square(picture: &RgbImage, size: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let shorter = width.min(height);
    if width.max(height).div_ceil(EXTREME_RATIO) > shorter {
        let (left, top) = ((width - shorter) / 2, (height - shorter) / 2);
        let cut = image::imageops::crop_imm(picture, left, top, shorter, shorter);
        return square(&cut.to_image(), size);
    }
    let scaled = |side: u32| {
        let side = f64::from(side) * f64::from(size) / f64::from(shorter);
        (side.round() as u32).max(size)
    };
    let (new_width, new_height) = (scaled(width), scaled(height));
    let resized = if (new_width, new_height) == (width, height) {
        picture.clone()
    } else {
        let filter = image::imageops::FilterType::Triangle;
        image::imageops::resize(picture, new_width, new_height, filter)
    };
    let (left, top) = ((new_width - size) / 2, (new_height - size) / 2);
    image::imageops::crop_imm(&resized, left, top, size, size).to_image()
}

/// `channels * height * width` bytes of a picture, of 3 channels or of 1, which is grey by BT.601.
pub fn planar(picture: &RgbImage, channels: usize) -> Vec<u8> {
    if channels == 1 {
        return image::imageops::grayscale(picture).into_raw();
    }
    (0..3)
        .flat_map(|channel| picture.pixels().map(move |pixel| pixel.0[channel]))
        .collect()
}

/// A byte to [-1, 1].
pub fn to_unit(byte: u8) -> f32 {
    f32::from(byte) / 127.5 - 1.0
}

/// Turns a planar picture with values in [-1, 1] into eight-bit RGB; one channel becomes grey.
/// `values` holds `channels * height * width` numbers; those outside [-1, 1] are clamped.
pub fn from_unit(values: &[f32], channels: usize, height: usize, width: usize) -> RgbImage {
    let plane = height * width;
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let at = y as usize * width + x as usize;
        let byte = |channel: usize| {
            let value = values[(channel % channels) * plane + at];
            ((value.clamp(-1.0, 1.0) + 1.0) * 127.5).round() as u8
        };
        image::Rgb([byte(0), byte(1), byte(2)])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageBuffer, Luma, Rgba};

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn every_kind_of_picture_becomes_rgb() {
        let folder = folder();
        let place = |name: &str| folder.path().join(name);
        let deep = ImageBuffer::from_pixel(5, 4, Luma([40_000u16]));
        DynamicImage::ImageLuma16(deep)
            .save(place("deep.png"))
            .unwrap();
        let clear = ImageBuffer::from_pixel(5, 4, Rgba([255u8, 0, 0, 0]));
        DynamicImage::ImageRgba8(clear)
            .save(place("clear.png"))
            .unwrap();
        let plain = RgbImage::from_pixel(5, 4, image::Rgb([1, 2, 3]));
        plain.save(place("plain.bmp")).unwrap();
        std::fs::rename(place("plain.bmp"), place("plain.jpg")).unwrap();
        let pixel = |name: &str| to_rgb(&read(&place(name)).unwrap()).get_pixel(0, 0).0;
        assert_eq!(pixel("deep.png"), [156; 3]);
        assert_eq!(pixel("clear.png"), [255; 3], "composited on white");
        assert_eq!(pixel("plain.jpg"), [1, 2, 3], "told by content");
    }

    #[test]
    fn the_colours_of_a_palette_are_looked_up() {
        let folder = folder();
        let place = folder.path().join("palette.png");
        let file = std::fs::File::create(&place).unwrap();
        let mut encoder = png::Encoder::new(file, 3, 1);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_palette(&[10, 20, 30, 200, 100, 0, 0, 0, 0][..]);
        // The last colour is black that nobody sees.
        encoder.set_trns(&[255, 255, 0][..]);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&[1, 0, 2]).unwrap();
        writer.finish().unwrap();
        let picture = to_rgb(&read(&place).unwrap());
        let pixels: Vec<_> = picture.pixels().map(|pixel| pixel.0).collect();
        assert_eq!(pixels, [[200, 100, 0], [10, 20, 30], [255; 3]]);
    }

    /// A JPEG of 8 x 8 equal CMYK pixels, as Adobe's programs mark them.
    fn cmyk_jpeg(stored: [u8; 4]) -> Vec<u8> {
        let segment = |marker: u8, body: &[u8]| {
            let length = (body.len() as u16 + 2).to_be_bytes();
            [&[0xff, marker], &length[..], body].concat()
        };
        // Twelve codes of four bits for the sizes of the first coefficient; one of one bit, "no others".
        let sizes = |length: usize, count: u8| {
            let mut counts = [0; 16];
            counts[length - 1] = count;
            counts
        };
        let first: Vec<u8> = [&[0][..], &sizes(4, 12), &(0..12).collect::<Vec<_>>()].concat();
        let others = [&[0x10][..], &sizes(1, 1), &[0]].concat();
        let mut bits = String::new();
        for value in stored {
            let coefficient = 8 * (i32::from(value) - 128);
            let size = 32 - coefficient.unsigned_abs().leading_zeros();
            bits += &format!("{size:04b}");
            if size > 0 {
                let coded = if coefficient < 0 {
                    coefficient + (1 << size) - 1
                } else {
                    coefficient
                };
                bits += &format!("{coded:0width$b}", width = size as usize);
            }
            bits.push('0');
        }
        while !bits.len().is_multiple_of(8) {
            bits.push('1');
        }
        let mut data = Vec::new();
        for byte in 0..bits.len() / 8 {
            let byte = u8::from_str_radix(&bits[8 * byte..8 * byte + 8], 2).unwrap();
            data.push(byte);
            if byte == 0xff {
                data.push(0);
            }
        }
        let frame = [
            8, 0, 8, 0, 8, 4, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0, 4, 0x11, 0,
        ];
        [
            vec![0xff, 0xd8],
            segment(0xee, b"Adobe\0\x64\0\0\0\0\0"),
            segment(0xdb, &[&[0][..], &[1; 64]].concat()),
            segment(0xc0, &frame),
            segment(0xc4, &first),
            segment(0xc4, &others),
            segment(0xda, &[4, 1, 0, 2, 0, 3, 0, 4, 0, 0, 63, 0]),
            data,
            vec![0xff, 0xd9],
        ]
        .concat()
    }

    #[test]
    fn cmyk_becomes_rgb_ink_by_ink() {
        let folder = folder();
        let place = folder.path().join("press.jpg");
        for (stored, expected) in [
            // No ink at all is white, full black is black.
            ([255, 255, 255, 255], [255; 3]),
            ([255, 255, 255, 0], [0; 3]),
            // Magenta and yellow make red.
            ([255, 0, 0, 255], [255, 0, 0]),
            ([200, 100, 50, 128], [100, 50, 25]),
        ] {
            std::fs::write(&place, cmyk_jpeg(stored)).unwrap();
            let picture = to_rgb(&read(&place).unwrap());
            assert_eq!(picture.dimensions(), (8, 8));
            for (found, expected) in picture.get_pixel(3, 4).0.iter().zip(expected) {
                assert!(found.abs_diff(expected) <= 2, "{stored:?}: {picture:?}");
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_plain_files_are_listed_and_the_others_are_counted() {
        use std::os::unix::fs::symlink;
        let folder = folder();
        let place = |name: &str| folder.path().join(name);
        std::fs::create_dir(place("inner")).unwrap();
        for name in [
            "a.png",
            "inner/b.JPG",
            "scan.tif",
            "inner/more.TIF",
            ".hidden.png",
            "notes",
        ] {
            std::fs::write(place(name), "x").unwrap();
        }
        symlink(place("a.png"), place("link.png")).unwrap();
        symlink(place("inner"), place("folder.png")).unwrap();
        symlink(place("none"), place("gone.png")).unwrap();
        std::os::unix::net::UnixListener::bind(place("socket.png")).unwrap();
        let files = list(folder.path()).unwrap();
        let names: Vec<_> = (0..files.len())
            .map(|index| files.name(index).display().to_string())
            .collect();
        assert_eq!(names, ["a.png", "inner/b.JPG", "link.png"]);
        let left_out: Vec<_> = files
            .left_out()
            .iter()
            .map(|(what, count)| format!("{what}: {count}"))
            .collect();
        assert_eq!(
            left_out,
            [
                "files ending in .tif: 2",
                "files without an ending: 1",
                "links that lead nowhere: 1",
                "links to folders: 1",
                "named pipes, sockets and devices: 1",
            ]
        );
        for name in ["a.png", "inner/b.JPG"] {
            std::fs::remove_file(place(name)).unwrap();
        }
        let said = list(folder.path()).unwrap_err().to_string();
        assert!(said.contains("found files ending in .tif: 2"), "{said}");
    }

    #[test]
    fn broken_files_are_named() {
        let folder = folder();
        let place = folder.path().join("broken.png");
        for content in [
            &b""[..],
            b"<html>not found</html>",
            b"\x89PNG\r\n\x1a\n\0\0",
        ] {
            std::fs::write(&place, content).unwrap();
            for error in [read(&place).unwrap_err(), pixels(&place).unwrap_err()] {
                assert!(error.to_string().contains("broken.png"), "{error}");
            }
        }
        RgbImage::new(30, 20).save(&place).unwrap();
        assert_eq!(pixels(&place).unwrap(), 600);
        let empty = folder.path().join("none");
        std::fs::create_dir(&empty).unwrap();
        assert!(
            list(&empty)
                .unwrap_err()
                .to_string()
                .contains("no pictures")
        );
    }

    #[test]
    fn a_square_is_cut_from_the_centre() {
        let wide = RgbImage::from_fn(90, 30, |x, _| {
            if (30..60).contains(&x) {
                image::Rgb([200; 3])
            } else {
                image::Rgb([0; 3])
            }
        });
        let cut = square(&wide, 30);
        assert_eq!(cut.dimensions(), (30, 30));
        assert!(cut.pixels().all(|pixel| pixel.0 == [200; 3]));
        assert_eq!(square(&wide, 7).dimensions(), (7, 7));
        assert_eq!(square(&RgbImage::new(1, 1), 8).dimensions(), (8, 8));
    }

    #[test]
    fn a_very_long_picture_takes_no_more_memory_than_a_square() {
        let line = |width, height| {
            RgbImage::from_fn(width, height, |x, y| {
                image::Rgb([if x + y == 10_000 { 200 } else { 0 }; 3])
            })
        };
        // Enlarged as a whole, each would have 500 billion bytes.
        for picture in [line(20_001, 1), line(1, 20_001)] {
            let cut = square(&picture, 3000);
            assert_eq!(cut.dimensions(), (3000, 3000));
            assert!(cut.pixels().all(|pixel| pixel.0 == [200; 3]));
        }
    }

    /// A JPEG of two scans, with stuffed bytes, restarts and fill bytes; not all of it can be decoded.
    #[test]
    fn the_end_of_a_jpeg_is_found_behind_its_segments_and_scans() {
        let segment = |marker: u8, body: &[u8]| {
            let length = (body.len() as u16 + 2).to_be_bytes();
            [&[0xff, marker], &length[..], body].concat()
        };
        let whole = [
            vec![0xff, 0xd8],
            // A thumbnail with an end of its own.
            segment(0xe1, &[0xff, 0xd8, 1, 2, 0xff, 0xd9]),
            segment(0xda, &[1, 2]),
            vec![5, 0xff, 0, 7, 0xff, 0xd3, 9],
            vec![0xff, 0xff],
            segment(0xda, &[3]),
            vec![1, 2, 3],
            vec![0xff, 0xd9],
        ]
        .concat();
        assert!(jpeg_has_its_end(&whole));
        assert!(jpeg_has_its_end(&[&whole[..], b"more"].concat()));
        for length in 0..whole.len() {
            assert!(!jpeg_has_its_end(&whole[..length]), "{length}");
        }
    }

    #[test]
    fn unit_values_become_bytes() {
        let picture = from_unit(&[-1.0, 1.0, 0.0, 5.0], 1, 2, 2);
        let bytes: Vec<u8> = picture.pixels().map(|pixel| pixel.0[0]).collect();
        assert_eq!(bytes, [0, 255, 128, 255]);
    }
}
