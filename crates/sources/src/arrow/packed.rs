//! Takes batches out of the compression that each of their buffers may have, never into more memory than is allowed.
//!
//! What `arrow_ipc` gets is a batch that never was compressed: it would believe what a buffer says of its size, and its errors
//! would not say which buffer they mean.

use std::io::Read;

use arrow_ipc::{
    Buffer, CompressionType, DictionaryBatch, DictionaryBatchArgs, Message, MessageArgs, MessageHeader,
    MetadataVersion, RecordBatch, RecordBatchArgs,
};
use arrow_schema::{DataType, Schema, UnionMode};
use flatbuffers::FlatBufferBuilder;

/// Before each buffer that is compressed: its size without compression, in little endian.
const PREFIX: usize = 8;

/// The size of a buffer that was not worth to be compressed.
const AS_IT_IS: i64 = -1;

/// Where buffers begin: at multiples of this, as the format recommends.
const ALIGNMENT: usize = 64;

/// LZ4 makes at most 255 bytes of one. What claims to be more is a lie.
const LZ4_RATIO: usize = 256;

/// Bytes that a description may have beyond those of its vectors.
const MOST_OVERHEAD: usize = 1 << 10;

type Zstd = zstd::bulk::Decompressor<'static>;

/// A message without compression.
pub(super) struct Unpacked {
    /// What describes it.
    pub(super) metadata: Vec<u8>,
    /// Its buffers.
    pub(super) body: Vec<u8>,
}

/// The batch that a message brings, be it of rows or of a dictionary, if its buffers are compressed, and how they are.
pub(super) fn packed_batch<'a>(message: &Message<'a>) -> Option<(RecordBatch<'a>, CompressionType)> {
    let batch = match message.header_type() {
        MessageHeader::RecordBatch => message.header_as_record_batch()?,
        MessageHeader::DictionaryBatch => message.header_as_dictionary_batch()?.data()?,
        _ => return None,
    };
    batch.compression().map(|compression| (batch, compression.codec()))
}

/// Takes the buffers of a batch out of their compression, if they have `most` bytes together then.
///
/// # Errors
/// A buffer is damaged or too large; the message says which one, by what `name` makes of its place in the batch.
pub(super) fn unpack(
    message: &Message<'_>,
    (batch, codec): (RecordBatch<'_>, CompressionType),
    body: &[u8],
    most: usize,
    name: impl Fn(usize) -> String,
) -> Result<Unpacked, String> {
    if codec != CompressionType::LZ4_FRAME && codec != CompressionType::ZSTD {
        return Err(format!("it is compressed in way {} of Arrow, and only LZ4 and ZSTD are read", codec.0));
    }
    // All sizes are looked at before anything is allocated for one of them.
    let mut buffers = Vec::new();
    let mut end = 0_usize;
    for (at, buffer) in batch.buffers().into_iter().flatten().enumerate() {
        let packed = Packed::find(buffer, body).map_err(|problem| format!("{}: {problem}", name(at)))?;
        let begin = end.next_multiple_of(ALIGNMENT);
        end = begin.saturating_add(packed.len);
        if end > most {
            return Err(format!(
                "{}: it says to have {} bytes without compression, and all buffers of a batch have at most {most} together; \
                 write smaller batches",
                name(at),
                packed.len
            ));
        }
        if codec == CompressionType::LZ4_FRAME
            && packed.is_packed
            && packed.len / LZ4_RATIO > packed.bytes.len()
        {
            return Err(format!(
                "{}: {} compressed bytes can't hold the {} that they should",
                name(at),
                packed.bytes.len(),
                packed.len
            ));
        }
        buffers.push((begin, packed));
    }
    let mut zstd = zstd::bulk::Decompressor::new().map_err(|error| error.to_string())?;
    // Zeros take no memory until something is written over them, so that a lie costs nothing.
    let mut unpacked = vec![0; end];
    for (at, (begin, packed)) in buffers.iter().enumerate() {
        let target = &mut unpacked[*begin..*begin + packed.len];
        packed.unpack(codec, &mut zstd, target).map_err(|problem| format!("{}: {problem}", name(at)))?;
    }
    let places = buffers.iter().map(|(begin, packed)| Buffer::new(*begin as i64, packed.len as i64));
    Ok(Unpacked { metadata: describe(message, &batch, &places.collect::<Vec<_>>(), end), body: unpacked })
}

/// A buffer, as it is in the body.
struct Packed<'a> {
    bytes: &'a [u8],
    /// Bytes without compression.
    len: usize,
    is_packed: bool,
}

impl<'a> Packed<'a> {
    fn find(buffer: &Buffer, body: &'a [u8]) -> Result<Packed<'a>, String> {
        let begin = usize::try_from(buffer.offset()).ok();
        let len = usize::try_from(buffer.length()).ok();
        let range = begin.zip(len).and_then(|(begin, len)| Some(begin..begin.checked_add(len)?));
        let bytes = range.and_then(|range| body.get(range)).ok_or_else(|| {
            let (begin, len) = (buffer.offset(), buffer.length());
            format!("{len} bytes from {begin} on are not in a batch of {} bytes", body.len())
        })?;
        if bytes.is_empty() {
            return Ok(Packed { bytes, len: 0, is_packed: false });
        }
        let Some((prefix, bytes)) = bytes.split_first_chunk::<PREFIX>() else {
            return Err(format!("{} bytes are too few to say how many they were", bytes.len()));
        };
        match i64::from_le_bytes(*prefix) {
            AS_IT_IS => Ok(Packed { bytes, len: bytes.len(), is_packed: false }),
            said => match usize::try_from(said) {
                Ok(len) => Ok(Packed { bytes, len, is_packed: len > 0 }),
                Err(_) => Err(format!("it says to have {said} bytes without compression")),
            },
        }
    }

    /// Fills `target`, which is as long as this says.
    fn unpack(&self, codec: CompressionType, zstd: &mut Zstd, target: &mut [u8]) -> Result<(), String> {
        if !self.is_packed {
            target.copy_from_slice(&self.bytes[..target.len()]);
            return Ok(());
        }
        let damaged = |codec: &str, error: &dyn std::fmt::Display| format!("it is no {codec}: {error}");
        let size = if codec == CompressionType::ZSTD {
            zstd.decompress_to_buffer(self.bytes, target).map_err(|error| damaged("zstd", &error))?
        } else {
            let mut lz4 = lz4_flex::frame::FrameDecoder::new(self.bytes);
            let size = read_full(&mut lz4, target).map_err(|error| damaged("lz4", &error))?;
            // One byte more shows that there is too much.
            size + read_full(&mut lz4, &mut [0]).map_err(|error| damaged("lz4", &error))?
        };
        match size == self.len {
            true => Ok(()),
            false => {
                Err(format!("it has not the {} bytes without compression that it says to have", self.len))
            }
        }
    }
}

/// Reads until the target is full or the source ends.
fn read_full(source: &mut impl Read, target: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < target.len() {
        match source.read(&mut target[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// The description of a message whose buffers are no longer compressed.
fn describe(message: &Message<'_>, batch: &RecordBatch<'_>, buffers: &[Buffer], body: usize) -> Vec<u8> {
    let nodes: Vec<_> = batch.nodes().into_iter().flatten().copied().collect();
    let counts: Option<Vec<i64>> = batch.variadicBufferCounts().map(|counts| counts.iter().collect());
    let mut builder = FlatBufferBuilder::with_capacity(16 * (nodes.len() + buffers.len()) + MOST_OVERHEAD);
    let args = RecordBatchArgs {
        length: batch.length(),
        nodes: Some(builder.create_vector(&nodes)),
        buffers: Some(builder.create_vector(buffers)),
        compression: None,
        variadicBufferCounts: counts.map(|counts| builder.create_vector(&counts)),
    };
    let batch = RecordBatch::create(&mut builder, &args);
    let header = match message.header_as_dictionary_batch() {
        None => batch.as_union_value(),
        Some(dictionary) => {
            let (id, is_delta) = (dictionary.id(), dictionary.isDelta());
            let args = DictionaryBatchArgs { id, data: Some(batch), isDelta: is_delta };
            DictionaryBatch::create(&mut builder, &args).as_union_value()
        }
    };
    let args = MessageArgs {
        version: message.version(),
        header_type: message.header_type(),
        header: Some(header),
        bodyLength: body as i64,
        custom_metadata: None,
    };
    let message = Message::create(&mut builder, &args);
    builder.finish(message, None);
    builder.finished_data().to_vec()
}

/// The column that a buffer of a batch is of, counted from 0, and which of its buffers it is.
pub(super) fn column_of(
    schema: &Schema,
    version: MetadataVersion,
    batch: &RecordBatch<'_>,
    buffer: usize,
) -> Option<(usize, usize)> {
    let mut counts = batch.variadicBufferCounts().into_iter().flatten();
    let mut left = buffer;
    for (column, field) in schema.fields().iter().enumerate() {
        let buffers = buffers_of(field.data_type(), version, &mut counts);
        if left < buffers {
            return Some((column, left));
        }
        left -= buffers;
    }
    None
}

/// How many buffers a column has.
fn buffers_of(
    data_type: &DataType,
    version: MetadataVersion,
    counts: &mut impl Iterator<Item = i64>,
) -> usize {
    match data_type {
        DataType::Null => 0,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => 3,
        DataType::Utf8View | DataType::BinaryView => {
            counts.next().and_then(|count| usize::try_from(count).ok()).unwrap_or(0).saturating_add(2)
        }
        DataType::List(of) | DataType::LargeList(of) | DataType::Map(of, _) => {
            2 + buffers_of(of.data_type(), version, counts)
        }
        DataType::ListView(of) | DataType::LargeListView(of) => {
            3 + buffers_of(of.data_type(), version, counts)
        }
        DataType::FixedSizeList(of, _) => 1 + buffers_of(of.data_type(), version, counts),
        DataType::Struct(fields) => {
            1 + fields.iter().map(|field| buffers_of(field.data_type(), version, counts)).sum::<usize>()
        }
        DataType::RunEndEncoded(ends, values) => {
            buffers_of(ends.data_type(), version, counts) + buffers_of(values.data_type(), version, counts)
        }
        DataType::Union(fields, mode) => {
            let own = 1 + usize::from(*mode == UnionMode::Dense) + usize::from(version < MetadataVersion::V5);
            own + fields
                .iter()
                .map(|(_, field)| buffers_of(field.data_type(), version, counts))
                .sum::<usize>()
        }
        _ => 2,
    }
}
