//! Pictures from bytes, with the pixels that Pillow's `Image.open(file).convert("RGB")` gives.
//!
//! Every reference tool reads its pictures that way (pytorch-fid 0.3.0, torch-fidelity 0.4.0, clean-fid
//! 0.1.35), so one level of difference here is a difference of the metric. The rules, checked against
//! Pillow 13.0.0 with libjpeg-turbo 3.2.0 and libwebp 1.6.0:
//!
//! | file | pixels |
//! | --- | --- |
//! | JPEG | libjpeg's accurate integer transform and smooth upsampling; CMYK by `(255 - c) (255 - k) / 255` |
//! | alpha, or one colour named transparent | dropped, not composited |
//! | grey | copied to three channels |
//! | palette | looked up; an index without a colour is black |
//! | 1, 2, 4 bits | stretched to 0..255 |
//! | 16 bits RGB, grey with alpha | the high byte |
//! | 16 bits grey | **clipped**: everything above 255 is white ([`Picture::clipped`]) |
//! | orientation, gamma, colour profile | ignored |
//! | animation | its first frame |
//! | BMP of 16 bits | up to one level apart from Pillow's |
//!
//! The format is told by content, not by name. A file that ends early is an error, also where Pillow
//! leaves the rest black.

mod jpeg;
mod netpbm;
mod png;
mod tiff;

use crate::failure::{Kind, failure};
use anyhow::Result;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};
use std::collections::BTreeMap;
use std::io::Cursor;

/// Most pixels of one picture: the count above which Pillow refuses to open a file.
pub const MAX_PIXELS: u64 = 178_956_970;
/// Most pixels of a side; tables of weights grow with it.
pub const MAX_SIDE: u64 = 65_535;
/// Most memory that one picture's samples may take before they are made RGB, in bytes.
const MAX_RAW: u64 = 1 << 30;

/// A picture of eight bits a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels of a row, at least 1.
    pub width: usize,
    /// Rows, at least 1.
    pub height: usize,
    /// Red, green and blue of every pixel, row by row: `height * width * 3` bytes.
    pub pixels: Vec<u8>,
    /// Whether the file has transparency, which was dropped.
    pub had_alpha: bool,
    /// Whether the file is grey with more than eight bits, of which Pillow keeps only the values up to 255.
    pub clipped: bool,
}

/// What a set of pictures has in common, for warnings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// How many pictures have which width and height, in pixels.
    pub sizes: BTreeMap<(usize, usize), usize>,
    /// How many had transparency, which was dropped.
    pub with_alpha: usize,
    /// How many were grey with more than eight bits and lost everything above 255.
    pub clipped: usize,
}

impl Survey {
    /// Counts one picture.
    pub fn note(&mut self, picture: &Picture) {
        *self
            .sizes
            .entry((picture.width, picture.height))
            .or_default() += 1;
        self.with_alpha += usize::from(picture.had_alpha);
        self.clipped += usize::from(picture.clipped);
    }

    /// Adds what another part of the same set has.
    pub fn merge(&mut self, other: &Self) {
        for (size, count) in &other.sizes {
            *self.sizes.entry(*size).or_default() += count;
        }
        self.with_alpha += other.with_alpha;
        self.clipped += other.clipped;
    }

    /// Whether there are pictures of more than one size; pytorch-fid and torch-fidelity fail on such a set.
    pub fn has_mixed_sizes(&self) -> bool {
        self.sizes.len() > 1
    }
}

/// Decodes one picture.
///
/// # Errors
/// A [`Kind::Data`] failure in one sentence, without the file's name, when the bytes are not a picture of a
/// known format, are broken or end early, or when the picture has more than [`MAX_PIXELS`] pixels or a side of
/// more than [`MAX_SIDE`].
pub fn decode(bytes: &[u8]) -> Result<Picture> {
    match bytes {
        [0xff, 0xd8, 0xff, ..] => jpeg::decode(bytes),
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => png::decode(bytes),
        [b'B', b'M', ..] => generic(bytes, ImageFormat::Bmp),
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => tiff::decode(bytes),
        [b'P', b'1'..=b'6', space, ..] if space.is_ascii_whitespace() => netpbm::decode(bytes),
        _ if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") => {
            generic(bytes, ImageFormat::WebP)
        }
        [] => Err(broken("the file is empty")),
        _ => {
            let seen = image::guess_format(bytes).map_or_else(
                |_| "the content is no picture of a known format".to_owned(),
                |format| format!("{format:?} pictures are not read"),
            );
            Err(broken(format!(
                "{seen}; expected PNG, JPEG, WebP, BMP, TIFF, PGM or PPM"
            )))
        }
    }
}

fn broken(what: impl Into<String>) -> anyhow::Error {
    failure(Kind::Data, what)
}

/// Refuses sizes that no file of `length` bytes can hold, before anything is allocated for them.
///
/// `fewest` is the smallest number of bytes that the format needs for such a picture.
fn check_size(width: u64, height: u64, fewest: u64, length: usize) -> Result<()> {
    if width == 0 || height == 0 {
        return Err(broken(format!("the picture is empty: {width} x {height}")));
    }
    if width.saturating_mul(height) > MAX_PIXELS || width.max(height) > MAX_SIDE {
        return Err(broken(format!(
            "{width} x {height} pixels are more than {MAX_PIXELS}, or a side is longer than {MAX_SIDE}: \
             scale the picture down"
        )));
    }
    if fewest > length as u64 {
        return Err(broken(format!(
            "the file ends early: {length} bytes cannot hold {width} x {height} pixels"
        )));
    }
    Ok(())
}

/// Pillow's CMYK to RGB, for one pixel with 0 for no ink.
fn ink_to_light([cyan, magenta, yellow, black]: [u8; 4]) -> [u8; 3] {
    let paper = 255 - i32::from(black);
    [cyan, magenta, yellow].map(|ink| {
        let product = i32::from(ink) * paper + 128;
        let share = (product + (product >> 8)) >> 8;
        (paper - share).clamp(0, 255) as u8
    })
}

/// The formats whose decoders in the crate `image` agree with Pillow.
fn generic(bytes: &[u8], format: ImageFormat) -> Result<Picture> {
    let unreadable = |error: image::ImageError| broken(format!("not a readable picture: {error}"));
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MAX_RAW);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(unreadable)?;
    let (width, height) = decoder.dimensions();
    check_size(width.into(), height.into(), 0, bytes.len())?;
    let picture = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    let had_alpha = picture.color().has_alpha();
    Ok(Picture {
        width: width as usize,
        height: height as usize,
        had_alpha,
        clipped: false,
        pixels: match picture {
            DynamicImage::ImageRgb8(pixels) => pixels.into_raw(),
            DynamicImage::ImageRgba8(pixels) => without_last(pixels.as_raw()),
            other => other.to_rgb8().into_raw(),
        },
    })
}

/// Three of every four bytes.
fn without_last(samples: &[u8]) -> Vec<u8> {
    each::<4>(samples, |[red, green, blue, _]| [red, green, blue])
}

/// A pixel of every `BYTES` bytes.
fn each<const BYTES: usize>(samples: &[u8], pixel: impl Fn([u8; BYTES]) -> [u8; 3]) -> Vec<u8> {
    let (samples, _) = samples.as_chunks::<BYTES>();
    let mut pixels = vec![0; 3 * samples.len()];
    let (places, _) = pixels.as_chunks_mut::<3>();
    for (place, sample) in places.iter_mut().zip(samples) {
        *place = pixel(*sample);
    }
    pixels
}

/// The colours of indices of `depth` bits, the first index of a byte in its highest bits.
fn looked_up(
    samples: &[u8],
    line: usize,
    width: usize,
    depth: u8,
    table: &[[u8; 3]; 256],
) -> Vec<u8> {
    let depth = usize::from(depth);
    let in_a_byte = 8 / depth;
    let mask = ((1u16 << depth) - 1) as u8;
    let mut pixels = Vec::with_capacity(samples.len() * in_a_byte * 3);
    for row in samples.chunks_exact(line) {
        for at in 0..width {
            let shift = 8 - depth * (at % in_a_byte + 1);
            let index = (row[at / in_a_byte] >> shift) & mask;
            pixels.extend_from_slice(&table[usize::from(index)]);
        }
    }
    pixels
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::png::{BitDepth, ColorType};
    use image::ImageEncoder;

    // `Image.fromarray(a).save(file, quality=60, ...)` by Pillow 13, where `a` is
    // `((x*11 + y*7 + c*80 + (x//4)*(y//3)*9) % 256).astype(np.uint8)` over `np.mgrid[0:13, 0:19, 0:3]`:
    // subsampling 2; subsampling 1 and progressive; grey; CMYK with subsampling 2; WebP; WebP with alpha.
    const HALVED: &str = "ffd8ffe000104a46494600010100000100010000ffdb0043000d090a0b0a080d0b0a0b0e0e0d0f132015131212\
         13271c1e17202e2931302e292d2c333a4a3e333646372c2d405741464c4e525352323e5a615a50604a51524fff\
         db0043010e0e0e131113261515264f352d354f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f\
         4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4fffc0001108000d001303012200021101031101ffc400\
         190000020301000000000000000000000000000402030506ffc400241000020202000505010000000000000000\
         0102031100040512213151142241819192ffc400160101010100000000000000000000000000030102ffc40028\
         1100010203040b0000000000000000000001030400021105123171141521324151536191a1d1ffda000c030100\
         02110311003f008f0cd4e5514beef8c6b6f888d4b4d2910ba1759d9d4dc6474157d09bbf397897d0e86ced2a2b\
         b42142ab76b26acfee64c1ae8f23c0052c4013e1ac5f6c93cba6b998a9b926ca6589816a9a69225c282bc00e67\
         be58c2a200a2a3d67751d98c805fd5619d747c290c60f38fe70c0d70dba67cc6cda6f49adff43e47ffd9";
    const PROGRESSIVE: &str = "ffd8ffe000104a46494600010100000100010000ffdb0043000d090a0b0a080d0b0a0b0e0e0d0f132015131212\
         13271c1e17202e2931302e292d2c333a4a3e333646372c2d405741464c4e525352323e5a615a50604a51524fff\
         db0043010e0e0e131113261515264f352d354f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f\
         4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4fffc2001108000d001303012100021101031101ffc400\
         1800000301010000000000000000000000000004050103ffc40017010003010000000000000000000000000002\
         030405ffda000c03010002100310000001cea2b48aa9a0a4e8a46727ffc4001a10000105010000000000000000\
         0000000002000103111221ffda00080101000105028c5149954af00c3d68b9ffc4001e11000104010500000000\
         000000000000000100020421030511123151ffda0008010301013f018f8c38df48ea174d4d3c6393ed2d97ffc4\
         001f11000201020700000000000000000000000003010213042123334152f0ffda0008010201013f01c46ab617\
         c416856e5757b22f33b49fffc4001e100001020701000000000000000000000000025101101121226171a1ffda\
         0008010100063f02308f74593e8a5314697fffc4001b1001000203010100000000000000000000010011213141\
         a151ffda0008010100013f21acd666a8596348c7627d8c3416b43095cfa81d793fffda000c0301000200030000\
         00102ffeffc4001d1100020104030000000000000000000000011100213171a14151e1ffda0008010301013f10\
         7bb553880041833e444721a3dda2753fffc4001c1101000202030100000000000000000000010021117141a1d1\
         f0ffda0008010201013f10cf606df8856d974f0be22ee7b19fffc4001c10010100020203000000000000000000\
         00011100312151618191ffda0008010100013f10993c1876ebb554704bc2dbde0441da40bea612ca0d0ab2bf70\
         b64117aa2eb1619c7fffd9";
    const GREY: &str = "ffd8ffe000104a46494600010100000100010000ffdb0043000d090a0b0a080d0b0a0b0e0e0d0f132015131212\
         13271c1e17202e2931302e292d2c333a4a3e333646372c2d405741464c4e525352323e5a615a50604a51524fff\
         c0000b08000d001301011100ffc40017000003010000000000000000000000000002050604ffc4002410000202\
         020005050100000000000000000102031100040512213151142241819192ffda0008010100003f001e19a9caa2\
         97ddf19ab6f888d4b4d2910ba1759d9d4dc6474157d09bbf38984014547aceea3b31900bfaaca012fa1d0d9da5\
         45768428556ed64d59fdc5306ba3c8f0014b1004f86b17db2923e14863079c7f39ffd9";
    const INKS: &str = "ffd8ffee000e41646f626500640000000000ffdb0043000d090a0b0a080d0b0a0b0e0e0d0f1320151312121327\
         1c1e17202e2931302e292d2c333a4a3e333646372c2d405741464c4e525352323e5a615a50604a51524fffc000\
         1408000d0013044322004d11005911004b1100ffc4001a00000202030000000000000000000000000002040603\
         0507ffc400291000010303020503050000000000000000010203040005111231061321415122618107325271c1\
         ffda000e0443004d0059004b00003f00acd9a06ac74daaf3121478309c9935c0cc7653a96b511803fa7b003a93\
         5ade1c8a85673edda978ca6aa55d97646c2d9662639ba5674bfa92858d49dbd276ce7e2a44d71f8488b6bb72c3\
         7224a398e3a3214da3574d276c92950fd0f7a796d2af77f7da7565306dea536947605390b511dce41f8c574eac\
         b278d986642db8567764c741c21e5490d958f3a749c0f1df1e36a286acac72d3f66df80a29d1f4fdbd09f40dbc\
         8a882f36bc0c5a6491db2e228affd9";
    const LOSSY: &str = "52494646ee0000005745425056503820e20000001006009d012a13000d003eb5489e49a72422a1300800e01689\
         6c009d32847022c0aa00b8ffd300e791f62afdb52364127f7ade486cfb84871400feac00319d0801cfab0188b8\
         ca71a4ddfc26bd6d1adcff59e92ae374b8c68547da0f092b6d3b544696183fc45e8b0d6e9d4f712cb76ce60250\
         ffab430b2a317c71ff1313b5518c3533f6af4737e30b9ff7fe68dea23ce4ab13c3f6e45caefca972e65e3e749f\
         effdd75450d7892d7a6199438c1565943d909fc7cf158b713e5dffd5dbf89dfd589fe8fefd3dffa4643e3a07f2\
         6be6eb77ff8d4eee4b7fc9491e6cb657bf68ab8000";
    const LOSSY_ALPHA: &str = "524946464201000057454250565038580a000000100000001200000c0000414c5048380000000d60144992a25a\
         e6e7992017e7dfd680828850d8b60d5218ef1196820d05d518d2bc69b202e9884d1d9fd8c4edf17671ebdeeccd\
         e207060056503820e40000007005009d012a13000d003eb5489e49a72422a1300800e016896c009d32847022c0\
         5b0073d1fb111112093fbd6f234b47f0278a0000feac00319d0801cfab0188b8ca71a4ddfc26bd6d1adcff59e9\
         2ae374b8c68547da0f092b6d3b544696183fc45e8b0d6e9d4f712cb76ce6094d6e1ddefdc9973f99a4e262bd8b\
         0d5173eda0e89fa4605333a5f86fc37baf9e4d39f72e2613fcab8627fa1cd447c1c1e514610033c8714292bc43\
         b00ea6c6b717d85411479e6f3a9d87f97738dfe2d5866dfc4e36dff0715078317fc76ff60aaff3ff5ffa7fcff2\
         80831ffe4a1397365dde3416000000";

    fn from_hex(text: &str) -> Vec<u8> {
        let digit = |byte: u8| (byte as char).to_digit(16).unwrap() as u8;
        let (pairs, _) = text.as_bytes().as_chunks::<2>();
        pairs
            .iter()
            .map(|[high, low]| digit(*high) * 16 + digit(*low))
            .collect()
    }

    /// `(a.ravel() * (np.arange(a.size) % 251 + 1)).sum()` of Pillow's pixels, and three of them.
    #[test]
    fn lossy_pictures_have_pillows_pixels() {
        let expected = [
            (
                HALVED,
                11_786_061,
                [[11, 76, 130], [84, 82, 0], [151, 245, 63]],
            ),
            (
                PROGRESSIVE,
                11_784_460,
                [[0, 79, 162], [103, 66, 13], [157, 241, 68]],
            ),
            (
                GREY,
                12_018_921,
                [[63, 63, 63], [71, 71, 71], [196, 196, 196]],
            ),
            (
                INKS,
                11_917_516,
                [[0, 88, 176], [192, 139, 78], [166, 230, 56]],
            ),
            (
                LOSSY,
                11_847_739,
                [[0, 84, 161], [104, 60, 20], [174, 250, 74]],
            ),
            (
                LOSSY_ALPHA,
                11_867_213,
                [[0, 83, 163], [96, 63, 24], [169, 252, 76]],
            ),
        ];
        for (file, sum, pixels) in expected {
            let picture = decode(&from_hex(file)).unwrap();
            assert_eq!((picture.width, picture.height), (19, 13));
            let at = |x: usize, y: usize| &picture.pixels[3 * (y * 19 + x)..][..3];
            assert_eq!(
                [at(0, 0), at(9, 6), at(18, 12)],
                pixels.each_ref().map(|p| &p[..])
            );
            let weighted = picture.pixels.iter().enumerate();
            let weighted =
                weighted.map(|(index, byte)| u64::from(*byte) * (index as u64 % 251 + 1));
            assert_eq!(weighted.sum::<u64>(), sum);
            assert_eq!(picture.had_alpha, file == LOSSY_ALPHA);
        }
    }

    fn png_of(width: u32, kind: ColorType, depth: BitDepth, samples: &[u8]) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = ::png::Encoder::new(&mut file, width, 1);
        encoder.set_color(kind);
        encoder.set_depth(depth);
        if kind == ColorType::Indexed {
            encoder.set_palette(&[10, 20, 30, 40, 50, 60][..]);
            encoder.set_trns(&[0, 128][..]);
        }
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(samples).unwrap();
        writer.finish().unwrap();
        file
    }

    /// What `Image.open(file).convert("RGB")` of Pillow 13 gives for the same samples.
    #[test]
    fn png_samples_become_what_pillow_makes_of_them() {
        use BitDepth::{Eight, Four, One, Sixteen, Two};
        use ColorType::{Grayscale, GrayscaleAlpha, Indexed, Rgb, Rgba};
        let deep = [0x00, 0x12, 0x01, 0x00, 0x80, 0x34, 0xff, 0xff];
        let grey = |values: &[u8]| -> Vec<u8> { values.iter().flat_map(|v| [*v; 3]).collect() };
        let colours = [10, 20, 30, 40, 50, 60];
        let cases = [
            (
                4,
                Grayscale,
                Sixteen,
                &deep[..],
                grey(&[0x12, 255, 255, 255]),
            ),
            (2, GrayscaleAlpha, Sixteen, &deep, grey(&[0, 0x80])),
            (1, Rgba, Sixteen, &deep, vec![0, 1, 0x80]),
            (1, Rgb, Sixteen, &deep[..6], vec![0, 1, 0x80]),
            (
                2,
                Rgba,
                Eight,
                &deep,
                vec![0x00, 0x12, 0x01, 0x80, 0x34, 0xff],
            ),
            (2, GrayscaleAlpha, Eight, &deep[..4], grey(&[0, 1])),
            (3, Grayscale, One, &[0b1010_0000], grey(&[255, 0, 255])),
            (4, Grayscale, Two, &[0b0001_1011], grey(&[0, 85, 170, 255])),
            (3, Grayscale, Four, &[0x07, 0xa0], grey(&[0, 119, 170])),
            (2, Indexed, One, &[0b0100_0000], colours.to_vec()),
            (
                3,
                Indexed,
                Eight,
                &[0, 1, 200],
                [&colours[..], &[0; 3]].concat(),
            ),
        ];
        for (width, kind, depth, samples, expected) in cases {
            let picture = decode(&png_of(width, kind, depth, samples)).unwrap();
            assert_eq!(picture.pixels, expected, "{kind:?} {depth:?}");
            let transparent = matches!(kind, GrayscaleAlpha | Rgba | Indexed);
            assert_eq!(picture.had_alpha, transparent, "{kind:?}");
            assert_eq!(picture.clipped, (kind, depth) == (Grayscale, Sixteen));
        }
    }

    /// Checked against Pillow 13 as well: values are scaled by Python's `round`, deep grey is clipped.
    #[test]
    fn plain_and_raw_maps_agree() {
        let grey = |values: &[u8]| -> Vec<u8> { values.iter().flat_map(|v| [*v; 3]).collect() };
        let cases: [(&[u8], Vec<u8>); 9] = [
            (b"P5 3 1 100\n\x00\x32\x64", grey(&[0, 128, 255])),
            (
                b"P2\n# hi\n3 1\n#x\n255\n0 # c\n 50 100\n",
                grey(&[0, 50, 100]),
            ),
            (b"P5 2 1 65535\n\x00\x07\x01\x2c", grey(&[7, 255])),
            (b"P5 2 1 1023\n\x00\x01\x00\x09", grey(&[64, 255])),
            (b"P6 1 1 65535\n\x01\x2c\x03\xff\xff\xff", vec![1, 4, 255]),
            (
                b"P6 2 1 100\n\x00\x32\x64\x21\x01\x63",
                vec![0, 128, 255, 84, 3, 252],
            ),
            (b"P3 1 1 255\n1 2 3", vec![1, 2, 3]),
            (b"P4 8 1\n\xb2", grey(&[0, 255, 0, 0, 255, 255, 0, 255])),
            (b"P1 4 1\n01 1#c\n0", grey(&[255, 0, 0, 255])),
        ];
        for (file, expected) in cases {
            let text = String::from_utf8_lossy(file).into_owned();
            assert_eq!(decode(file).unwrap().pixels, expected, "{text}");
        }
    }

    /// Small files of every format.
    fn samples() -> Vec<(&'static str, Vec<u8>)> {
        let pixels: Vec<u8> = (0..19 * 13 * 4)
            .map(|index| (index * 7 % 256) as u8)
            .collect();
        let mut bmp = Vec::new();
        let encoder = image::codecs::bmp::BmpEncoder::new(&mut bmp);
        let kind = image::ExtendedColorType::Rgb8;
        encoder
            .write_image(&pixels[..19 * 13 * 3], 19, 13, kind)
            .unwrap();
        let mut webp = Vec::new();
        let encoder = image::codecs::webp::WebPEncoder::new_lossless(&mut webp);
        let kind = image::ExtendedColorType::Rgba8;
        encoder.write_image(&pixels, 19, 13, kind).unwrap();
        let mut tiff = std::io::Cursor::new(Vec::new());
        ::tiff::encoder::TiffEncoder::new(&mut tiff)
            .unwrap()
            .write_image::<::tiff::encoder::colortype::RGB8>(19, 13, &pixels[..19 * 13 * 3])
            .unwrap();
        let maps = [&b"P6 19 13 255\n"[..], &pixels[..19 * 13 * 3]].concat();
        vec![
            ("jpeg", from_hex(HALVED)),
            ("progressive", from_hex(PROGRESSIVE)),
            ("inks", from_hex(INKS)),
            ("lossy webp", from_hex(LOSSY)),
            ("alpha webp", from_hex(LOSSY_ALPHA)),
            ("webp", webp),
            (
                "png",
                png_of(200, ColorType::Rgb, BitDepth::Eight, &pixels[..600]),
            ),
            (
                "palette",
                png_of(200, ColorType::Indexed, BitDepth::Eight, &pixels[..200]),
            ),
            ("bmp", bmp),
            ("tiff", tiff.into_inner()),
            ("map", maps),
            (
                "plain map",
                b"P3 2 2 255\n1 2 3 4 5 6 7 8 9 10 11 12".to_vec(),
            ),
        ]
    }

    #[test]
    fn samples_are_pictures() {
        for (name, file) in samples() {
            let picture = decode(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(picture.pixels.len(), 3 * picture.width * picture.height);
        }
    }

    /// Numbers from nothing but a seed (splitmix64).
    struct Draws(u64);

    impl Draws {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((mixed ^ (mixed >> 31)) % end as u64) as usize
        }
    }

    /// The sums of a PNG file's chunks made right again, so that damage gets past them.
    fn mend_sums(file: &mut [u8]) {
        let mut at = 8;
        while let Some(length) = file.get(at..at + 4) {
            let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
            let end = at.saturating_add(8).saturating_add(length);
            let Some(chunk) = file.get(at + 4..end) else {
                return;
            };
            let mut sum = u32::MAX;
            for byte in chunk {
                sum ^= u32::from(*byte);
                for _ in 0..8 {
                    sum = (sum >> 1) ^ (0xedb8_8320 * (sum & 1));
                }
            }
            let Some(place) = file.get_mut(end..end + 4) else {
                return;
            };
            place.copy_from_slice(&(!sum).to_be_bytes());
            at = end + 4;
        }
    }

    #[test]
    fn damaged_files_are_errors_or_pictures() {
        let mut draws = Draws(1);
        for (name, file) in samples() {
            let mut refused = 0;
            for _ in 0..3000 {
                let mut copy = file.clone();
                match draws.below(4) {
                    0 => copy.truncate(draws.below(copy.len())),
                    1 => {
                        let at = draws.below(copy.len());
                        copy.remove(at);
                    }
                    _ => {
                        for _ in 0..=draws.below(6) {
                            // Half of the damage goes to the header.
                            let end = if draws.below(2) == 0 { 64 } else { copy.len() };
                            let at = draws.below(end.min(copy.len()));
                            copy[at] ^= 1 << draws.below(8);
                        }
                    }
                }
                if name == "png" || name == "palette" {
                    mend_sums(&mut copy);
                }
                match decode(&copy) {
                    Ok(picture) => {
                        let pixels = picture.width * picture.height;
                        assert!(pixels > 0 && pixels as u64 <= MAX_PIXELS, "{name}");
                        assert_eq!(picture.pixels.len(), 3 * pixels, "{name}");
                    }
                    Err(error) => {
                        refused += 1;
                        let text = error.to_string();
                        assert!(text.len() < 300 && !text.contains('\n'), "{name}: {text}");
                    }
                }
            }
            assert!(refused > 300, "{name}: {refused} refused");
        }
    }

    #[test]
    fn files_that_end_early_are_refused() {
        for (name, file) in samples() {
            for share in [3, 5, 7] {
                let part = &file[..file.len() * share / 9];
                assert!(decode(part).is_err(), "{name} {share}/9");
            }
        }
    }

    #[test]
    fn sizes_are_refused_before_memory_is_taken() {
        let mut jpeg = from_hex(PROGRESSIVE);
        let at = jpeg
            .windows(2)
            .position(|pair| pair == [0xff, 0xc2])
            .unwrap();
        for (size, reason) in [([0x80; 4], "more than"), ([0x20; 4], "ends early")] {
            jpeg[at + 5..at + 9].copy_from_slice(&size);
            let error = decode(&jpeg).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
        let mut png = png_of(3, ColorType::Rgb, BitDepth::Eight, &[0; 9]);
        png[16..24].copy_from_slice(&[0, 0, 0x40, 0, 0, 0, 0x20, 0]);
        mend_sums(&mut png);
        let error = decode(&png).unwrap_err().to_string();
        assert!(error.contains("ends early"), "{error}");
        let error = decode(b"P5 100000 100000 255\n").unwrap_err().to_string();
        assert!(error.contains("more than"), "{error}");
        let error = decode(b"P5 1 70000 255\n").unwrap_err().to_string();
        assert!(error.contains("a side is longer"), "{error}");
        let error = decode(b"P5 10000 10000 255\n").unwrap_err().to_string();
        assert!(error.contains("ends early"), "{error}");
    }

    #[test]
    fn other_content_is_named() {
        for (content, reason) in [
            (&b""[..], "empty"),
            (b"GIF89a...........", "Gif pictures are not read"),
            (b"<html>", "no picture"),
            (b"\xff\xd8\xff\xd9", "JPEG"),
        ] {
            let error = decode(content).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_survey_counts() {
        let mut survey = Survey::default();
        let picture = decode(&from_hex(HALVED)).unwrap();
        survey.note(&picture);
        assert!(!survey.has_mixed_sizes());
        let mut other = Survey::default();
        other.note(&decode(b"P5 2 1 65535\n\x00\x07\x01\x2c").unwrap());
        other.note(&decode(&from_hex(LOSSY_ALPHA)).unwrap());
        survey.merge(&other);
        assert!(survey.has_mixed_sizes());
        assert_eq!(survey.sizes[&(19, 13)], 2);
        assert_eq!((survey.with_alpha, survey.clipped), (1, 1));
    }
}
