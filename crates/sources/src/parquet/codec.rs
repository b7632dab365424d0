//! Takes pages out of their compression, never into more memory than the page says it needs.

use std::io::Read;

use bytes::Bytes;
use parquet::basic::Compression;

/// Snappy makes at most 64 bytes of 3, LZ4 at most 255 of one. What claims to be more is a lie.
const SNAPPY_RATIO: usize = 32;
const LZ4_RATIO: usize = 256;

/// The codecs that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    Plain,
    Snappy,
    Gzip,
    Zstd,
    Lz4,
    /// The LZ4 of old files, whose blocks have lengths before them.
    Lz4Hadoop,
}

impl Codec {
    /// The codec of a column chunk.
    pub(super) fn of(compression: Compression) -> Result<Codec, String> {
        Ok(match compression {
            Compression::UNCOMPRESSED => Codec::Plain,
            Compression::SNAPPY => Codec::Snappy,
            Compression::GZIP(_) => Codec::Gzip,
            Compression::ZSTD(_) => Codec::Zstd,
            Compression::LZ4_RAW => Codec::Lz4,
            Compression::LZ4 => Codec::Lz4Hadoop,
            Compression::BROTLI(_) => return Err(unknown("brotli")),
            Compression::LZO => return Err(unknown("lzo")),
        })
    }

    /// The `len` bytes that were compressed into these.
    pub(super) fn unpack(self, packed: &Bytes, len: usize) -> Result<Bytes, String> {
        if self == Codec::Plain {
            return if packed.len() == len { Ok(packed.clone()) } else { Err(differs(packed.len(), len)) };
        }
        // A page without values may be nothing at all.
        if len == 0 {
            return Ok(Bytes::new());
        }
        let unpacked = match self {
            Codec::Plain => return Err(differs(packed.len(), len)),
            Codec::Snappy => {
                check_ratio(packed.len(), len, SNAPPY_RATIO)?;
                let mut unpacked = vec![0; len];
                let size = snap::raw::Decoder::new().decompress(packed, &mut unpacked);
                unpacked.truncate(size.map_err(|error| damaged("snappy", &error))?);
                unpacked
            }
            Codec::Gzip => {
                let mut unpacked = Vec::new();
                // One byte more shows that there is too much.
                let read = flate2::read::MultiGzDecoder::new(&packed[..])
                    .take(len as u64 + 1)
                    .read_to_end(&mut unpacked);
                read.map_err(|error| damaged("gzip", &error))?;
                unpacked
            }
            Codec::Zstd => {
                let mut unpacked = Vec::new();
                unpacked.try_reserve_exact(len).map_err(|error| damaged("zstd", &error))?;
                let mut decompressor =
                    zstd::bulk::Decompressor::new().map_err(|error| damaged("zstd", &error))?;
                let size = decompressor.decompress_to_buffer(packed, &mut unpacked);
                size.map_err(|error| damaged("zstd", &error))?;
                unpacked
            }
            Codec::Lz4 => unpack_lz4(packed, len)?,
            Codec::Lz4Hadoop => match unpack_hadoop(packed, len) {
                Some(unpacked) => unpacked,
                // Some writers did without the lengths.
                None => unpack_lz4(packed, len)?,
            },
        };
        if unpacked.len() == len { Ok(unpacked.into()) } else { Err(differs(unpacked.len(), len)) }
    }
}

fn unpack_lz4(packed: &[u8], len: usize) -> Result<Vec<u8>, String> {
    check_ratio(packed.len(), len, LZ4_RATIO)?;
    let mut unpacked = vec![0; len];
    let size = lz4_flex::block::decompress_into(packed, &mut unpacked);
    unpacked.truncate(size.map_err(|error| damaged("lz4", &error))?);
    Ok(unpacked)
}

/// Blocks, each after its size before and after compression, in big endian.
fn unpack_hadoop(mut packed: &[u8], len: usize) -> Option<Vec<u8>> {
    check_ratio(packed.len(), len, LZ4_RATIO).ok()?;
    let mut unpacked = vec![0; len];
    let mut at = 0_usize;
    while !packed.is_empty() {
        let (sizes, rest) = packed.split_first_chunk::<8>()?;
        let [a, b, c, d, e, f, g, h] = *sizes;
        let (size, block) =
            (u32::from_be_bytes([a, b, c, d]) as usize, u32::from_be_bytes([e, f, g, h]) as usize);
        let (block, rest) = rest.split_at_checked(block)?;
        let target = unpacked.get_mut(at..at.checked_add(size)?)?;
        if lz4_flex::block::decompress_into(block, target).ok()? != size {
            return None;
        }
        at += size;
        packed = rest;
    }
    (at == len).then_some(unpacked)
}

fn check_ratio(packed: usize, len: usize, most: usize) -> Result<(), String> {
    if len / most > packed {
        return Err(format!(
            "the file is damaged: {packed} compressed bytes can't hold the {len} that they should"
        ));
    }
    Ok(())
}

fn unknown(codec: &str) -> String {
    format!(
        "pages compressed with {codec} can't be read; write the file with zstd, snappy, gzip, lz4 or without compression"
    )
}

fn damaged(codec: &str, error: &dyn std::fmt::Display) -> String {
    format!("the file is damaged: a page is no {codec}: {error}")
}

fn differs(found: usize, wanted: usize) -> String {
    format!("the file is damaged: a page has {found} bytes instead of {wanted}")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const TEXT: &[u8] = b"samples, samples, samples, samples, samples, samples, samples";

    fn hadoop(blocks: &[&[u8]]) -> Vec<u8> {
        let mut all = Vec::new();
        for block in blocks {
            let packed = lz4_flex::block::compress(block);
            all.extend((block.len() as u32).to_be_bytes());
            all.extend((packed.len() as u32).to_be_bytes());
            all.extend(packed);
        }
        all
    }

    fn packed() -> Vec<(Codec, Vec<u8>)> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(TEXT).unwrap();
        vec![
            (Codec::Plain, TEXT.to_vec()),
            (Codec::Snappy, snap::raw::Encoder::new().compress_vec(TEXT).unwrap()),
            (Codec::Gzip, gzip.finish().unwrap()),
            (Codec::Zstd, zstd::bulk::compress(TEXT, 1).unwrap()),
            (Codec::Lz4, lz4_flex::block::compress(TEXT)),
            (Codec::Lz4Hadoop, lz4_flex::block::compress(TEXT)),
            (Codec::Lz4Hadoop, hadoop(&[&TEXT[..20], &TEXT[20..]])),
        ]
    }

    #[test]
    fn every_codec_is_unpacked() {
        for (codec, packed) in packed() {
            assert_eq!(codec.unpack(&packed.into(), TEXT.len()).unwrap(), TEXT, "{codec:?}");
        }
    }

    #[test]
    fn a_page_has_the_size_that_it_says() {
        for (codec, packed) in packed() {
            let packed = Bytes::from(packed);
            for len in [1, TEXT.len() - 1, TEXT.len() + 1, 1 << 30] {
                // The buffer of LZ4 may be larger than its contents.
                assert!(codec.unpack(&packed, len).is_err(), "{codec:?} {len}");
            }
            for cut in 0..packed.len() {
                assert!(codec.unpack(&packed.slice(..cut), TEXT.len()).is_err(), "{codec:?} {cut}");
            }
        }
    }

    #[test]
    fn a_bomb_is_refused_before_it_goes_off() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(&vec![0; 1 << 24]).unwrap();
        let error = Codec::Gzip.unpack(&gzip.finish().unwrap().into(), 100).unwrap_err();
        assert_eq!(error, "the file is damaged: a page has 101 bytes instead of 100");
    }
}
