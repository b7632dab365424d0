//! `Nexus.Writers.Hdf5`: one file of all catalogs. Each catalog is a group, each resource one in it, and in that each
//! representation is a dataset.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::path::Path;

use rust_hdf5::{FillTime, H5Dataset, H5File, H5Group};
use sheaf_model::{Properties, ResourceId, SamplePeriod, Tick, Values};

use super::files::{ExportFile, physical_name, stamp};
use super::{ExportCatalog, ExportColumn};
use crate::write::{WriteColumn, WriteError, WriteValues, check};

/// The attribute of catalogs and resources with what is known of them, as a JSON object.
const PROPERTIES: &str = "properties";

/// Writes an HDF5 file, as Nexus lays it out:
///
/// ```text
/// /                                  date_time = "2020-01-01T00-00-00Z", sample_period = "10_min"
/// └── plant_mast                     properties = {"license": …}
///     └── T1                         properties = {"unit": "°C", …}
///         └── dataset_10_min_mean    64-bit floats, one for each period of the file; NaN where there is none
/// ```
///
/// Catalogs may be written one after the other, but every row has to be. Each dataset lies in the file as a whole, with its place
/// known from the beginning: whatever the size of the file, no more of it is in memory than a block of rows.
pub struct Hdf5Writer {
    file: H5File,
    catalogs: Vec<Datasets>,
    /// The begin of the first row.
    begin: Tick,
    period: SamplePeriod,
}

/// The datasets of a catalog.
struct Datasets {
    columns: Vec<WriteColumn>,
    datasets: Vec<H5Dataset>,
}

impl Hdf5Writer {
    /// The name of a file.
    pub fn file_name(file: &ExportFile, period: SamplePeriod) -> String {
        format!("{}_{period}.h5", stamp(file.begin))
    }

    /// Begins a file at `path`, with all that is in it but for the values.
    ///
    /// # Errors
    /// The file can't be written, or two columns would be one dataset.
    pub fn create<'a>(
        path: &Path,
        catalogs: impl IntoIterator<Item = &'a ExportCatalog>,
        file: &ExportFile,
        period: SamplePeriod,
    ) -> Result<Hdf5Writer, WriteError> {
        // Nobody else knows of the file yet, and not every file system has locks.
        let h5 = H5File::options().no_locking().create(path)?;
        h5.set_attr_string("date_time", &stamp(file.begin))?;
        h5.set_attr_string("sample_period", &period.to_string())?;
        let rows = usize::try_from(file.range.count(period)).unwrap_or(usize::MAX);
        let mut all = Vec::new();
        for catalog in catalogs {
            let group = h5.create_group(&physical_name(&catalog.id))?;
            describe(&group, &catalog.properties)?;
            let mut resources: HashMap<&ResourceId, H5Group> = HashMap::new();
            let mut datasets = Vec::new();
            for column in &catalog.columns {
                let resource = match resources.entry(&column.resource) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => {
                        let resource = group.create_group(column.resource.as_str())?;
                        describe(&resource, &column.properties)?;
                        new.insert(resource)
                    }
                };
                let dataset = resource.new_dataset::<f64>().shape([rows]).fill_value(f64::NAN);
                // Every row is written once. To fill them before would take as much memory as they do.
                let dataset = dataset.fill_time(FillTime::Never);
                datasets.push(dataset.create(&name_of_dataset(column))?);
            }
            let columns = catalog.columns.iter().map(ExportColumn::to_write).collect();
            all.push(Datasets { columns, datasets });
        }
        Ok(Hdf5Writer { file: h5, catalogs: all, begin: file.range.begin(), period })
    }

    /// Writes rows of a catalog, which is counted in the order of the catalogs: when each begins, in ticks, and for each column
    /// their values.
    ///
    /// # Errors
    /// The file can't be written, or what is given does not fit what was announced.
    pub fn write(
        &mut self,
        catalog: usize,
        starts: &[i64],
        columns: &[WriteValues<'_>],
    ) -> Result<(), WriteError> {
        let Datasets { columns: announced, datasets } = &self.catalogs[catalog];
        check(announced, starts, columns)?;
        let Some(&first) = starts.first() else { return Ok(()) };
        // A row before the file is none of its datasets, as is one behind it.
        let slot = (first - self.begin.ticks()).div_euclid(self.period.ticks());
        let row = usize::try_from(slot).map_err(|_| WriteError::NoTime { row: 0, ticks: first })?;
        for (dataset, column) in datasets.iter().zip(columns) {
            let float = |row| match column.is_valid(row) {
                true => column.values.get(row).unwrap_or(f64::NAN),
                false => f64::NAN,
            };
            match column {
                WriteValues { values: Values::F64(values), validity: None } => {
                    dataset.write_slice(&[row], &[values.len()], values)?;
                }
                _ => {
                    let values: Vec<f64> = (0..starts.len()).map(float).collect();
                    dataset.write_slice(&[row], &[values.len()], &values)?;
                }
            }
        }
        Ok(())
    }

    /// Ends the file.
    ///
    /// # Errors
    /// It can't be written.
    pub fn finish(self) -> Result<(), WriteError> {
        Ok(self.file.close_no_sync()?)
    }
}

/// Says what is known of a catalog or a resource.
fn describe(group: &H5Group, properties: &Properties) -> Result<(), WriteError> {
    if properties.iter().next().is_none() {
        return Ok(());
    }
    let text = serde_json::to_string(properties).map_err(io::Error::from)?;
    Ok(group.set_attr_string(PROPERTIES, &text)?)
}

/// The name of a dataset: representation and arguments. A slash, which only arguments can have, would make a group of it.
fn name_of_dataset(column: &ExportColumn) -> String {
    let behind = column.title.strip_prefix(column.resource.as_str()).unwrap_or(&column.title);
    format!("dataset_{}", behind.trim_start_matches('_').replace('/', "_"))
}

#[cfg(test)]
mod tests {
    use sheaf_model::{DataType, TimeRange};

    use super::*;

    const ROWS: usize = 1000;

    fn column(resource: &str, representation: &str, properties: &str) -> ExportColumn {
        ExportColumn {
            title: format!("{resource}_{representation}"),
            resource: resource.parse().unwrap(),
            properties: serde_json::from_str(properties).unwrap(),
            data_type: DataType::Float64,
        }
    }

    fn catalog(id: &str, columns: Vec<ExportColumn>) -> ExportCatalog {
        let properties = serde_json::from_value(serde_json::json!({"readme": "x".repeat(100_000)})).unwrap();
        ExportCatalog { id: id.parse().unwrap(), properties, columns }
    }

    fn file(begin: &str, period: &str) -> ExportFile {
        let begin: Tick = begin.parse().unwrap();
        let period: SamplePeriod = period.parse().unwrap();
        let end = begin.checked_add(ROWS as i64 * period.ticks()).unwrap();
        ExportFile { begin, range: TimeRange::new(begin, end).unwrap() }
    }

    fn create(catalogs: &[ExportCatalog], path: &Path) -> Result<Hdf5Writer, WriteError> {
        Hdf5Writer::create(path, catalogs, &file("2020-01-01", "10_min"), "10_min".parse().unwrap())
    }

    #[test]
    fn a_group_for_each_catalog_and_resource() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.h5");
        let catalogs = [
            catalog(
                "/a/b",
                vec![
                    column("T1", "10_min_mean", r#"{"unit": "°C"}"#),
                    column("n", "10_min_sum(k=a/b)", "{}"),
                    column("T1", "10_min_max", r#"{"unit": "°C"}"#),
                ],
            ),
            catalog("/c", vec![column("T1", "10_min", "{}")]),
        ];
        let period: SamplePeriod = "10_min".parse().unwrap();
        let file = file("2020-01-01", "10_min");
        assert_eq!(Hdf5Writer::file_name(&file, period), "2020-01-01T00-00-00Z_10_min.h5");
        let value = |catalog: usize, column: usize, row: usize| match row % 7 {
            3 => f64::NAN,
            _ => (catalog * 100_000 + column * 10_000 + row) as f64 / 8.0,
        };
        let mut writer = create(&catalogs, &path).unwrap();
        for (at, catalog) in catalogs.iter().enumerate() {
            // In blocks, as they come.
            for begin in (0..ROWS).step_by(300) {
                let rows = begin..ROWS.min(begin + 300);
                let starts: Vec<i64> =
                    rows.clone().map(|row| file.begin.ticks() + row as i64 * period.ticks()).collect();
                let values: Vec<Values> = (0..catalog.columns.len())
                    .map(|column| rows.clone().map(|row| value(at, column, row)).collect::<Vec<_>>().into())
                    .collect();
                let values: Vec<_> =
                    values.iter().map(|values| WriteValues { values, validity: None }).collect();
                writer.write(at, &starts, &values).unwrap();
            }
        }
        writer.finish().unwrap();

        let read = H5File::open(&path).unwrap();
        assert_eq!(read.attr_string("date_time").unwrap(), "2020-01-01T00-00-00Z");
        assert_eq!(read.attr_string("sample_period").unwrap(), "10_min");
        let group = read.root_group().group("a_b").unwrap();
        assert_eq!(group.attr_string(PROPERTIES).unwrap().len(), 100_000 + r#"{"readme":""}"#.len());
        assert_eq!(group.group("T1").unwrap().attr_string(PROPERTIES).unwrap(), r#"{"unit":"°C"}"#);
        assert!(group.group("n").unwrap().attr_names().unwrap().is_empty());
        for (path, catalog, column) in [
            ("a_b/T1/dataset_10_min_mean", 0, 0),
            ("a_b/n/dataset_10_min_sum(k=a_b)", 0, 1),
            ("a_b/T1/dataset_10_min_max", 0, 2),
            ("c/T1/dataset_10_min", 1, 0),
        ] {
            let found = read.dataset(path).unwrap().read_raw::<f64>().unwrap();
            let expected = (0..ROWS).map(|row| value(catalog, column, row));
            assert_eq!(found.len(), ROWS, "{path}");
            assert!(found.iter().zip(expected).all(|(one, other)| one.total_cmp(&other).is_eq()), "{path}");
        }
    }

    /// 64 GiB of which one row is written: nothing takes memory or time for the others.
    #[test]
    fn a_file_of_any_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.h5");
        let period: SamplePeriod = "100_ns".parse().unwrap();
        let range =
            TimeRange::new("2020-01-01".parse().unwrap(), "2020-01-01T00:14:19".parse().unwrap()).unwrap();
        let file = ExportFile { begin: range.begin(), range };
        let catalogs = [catalog("/a", vec![column("T1", "100_ns", "{}")])];
        let mut writer = Hdf5Writer::create(&path, &catalogs, &file, period).unwrap();
        let values = Values::F64(vec![1.5]);
        let last = range.end().ticks() - 1;
        writer.write(0, &[last], &[WriteValues { values: &values, validity: None }]).unwrap();
        writer.finish().unwrap();
        let found = H5File::open(&path).unwrap().dataset("a/T1/dataset_100_ns").unwrap();
        let rows = range.count(period) as usize;
        assert_eq!(
            (found.shape(), found.read_slice::<f64>(&[rows - 1], &[1]).unwrap()),
            (vec![rows], vec![1.5])
        );
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.h5");
        let twice = vec![column("T1", "10_min(k=a/b)", "{}"), column("T1", "10_min(k=a_b)", "{}")];
        assert!(create(&[catalog("/a", twice)], &path).is_err());
        let mut writer = create(&[catalog("/a", vec![column("T1", "10_min", "{}")])], &path).unwrap();
        let begin = file("2020-01-01", "10_min").begin.ticks();
        let values = Values::F64(vec![1.0]);
        let mut write = |start| writer.write(0, &[start], &[WriteValues { values: &values, validity: None }]);
        write(begin).unwrap();
        assert!(write(begin - 1).unwrap_err().to_string().contains("beyond the time"));
        assert!(write(begin + ROWS as i64 * 6_000_000_000).is_err());
    }
}
