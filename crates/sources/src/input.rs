//! Where bytes come from: a file, standard input or memory; compressed or not.

use std::fmt;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{NotText, SourceError};

/// An input, not opened yet. Everything is streamed; `.gz` and `.zst` are recognized by their first bytes.
#[derive(Debug)]
pub struct Input {
    name: String,
    place: Place,
}

enum Place {
    File(PathBuf),
    Stdin,
    Bytes(Arc<[u8]>),
    Reader(Box<dyn Read + Send>),
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Place::File(_) => "File",
            Place::Stdin => "Stdin",
            Place::Bytes(_) => "Bytes",
            Place::Reader(_) => "Reader",
        })
    }
}

impl Input {
    /// A file.
    pub fn file(path: impl AsRef<Path>) -> Input {
        let path = path.as_ref().to_owned();
        Input { name: path.display().to_string(), place: Place::File(path) }
    }

    /// Standard input.
    pub fn stdin() -> Input {
        Input { name: "standard input".to_owned(), place: Place::Stdin }
    }

    /// Bytes in memory, and how messages call them.
    pub fn bytes(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Input {
        Input { name: name.into(), place: Place::Bytes(bytes.into().into()) }
    }

    /// Anything that can be read once, such as the body of a request, and how messages call it.
    pub fn reader(name: impl Into<String>, reader: impl Read + Send + 'static) -> Input {
        Input { name: name.into(), place: Place::Reader(Box::new(reader)) }
    }

    /// How messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same input once more, for a second pass; `None` where it can be read only once.
    pub fn again(&self) -> Option<Input> {
        let place = match &self.place {
            Place::File(path) => Place::File(path.clone()),
            Place::Bytes(bytes) => Place::Bytes(bytes.clone()),
            Place::Stdin | Place::Reader(_) => return None,
        };
        Some(Input { name: self.name.clone(), place })
    }

    /// Its bytes as they are, at any place if that can be.
    pub(crate) fn seekable(self) -> Result<Seekable, SourceError> {
        let Input { name, place } = self;
        Ok(match place {
            Place::File(path) => {
                Seekable::File(File::open(path).map_err(|source| SourceError::Open { input: name, source })?)
            }
            Place::Stdin => Seekable::Stream(Box::new(io::stdin())),
            Place::Bytes(bytes) => Seekable::Bytes(bytes),
            Place::Reader(reader) => Seekable::Stream(reader),
        })
    }

    /// The bytes that it begins with, and the same input again from its beginning.
    pub(crate) fn peek(self) -> Result<(Vec<u8>, Input), SourceError> {
        let name = self.name.clone();
        let failed = |source| SourceError::Open { input: name.clone(), source };
        let place = match self.place {
            Place::File(path) => {
                let magic = first_bytes(&mut File::open(&path).map_err(failed)?).map_err(failed)?;
                return Ok((magic, Input { name, place: Place::File(path) }));
            }
            Place::Bytes(bytes) => {
                let magic = bytes[..bytes.len().min(MAGIC_BYTES)].to_vec();
                return Ok((magic, Input { name, place: Place::Bytes(bytes) }));
            }
            Place::Stdin => Box::new(io::stdin()),
            Place::Reader(reader) => reader,
        };
        let mut stream: Box<dyn Read + Send> = place;
        let magic = first_bytes(&mut stream).map_err(failed)?;
        let stream = Box::new(Cursor::new(magic.clone()).chain(stream));
        Ok((magic, Input { name, place: Place::Reader(stream) }))
    }

    /// Opens it and takes it out of its compression; what is no text is refused.
    pub(crate) fn open(self) -> Result<Opened, SourceError> {
        let Opened { name, compression, progress, mut text } = self.unpack()?;
        let read = |source| SourceError::Read { input: name.clone(), line: 0, source };
        let mut first = first_bytes(&mut text).map_err(read)?;
        if let Some(problem) = not_text(&first) {
            return Err(SourceError::NotText { input: name, problem });
        }
        if first.starts_with(b"\xEF\xBB\xBF") {
            first.drain(..3);
        }
        Ok(Opened { name, compression, progress, text: Box::new(Cursor::new(first).chain(text)) })
    }

    /// Opens it and takes it out of its compression, whatever it is then.
    pub(crate) fn unpack(self) -> Result<Opened, SourceError> {
        let Input { name, place } = self;
        let failed = |source| SourceError::Open { input: name.clone(), source };
        let mut total = None;
        let raw: Box<dyn Read + Send> = match place {
            Place::File(path) => {
                let file = File::open(path).map_err(failed)?;
                // A pipe has no size.
                total = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|meta| meta.len());
                Box::new(file)
            }
            Place::Stdin => Box::new(io::stdin()),
            Place::Bytes(bytes) => {
                total = Some(bytes.len() as u64);
                Box::new(Cursor::new(bytes))
            }
            Place::Reader(reader) => reader,
        };
        let progress = Progress { read: Arc::default(), total };
        let mut raw = Counted { reader: raw, read: progress.read.clone() };
        let magic = first_bytes(&mut raw).map_err(failed)?;
        let compression = Compression::of(&magic);
        let raw = Cursor::new(magic).chain(raw);
        let text: Box<dyn Read + Send> = match compression {
            None => Box::new(raw),
            Some(Compression::Gzip) => Box::new(flate2::read::MultiGzDecoder::new(raw)),
            Some(Compression::Zstd) => {
                let mut decoder = zstd::stream::read::Decoder::new(raw).map_err(failed)?;
                decoder.window_log_max(MOST_WINDOW_LOG).map_err(failed)?;
                Box::new(decoder)
            }
        };
        Ok(Opened { name, compression, progress, text })
    }
}

/// Bytes that may be read at any place.
pub(crate) enum Seekable {
    File(File),
    Bytes(Arc<[u8]>),
    /// From the front only.
    Stream(Box<dyn Read + Send>),
}

/// The largest window of zstd that is unpacked: 128 MiB, as the program `zstd` does unless it is asked for more.
const MOST_WINDOW_LOG: u32 = 27;

/// An input that is being read.
pub(crate) struct Opened {
    pub(crate) name: String,
    pub(crate) compression: Option<Compression>,
    pub(crate) progress: Progress,
    /// What is in it; of a text without a byte order mark.
    pub(crate) text: Box<dyn Read + Send>,
}

/// How much of an input was read, as it lies there: maybe compressed.
pub(crate) struct Progress {
    read: Arc<AtomicU64>,
    total: Option<u64>,
}

impl Progress {
    /// Bytes that were read, and how many there are, where that is known.
    pub(crate) fn bytes(&self) -> (u64, Option<u64>) {
        (self.read.load(Ordering::Relaxed), self.total)
    }
}

/// Counts what is read.
struct Counted {
    reader: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// How an input is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// gzip, of any number of members.
    Gzip,
    /// Zstandard, of any number of frames.
    Zstd,
}

impl Compression {
    fn of(magic: &[u8]) -> Option<Compression> {
        match magic {
            [0x1F, 0x8B, ..] => Some(Compression::Gzip),
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Some(Compression::Zstd),
            _ => None,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Compression::Gzip => "gzip",
            Compression::Zstd => "zstd",
        })
    }
}

/// As many bytes as are needed to recognize a format.
const MAGIC_BYTES: usize = 8;

fn first_bytes(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(MAGIC_BYTES);
    reader.take(MAGIC_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What begins with these bytes, if it is not text in UTF-8 or Latin-1.
fn not_text(first: &[u8]) -> Option<NotText> {
    const TABLE: &str = "export the table as delimited text";
    const FORMATS: [(&[u8], &str, &str); 22] = [
        (b"PK\x03\x04", "a zip archive or a spreadsheet", "unpack it, or save the sheet as CSV"),
        (b"\xD0\xCF\x11\xE0", "an old Office file", "save the sheet as CSV"),
        (b"BZh", "compressed with bzip2", "unpack it, or compress it with gzip or zstd"),
        (b"\xFD7zXZ", "compressed with xz", "unpack it, or compress it with gzip or zstd"),
        (b"PAR1", "a Parquet file", "it can't be read as delimited text"),
        (b"\x89HDF", "an HDF5 file", "export it as delimited text"),
        (b"ARROW1", "an Arrow file", "it can't be read as text"),
        (b"%PDF", "a PDF file", "export the table as delimited text"),
        (b"\x1F\x8B", "compressed twice", "unpack it once"),
        (b"\x28\xB5\x2F\xFD", "compressed twice", "unpack it once"),
        (b"7z\xBC\xAF\x27\x1C", "a 7z archive", "unpack it"),
        (b"\x04\x22\x4D\x18", "compressed with LZ4", "unpack it, or compress it with gzip or zstd"),
        (b"CDF\x01", "a NetCDF file", TABLE),
        (b"CDF\x02", "a NetCDF file", TABLE),
        (b"MATLAB 5", "a MATLAB file", TABLE),
        (b"SQLite f", "an SQLite database", TABLE),
        (b"FEA1", "an Arrow file", TABLE),
        (b"Obj\x01", "an Avro file", TABLE),
        (b"\x89PNG", "a PNG image", TABLE),
        (b"\xFF\xD8\xFF", "a JPEG image", TABLE),
        (b"GIF8", "a GIF image", TABLE),
        (b"\x7FELF", "a program", TABLE),
    ];
    let wide = match first {
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => Some("UTF-32"),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => Some("UTF-16"),
        // Without a byte order mark, every second byte of plain text is zero.
        [1..=127, 0, 1..=127, 0, ..] | [0, 1..=127, 0, 1..=127, ..] => Some("UTF-16"),
        _ => None,
    };
    let format = || FORMATS.into_iter().find(|(magic, ..)| first.starts_with(magic));
    let format = || format().map(|(_, what, instead)| NotText::Format { what, instead });
    wide.map(NotText::Wide).or_else(format)
}

/// Refuses what no magic bytes betray, but is no text either: of its first bytes more than a twentieth, and not just a
/// few, are control characters.
pub(crate) fn binary(text: &[u8]) -> Option<NotText> {
    const FIRST: usize = 4096;
    const FEW: usize = 8;
    let is_control = |byte: &u8| matches!(byte, 0..=8 | 14..=31 | 127);
    let first = &text[..text.len().min(FIRST)];
    let offset = first.iter().position(is_control)?;
    let count = first.iter().filter(|byte| is_control(byte)).count();
    (count > FEW && 20 * count > first.len()).then_some(NotText::Binary { byte: first[offset], offset })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;

    use super::*;

    fn text(bytes: &[u8]) -> Result<String, SourceError> {
        let mut opened = Input::bytes("test", bytes).open()?;
        let mut text = String::new();
        let read = |source| SourceError::Read { input: "test".to_owned(), line: 0, source };
        opened.text.read_to_string(&mut text).map_err(read)?;
        Ok(text)
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn compressed_text_is_recognized() {
        assert_eq!(text(b"a,b\n").unwrap(), "a,b\n");
        assert_eq!(text(b"").unwrap(), "");
        assert_eq!(text(&gzip("a,b\n")).unwrap(), "a,b\n");
        assert_eq!(text(&[gzip("a,b\n"), gzip("1,2\n")].concat()).unwrap(), "a,b\n1,2\n");
        let zstd = |text: &str| zstd::encode_all(text.as_bytes(), 1).unwrap();
        assert_eq!(text(&[zstd("a,b\n"), zstd("1,2\n")].concat()).unwrap(), "a,b\n1,2\n");
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        let long = "2020-01-01,1.5\n".repeat(1000);
        for whole in [gzip(&long), zstd::encode_all(long.as_bytes(), 1).unwrap()] {
            for len in [4, 10, whole.len() / 2, whole.len() - 1] {
                assert!(matches!(text(&whole[..len]), Err(SourceError::Read { .. })), "{len}");
            }
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_text() {
        assert_eq!(text(b"\xEF\xBB\xBFa,b").unwrap(), "a,b");
        assert_eq!(text(&gzip("\u{FEFF}a,b")).unwrap(), "a,b");
        let error = text(b"\xFF\xFEa\0,\0b\0").unwrap_err();
        assert_eq!(error.to_string(), "test is text in UTF-16; save it as UTF-8");
        assert!(text(b"a\0,\0b\0").is_err());
    }

    #[test]
    fn other_formats_are_named() {
        let error = text(b"PK\x03\x04 and so on").unwrap_err();
        assert_eq!(
            error.to_string(),
            "test is a zip archive or a spreadsheet; unpack it, or save the sheet as CSV"
        );
        assert!(text(&gzip("PAR1....")).unwrap_err().to_string().contains("Parquet"));
    }

    #[test]
    fn a_file_can_be_read_twice_and_a_stream_once() {
        let input = Input::bytes("test", "a");
        assert_eq!(input.again().unwrap().name(), "test");
        assert!(Input::stdin().again().is_none());
        assert!(Input::reader("body", &b"a"[..]).again().is_none());
        let error = Input::file("/there/is/no/such.csv").open().map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), "can't open /there/is/no/such.csv");
    }
}
