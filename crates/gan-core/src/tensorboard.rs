//! Event files that TensorBoard reads, written without TensorFlow: TFRecord frames around hand-encoded `Event`
//! messages.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::failure::{Kind, at_path};
use anyhow::{Context, Result};

/// The first record of every event file; TensorBoard chooses how to treat restarts by it.
const FILE_VERSION: &str = "brain.Event:2";

/// Appends scalars and images to one event file.
///
/// What was written reaches the disk at [`EventWriter::flush`], or when the writer is dropped (an error is then lost).
#[derive(Debug)]
pub struct EventWriter {
    path: PathBuf,
    file: BufWriter<File>,
}

impl EventWriter {
    /// Makes the folder `dir` where it is missing and starts a new event file in it, named
    /// `events.out.tfevents.<first_step, ten digits>.<n>` with the first `n` that is free: no file is ever overwritten.
    ///
    /// `first_step` is the step the training stands at; what is logged here comes after it. Where it
    /// is above 0, as after a resume, the file opens with a mark that makes TensorBoard forget what
    /// earlier files of the folder say about later steps.
    ///
    /// # Errors
    ///
    /// A folder or file that cannot be made or written.
    pub fn create(dir: &Path, first_step: u64) -> Result<Self> {
        fs::create_dir_all(dir)
            .with_context(|| format!("cannot make the folder {}", dir.display()))?;
        let mut attempt = 0u64;
        let (path, file) = loop {
            let path = dir.join(format!("events.out.tfevents.{first_step:010}.{attempt}"));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => break (path, file),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => attempt += 1,
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot make {}", path.display()));
                }
            }
        };
        let mut writer = Self {
            path,
            file: BufWriter::new(file),
        };
        let mut version = event_head(0);
        put_bytes(&mut version, 3, FILE_VERSION.as_bytes());
        writer.record(&version)?;
        if first_step > 0 {
            let mut session_log = Vec::new();
            put_integer(&mut session_log, 1, 1);
            let mut restart = event_head(first_step.saturating_add(1));
            put_bytes(&mut restart, 7, &session_log);
            writer.record(&restart)?;
        }
        writer.flush()?;
        Ok(writer)
    }

    /// Logs `value` under `name` (a `/` in it makes groups) at `step`. Values that are not finite are kept as they are.
    ///
    /// # Errors
    ///
    /// A file that cannot be written.
    pub fn scalar(&mut self, step: u64, name: &str, value: f32) -> Result<()> {
        let mut summary_value = Vec::new();
        put_bytes(&mut summary_value, 1, name.as_bytes());
        put_key(&mut summary_value, 2, WireType::Fixed32);
        summary_value.extend_from_slice(&value.to_le_bytes());
        self.summary(step, &summary_value)
    }

    /// Logs a picture under `name` at `step`: `png` holds a whole PNG file of `width` x `height` pixels.
    ///
    /// # Errors
    ///
    /// A file that cannot be written. Whether `png` is a PNG of that size is not checked.
    pub fn image(
        &mut self,
        step: u64,
        name: &str,
        png: &[u8],
        width: u32,
        height: u32,
    ) -> Result<()> {
        /// TensorBoard's code for red, green and blue.
        const COLOURS: u64 = 3;
        let mut image = Vec::with_capacity(png.len() + 32);
        put_integer(&mut image, 1, u64::from(height));
        put_integer(&mut image, 2, u64::from(width));
        put_integer(&mut image, 3, COLOURS);
        put_bytes(&mut image, 4, png);
        let mut summary_value = Vec::with_capacity(image.len() + name.len() + 16);
        put_bytes(&mut summary_value, 1, name.as_bytes());
        put_bytes(&mut summary_value, 4, &image);
        self.summary(step, &summary_value)
    }

    /// Hands everything logged so far to the operating system, so that a running TensorBoard sees it.
    ///
    /// # Errors
    ///
    /// A file that cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        self.file
            .flush()
            .map_err(|error| at_path(Kind::Disk, "write", &self.path, &error))
    }

    fn summary(&mut self, step: u64, summary_value: &[u8]) -> Result<()> {
        let mut summary = Vec::with_capacity(summary_value.len() + 8);
        put_bytes(&mut summary, 1, summary_value);
        let mut event = event_head(step);
        put_bytes(&mut event, 5, &summary);
        self.record(&event)
    }

    fn record(&mut self, event: &[u8]) -> Result<()> {
        let length = (event.len() as u64).to_le_bytes();
        let mut frame = Vec::with_capacity(event.len() + 16);
        frame.extend_from_slice(&length);
        frame.extend_from_slice(&masked_crc32c(&length).to_le_bytes());
        frame.extend_from_slice(event);
        frame.extend_from_slice(&masked_crc32c(event).to_le_bytes());
        self.file
            .write_all(&frame)
            .map_err(|error| at_path(Kind::Disk, "write", &self.path, &error))
    }
}

#[derive(Clone, Copy)]
enum WireType {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

fn event_head(step: u64) -> Vec<u8> {
    // A clock before 1970 only spoils the wall-clock axis; it is no reason to stop a training.
    let seconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |elapsed| elapsed.as_secs_f64());
    let mut event = Vec::new();
    put_key(&mut event, 1, WireType::Fixed64);
    event.extend_from_slice(&seconds.to_le_bytes());
    put_integer(&mut event, 2, step);
    event
}

fn put_varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

fn put_key(message: &mut Vec<u8>, field: u64, wire_type: WireType) {
    put_varint(message, field << 3 | wire_type as u64);
}

fn put_integer(message: &mut Vec<u8>, field: u64, value: u64) {
    put_key(message, field, WireType::Varint);
    put_varint(message, value);
}

fn put_bytes(message: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_key(message, field, WireType::Bytes);
    put_varint(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

const fn crc32c_table() -> [u32; 256] {
    let mut table = [0u32; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            remainder = if remainder & 1 == 1 {
                (remainder >> 1) ^ 0x82f6_3b78
            } else {
                remainder >> 1
            };
            bit += 1;
        }
        table[byte] = remainder;
        byte += 1;
    }
    table
}

const CRC32C_TABLE: [u32; 256] = crc32c_table();

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |remainder, &byte| {
        (remainder >> 8) ^ CRC32C_TABLE[((remainder ^ u32::from(byte)) & 0xff) as usize]
    })
}

/// TFRecord stores checksums rotated and shifted, because a checksum of data that holds checksums is weak.
fn masked_crc32c(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    enum Field {
        Varint(u64, u64),
        Fixed64(u64, [u8; 8]),
        Bytes(u64, Vec<u8>),
        Fixed32(u64, [u8; 4]),
    }

    fn take_varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        let mut shift = 0;
        loop {
            let (&byte, rest) = bytes.split_first().unwrap();
            *bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }

    fn fields(mut bytes: &[u8]) -> Vec<Field> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = take_varint(&mut bytes);
            let number = key >> 3;
            let length = match key & 7 {
                0 => {
                    fields.push(Field::Varint(number, take_varint(&mut bytes)));
                    continue;
                }
                1 => 8,
                2 => take_varint(&mut bytes) as usize,
                5 => 4,
                other => panic!("wire type {other}"),
            };
            let (value, rest) = bytes.split_at(length);
            bytes = rest;
            fields.push(match key & 7 {
                1 => Field::Fixed64(number, value.try_into().unwrap()),
                2 => Field::Bytes(number, value.to_vec()),
                _ => Field::Fixed32(number, value.try_into().unwrap()),
            });
        }
        fields
    }

    fn records(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        while !bytes.is_empty() {
            let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
            assert_eq!(bytes[8..12], masked_crc32c(&bytes[..8]).to_le_bytes());
            let record = &bytes[12..12 + length];
            assert_eq!(
                bytes[12 + length..16 + length],
                masked_crc32c(record).to_le_bytes()
            );
            records.push(record.to_vec());
            bytes = &bytes[16 + length..];
        }
        records
    }

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("tensorboard-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn the_checksum_is_the_published_one() {
        // RFC 3720, appendix B.4.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        // The header of a 24-byte record as TensorFlow itself writes it at the start of its event files.
        let header = [0x18, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(
            masked_crc32c(&header).to_le_bytes(),
            [0xa3, 0x7f, 0x4b, 0x22]
        );
    }

    #[test]
    fn events_come_back_field_by_field() {
        let folder = folder("round-trip");
        let mut writer = EventWriter::create(&folder, 0).unwrap();
        writer.scalar(300, "loss/d", 0.5).unwrap();
        writer
            .image(301, "samples", b"png bytes", 640, 200)
            .unwrap();
        writer.flush().unwrap();
        let bytes = fs::read(folder.join("events.out.tfevents.0000000000.0")).unwrap();
        let events: Vec<_> = records(&bytes)
            .iter()
            .map(|record| fields(record))
            .collect();
        assert_eq!(events.len(), 3);
        assert_eq!(events[0][2], Field::Bytes(3, b"brain.Event:2".to_vec()));
        let Field::Fixed64(1, seconds) = events[1][0] else {
            panic!("no wall time: {:?}", events[1])
        };
        assert!(f64::from_le_bytes(seconds) > 1.6e9);

        let value = |event: &[Field]| {
            let Field::Bytes(5, summary) = &event[2] else {
                panic!("no summary: {event:?}")
            };
            let [Field::Bytes(1, value)] = &fields(summary)[..] else {
                panic!("not one value: {event:?}")
            };
            fields(value)
        };
        assert_eq!(events[1][1], Field::Varint(2, 300));
        assert_eq!(
            value(&events[1]),
            [
                Field::Bytes(1, b"loss/d".to_vec()),
                Field::Fixed32(2, 0.5f32.to_le_bytes())
            ]
        );
        assert_eq!(events[2][1], Field::Varint(2, 301));
        let picture = value(&events[2]);
        assert_eq!(picture[0], Field::Bytes(1, b"samples".to_vec()));
        let Field::Bytes(4, image) = &picture[1] else {
            panic!("no image: {picture:?}")
        };
        assert_eq!(
            fields(image),
            [
                Field::Varint(1, 200),
                Field::Varint(2, 640),
                Field::Varint(3, 3),
                Field::Bytes(4, b"png bytes".to_vec())
            ]
        );
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_resume_gets_a_file_of_its_own_and_marks_the_restart() {
        let folder = folder("resume");
        let first = EventWriter::create(&folder, 4000).unwrap();
        let second = EventWriter::create(&folder, 4000).unwrap();
        assert_eq!(
            first.path.file_name().unwrap(),
            "events.out.tfevents.0000004000.0"
        );
        assert_eq!(
            second.path.file_name().unwrap(),
            "events.out.tfevents.0000004000.1"
        );
        let restart = fields(&records(&fs::read(&second.path).unwrap())[1]);
        assert_eq!(restart[1], Field::Varint(2, 4001));
        assert_eq!(restart[2], Field::Bytes(7, vec![8, 1]));
        fs::remove_dir_all(folder).unwrap();
    }
}
