//! What the tests share.

use sheaf_model::Tick;
use sheaf_sources::{Batch, ColumnValues, CsvOptions, CsvReader, Input, Rows, SourceError};

/// Everything that a reader gives.
pub(crate) struct Table {
    pub(crate) reader: CsvReader,
    pub(crate) batches: Vec<Batch>,
}

impl Table {
    pub(crate) fn times(&self) -> Vec<String> {
        let starts = self.batches.iter().flat_map(|batch| &batch.starts);
        starts.map(|&start| Tick::new(start).unwrap().to_string()).collect()
    }

    pub(crate) fn lines(&self) -> Vec<u64> {
        self.batches.iter().flat_map(|batch| batch.lines.iter().copied()).collect()
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.reader.columns().iter().map(|column| column.name.as_str()).collect()
    }

    /// The columns of the only batch of a wide table.
    pub(crate) fn wide(&self) -> &[ColumnValues] {
        match self.batches.as_slice() {
            [Batch { rows: Rows::Wide(columns), .. }] => columns,
            batches => panic!("{} batches", batches.len()),
        }
    }

    /// All values of a column of a wide table.
    pub(crate) fn column(&self, index: usize) -> Vec<f64> {
        let mut all = Vec::new();
        for batch in &self.batches {
            let Rows::Wide(columns) = &batch.rows else { panic!("a long table") };
            let column = &columns[index];
            all.extend((0..column.len()).map(|row| column.get(row).unwrap()));
        }
        all
    }

    /// Series, time and value of each row of a long table.
    pub(crate) fn long(&self) -> Vec<(String, String, f64)> {
        let mut all = Vec::new();
        for batch in &self.batches {
            let Rows::Long { series, values } = &batch.rows else { panic!("a wide table") };
            for (row, &series) in series.iter().enumerate() {
                let name = self.reader.columns()[series as usize].name.clone();
                all.push((name, Tick::new(batch.starts[row]).unwrap().to_string(), values.get(row).unwrap()));
            }
        }
        all
    }
}

pub(crate) fn read_with(text: impl Into<Vec<u8>>, options: CsvOptions) -> Result<Table, SourceError> {
    let mut reader = CsvReader::open(Input::bytes("test.csv", text), options)?;
    let mut batches = Vec::new();
    while let Some(batch) = reader.next_batch()? {
        assert_eq!(batch.starts.len(), batch.lines.len());
        batches.push(batch);
    }
    assert!(reader.next_batch()?.is_none());
    assert_eq!(reader.report().rows, batches.iter().map(|batch| batch.len() as u64).sum::<u64>());
    Ok(Table { reader, batches })
}

/// What is read without options.
pub(crate) fn read(text: impl Into<Vec<u8>>) -> Table {
    read_with(text, CsvOptions::default()).unwrap()
}

/// The message of an error.
pub(crate) fn refused(text: impl Into<Vec<u8>>, options: CsvOptions) -> String {
    match read_with(text, options) {
        Ok(table) => {
            panic!("{} rows were read: {}", table.reader.report().rows, table.reader.report().detected)
        }
        Err(error) => error.to_string(),
    }
}

pub(crate) fn ints(values: &[i64]) -> ColumnValues {
    ColumnValues::Ints { values: values.to_vec(), validity: None }
}

/// Default options, changed.
pub(crate) fn options(change: impl FnOnce(&mut CsvOptions)) -> CsvOptions {
    let mut options = CsvOptions::default();
    change(&mut options);
    options
}
