//! Pages as the crate `parquet` writes and reads them: what our own decoders are compared with.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parquet::basic::{Encoding, Repetition};
use parquet::column::page::{CompressedPage, Page, PageMetadata, PageReader, PageWriteSpec, PageWriter};
use parquet::column::reader::ColumnReaderImpl;
use parquet::column::writer::ColumnWriterImpl;
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::properties::{
    DeltaBinaryPackedEncoderOptions, EnabledStatistics, WriterProperties, WriterPropertiesBuilder,
    WriterVersion,
};
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor, Type};

fn column<P: DataType>() -> ColumnDescPtr {
    let value =
        Type::primitive_type_builder("value", P::get_physical_type()).with_repetition(Repetition::REQUIRED);
    let fields = vec![Arc::new(value.build().unwrap())];
    let schema = Type::group_type_builder("file").with_fields(fields).build().unwrap();
    SchemaDescriptor::new(Arc::new(schema)).columns()[0].clone()
}

/// Keeps the pages that are written.
struct Pages<'a>(&'a mut Vec<Page>);

impl PageWriter for Pages<'_> {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec, ParquetError> {
        self.0.push(page.compressed_page().clone());
        Ok(PageWriteSpec::new())
    }

    fn close(&mut self) -> Result<(), ParquetError> {
        Ok(())
    }
}

/// Gives them back.
struct Feed(VecDeque<Page>);

impl Iterator for Feed {
    type Item = Result<Page, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.pop_front().map(Ok)
    }
}

impl PageReader for Feed {
    fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        Ok(self.0.pop_front())
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
        Ok(self.0.front().map(|page| {
            let is_dict = page.is_dictionary_page();
            let len = (!is_dict).then_some(page.num_values() as usize);
            PageMetadata { num_rows: len, num_levels: len, is_dict }
        }))
    }

    fn skip_next_page(&mut self) -> Result<(), ParquetError> {
        self.0.pop_front();
        Ok(())
    }
}

fn written<P: DataType>(values: &[P::T], properties: WriterPropertiesBuilder) -> Vec<Page> {
    let properties = properties
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_statistics_enabled(EnabledStatistics::None)
        .set_data_page_size_limit(usize::MAX)
        .set_dictionary_page_size_limit(usize::MAX)
        .set_data_page_row_count_limit(usize::MAX)
        .build();
    let mut pages = Vec::new();
    let writer = Box::new(Pages(&mut pages));
    let mut writer = ColumnWriterImpl::<P>::new(column::<P>(), Arc::new(properties), writer);
    writer.write_batch(values, None, None).unwrap();
    writer.close().unwrap();
    pages
}

/// One page of these values.
pub(super) fn encoded<P: DataType>(encoding: Encoding, values: &[P::T]) -> Bytes {
    one(
        written::<P>(
            values,
            WriterProperties::builder().set_dictionary_enabled(false).set_encoding(encoding),
        ),
        encoding,
    )
}

/// The same in blocks of so many values, with so many mini blocks.
pub(super) fn encoded_in_blocks<P: DataType>(block: usize, mini_blocks: usize, values: &[P::T]) -> Bytes {
    let encoding = Encoding::DELTA_BINARY_PACKED;
    let options = DeltaBinaryPackedEncoderOptions::try_new(block, mini_blocks).unwrap();
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_encoding(encoding)
        .set_delta_binary_packed_encoder_options(options);
    one(written::<P>(values, properties), encoding)
}

/// A dictionary and one page of these values.
pub(super) fn encoded_with_dictionary<P: DataType>(values: &[P::T]) -> (Page, Bytes) {
    let mut pages = written::<P>(values, WriterProperties::builder().set_dictionary_enabled(true));
    assert!(pages[0].is_dictionary_page());
    let dictionary = pages.remove(0);
    (dictionary, one(pages, Encoding::RLE_DICTIONARY))
}

fn one(pages: Vec<Page>, encoding: Encoding) -> Bytes {
    match &pages[..] {
        [page] => {
            assert_eq!(page.encoding(), encoding);
            page.buffer().clone()
        }
        pages => panic!("{} pages", pages.len()),
    }
}

/// What the crate makes of a page.
pub(super) fn decoded<P: DataType>(
    encoding: Encoding,
    dictionary: Option<&Page>,
    page: &[u8],
    len: usize,
) -> Result<Vec<P::T>, ParquetError> {
    let page = Page::DataPageV2 {
        buf: Bytes::copy_from_slice(page),
        num_values: len as u32,
        encoding,
        num_nulls: 0,
        num_rows: len as u32,
        def_levels_byte_len: 0,
        rep_levels_byte_len: 0,
        is_compressed: false,
        statistics: None,
    };
    let feed = Box::new(Feed(dictionary.cloned().into_iter().chain([page]).collect()));
    let mut reader = ColumnReaderImpl::<P>::new(column::<P>(), feed);
    let mut values = Vec::new();
    while values.len() < len {
        if reader.read_records(len - values.len(), None, None, &mut values)?.1 == 0 {
            return Err(ParquetError::General("too few values".to_owned()));
        }
    }
    Ok(values)
}
