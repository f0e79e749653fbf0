//! Writing the three kinds of files, each for Python 2 and 3.

use anyhow::Result;
use gan_core::failure::{Kind, at_path};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Writes a list of texts in protocol 0, to the byte as Python 2 writes a list of `unicode`.
///
/// # Errors
/// [`Kind::Disk`] when the file cannot be written.
pub fn write_strings(path: &Path, texts: &[String]) -> Result<()> {
    to_file(path, |out| {
        out.write_all(b"(lp0\n")?;
        for (index, text) in texts.iter().enumerate() {
            out.write_all(b"V")?;
            for character in text.chars() {
                match u32::from(character) {
                    // Those that end a line, a text or a file somewhere.
                    unit @ (0 | 0x0a | 0x0d | 0x1a | 0x5c | 0x100..=0xffff) => {
                        write!(out, "\\u{unit:04x}")?;
                    }
                    unit @ 0x1_0000.. => write!(out, "\\U{unit:08x}")?,
                    unit => out.write_all(&[unit as u8])?,
                }
            }
            write!(out, "\np{}\na", index + 1)?;
        }
        out.write_all(b".")
    })
}

/// Writes a list of whole numbers in protocol 0, to the byte as Python 2 writes it. Numbers beyond 32 bits are `long`
/// in Python 2 on Windows.
///
/// # Errors
/// [`Kind::Disk`] when the file cannot be written.
pub fn write_integers(path: &Path, numbers: &[i64]) -> Result<()> {
    to_file(path, |out| {
        out.write_all(b"(lp0\n")?;
        for number in numbers {
            write!(out, "I{number}\na")?;
        }
        out.write_all(b".")
    })
}

/// Writes embeddings of `shape` (pictures, captions, width) as a list of float32 arrays `[captions, width]` in
/// protocol 2: `pickle.load(file)` in Python 2, `pickle.load(file, encoding="latin1")` in Python 3, numpy 1 or 2.
///
/// # Errors
/// [`Kind::Disk`] when the file cannot be written.
///
/// # Panics
/// If the product of `shape` is not the number of values, or a picture has 2 GiB of them.
pub fn write_embeddings(path: &Path, shape: [usize; 3], values: &[f32]) -> Result<()> {
    const SIGNED: &str = "the embeddings of one picture have less than 2 GiB";
    let [count, captions, width] = shape;
    assert_eq!(
        count * captions * width,
        values.len(),
        "shape {shape:?} of {} values",
        values.len()
    );
    let [rows, columns, bytes] =
        [captions, width, 4 * captions * width].map(|size| i32::try_from(size).expect(SIGNED));
    to_file(path, |out| {
        out.write_all(b"\x80\x02](")?;
        for index in 0..count {
            if index == 0 {
                out.write_all(
                    b"cnumpy.core.multiarray\n_reconstruct\nq\x00cnumpy\nndarray\nq\x01",
                )?;
            } else {
                out.write_all(b"h\x00h\x01")?;
            }
            // _reconstruct(ndarray, (0,), "b"), and its state: version, shape, type, no Fortran order, bytes.
            out.write_all(b"K\x00\x85U\x01b\x87R(K\x01J")?;
            out.write_all(&rows.to_le_bytes())?;
            out.write_all(b"J")?;
            out.write_all(&columns.to_le_bytes())?;
            out.write_all(b"\x86")?;
            if index == 0 {
                out.write_all(b"cnumpy\ndtype\nU\x02f4K\x00K\x01\x87Rq\x02(K\x03U\x01<NNN")?;
                out.write_all(b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb")?;
            } else {
                out.write_all(b"h\x02")?;
            }
            out.write_all(b"\x89T")?;
            out.write_all(&bytes.to_le_bytes())?;
            let size = captions * width;
            for value in &values[index * size..][..size] {
                out.write_all(&value.to_le_bytes())?;
            }
            out.write_all(b"tb")?;
        }
        out.write_all(b"e.")
    })
}

fn to_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> Result<()> {
    let written = || -> std::io::Result<()> {
        let mut out = BufWriter::with_capacity(1 << 16, File::create(path)?);
        write(&mut out)?;
        out.into_inner()?.sync_all()
    };
    written().map_err(|error| at_path(Kind::Disk, "write", path, &error))
}
