//! Laws: what is written is read back exactly, and no input whatever makes the reader panic.

use proptest::prelude::*;
use sheaf_model::Tick;
use sheaf_sources::{Column, Compression, CsvOptions, CsvReader, Input, OnError, Report, Rows};

use crate::integration::common::{options, read_with};

/// So many cases; what fails is printed, not kept in a file.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// How a table is written.
#[derive(Clone, Debug)]
struct Style {
    delimiter: char,
    comma: bool,
    line_ends: Vec<&'static str>,
    quoted: Vec<bool>,
    bom: bool,
    comments: bool,
    blanks: bool,
    compression: Option<Compression>,
}

fn style() -> impl Strategy<Value = Style> {
    (
        prop::sample::select(vec![',', ';', '\t', '|']),
        any::<bool>(),
        prop::collection::vec(prop::sample::select(vec!["\n", "\r\n", "\r", "\n\n"]), 1..4),
        prop::collection::vec(any::<bool>(), 1..7),
        any::<(bool, bool, bool)>(),
        prop::sample::select(vec![None, None, Some(Compression::Gzip), Some(Compression::Zstd)]),
    )
        .prop_map(|(delimiter, comma, line_ends, quoted, (bom, comments, blanks), compression)| Style {
            delimiter,
            comma,
            line_ends,
            quoted,
            bom,
            comments,
            blanks,
            compression,
        })
}

/// Writes rows of cells in a style.
fn write(style: &Style, rows: &[Vec<String>]) -> Vec<u8> {
    let mut text = String::new();
    if style.bom {
        text.push('\u{FEFF}');
    }
    let mut count = 0;
    for (row, cells) in rows.iter().enumerate() {
        if style.comments && row % 3 == 0 {
            text.push_str("# it's \"5\n");
        }
        for (column, cell) in cells.iter().enumerate() {
            if column > 0 {
                text.push(style.delimiter);
            }
            count += 1;
            if style.quoted[count % style.quoted.len()] || cell.contains([style.delimiter, '"', '\n', '\r']) {
                let blank = if style.blanks { " " } else { "" };
                text.push_str(&format!("{blank}\"{}\"{blank}", cell.replace('"', "\"\"")));
            } else if style.blanks {
                text.push_str(&format!(" {cell} "));
            } else {
                text.push_str(cell);
            }
        }
        text.push_str(style.line_ends[row % style.line_ends.len()]);
    }
    match style.compression {
        Some(Compression::Gzip) => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
            encoder.finish().unwrap()
        }
        Some(_) => zstd::encode_all(text.as_bytes(), 1).unwrap(),
        None => text.into_bytes(),
    }
}

fn value() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        1 => Just(None),
        3 => any::<i32>().prop_map(|value| Some(f64::from(value))),
        3 => (-1_000_000..1_000_000_i32).prop_map(|value| Some(f64::from(value) / 1000.0)),
        3 => any::<f64>().prop_filter("a number", |value| !value.is_nan()).prop_map(Some),
    ]
}

type Cells = Vec<(i64, Vec<Option<f64>>)>;

fn cells() -> impl Strategy<Value = (usize, Cells)> {
    (1_usize..5).prop_flat_map(|columns| {
        let row = (0..=Tick::MAX.ticks(), prop::collection::vec(value(), columns));
        (Just(columns), prop::collection::vec(row, 1..40))
    })
}

fn print(value: Option<f64>, comma: bool) -> String {
    let text = match value {
        None => "NaN".to_owned(),
        Some(value) if value.is_infinite() => if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
        Some(value) => format!("{value:?}"),
    };
    if comma { text.replace('.', ",") } else { text }
}

fn is_same(read: f64, written: Option<f64>) -> bool {
    written.map_or(read.is_nan(), |written| read.to_bits() == written.to_bits())
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn wide_tables_round_trip((columns, cells) in cells(), style in style()) {
        let mut rows = vec![vec!["time".to_owned()]];
        rows[0].extend((0..columns).map(|column| format!("c\"{column}\" (k{}W)", style.delimiter)));
        for (ticks, values) in &cells {
            let mut row = vec![Tick::new(*ticks).unwrap().to_string()];
            row.extend(values.iter().map(|&value| print(value, style.comma)));
            rows.push(row);
        }
        // What can't be found out is said: with commas for both, quoted numbers may have groups of thousands.
        let decimal = if style.comma { sheaf_sources::Decimal::Comma } else { sheaf_sources::Decimal::Point };
        let given = options(|o| {
            if style.comma && style.delimiter == ',' {
                o.decimal = Some(decimal);
            }
        });
        let table = read_with(write(&style, &rows), given).map_err(|e| TestCaseError::fail(e.to_string()))?;
        prop_assert_eq!(table.reader.columns().len(), columns);
        let unit = format!("k{}W", style.delimiter);
        prop_assert_eq!(table.reader.columns()[0].unit.as_deref(), Some(unit.as_str()));
        let starts: Vec<i64> = table.batches.iter().flat_map(|batch| batch.starts.clone()).collect();
        prop_assert_eq!(starts, cells.iter().map(|(ticks, _)| *ticks).collect::<Vec<_>>());
        for column in 0..columns {
            for (read, (_, values)) in table.column(column).into_iter().zip(&cells) {
                prop_assert!(is_same(read, values[column]), "{} {:?}", read, values[column]);
            }
        }
    }

    #[test]
    fn long_tables_round_trip((_, cells) in cells(), style in style(), names in prop::collection::vec("[a-z]{1,3}", 1..5)) {
        let mut rows = vec![["value", "series", "time"].map(str::to_owned).to_vec()];
        for (index, (ticks, values)) in cells.iter().enumerate() {
            let name = names[index % names.len()].clone();
            rows.push(vec![print(values[0], false), name, Tick::new(*ticks).unwrap().to_string()]);
        }
        let table = read_with(write(&style, &rows), CsvOptions::default()).map_err(|e| TestCaseError::fail(e.to_string()))?;
        let read = table.long();
        prop_assert_eq!(read.len(), cells.len());
        for (index, ((name, time, value), (ticks, values))) in read.into_iter().zip(&cells).enumerate() {
            prop_assert_eq!(&name, &names[index % names.len()]);
            prop_assert_eq!(time, Tick::new(*ticks).unwrap().to_string());
            prop_assert!(is_same(value, values[0]));
        }
    }
}

/// Valid files of every kind, to be damaged.
const VALID: [&str; 9] = [
    "time,a (°C),b\n2020-01-01T00:00:00Z,1.5,2\n2020-01-01T00:10:00Z,,3\n2020-01-01T00:20:00+01:00,NaN,-4e-5\n",
    "# x\ntime;a;b\r\n2020-10-25 02:00;1,5;2\r\n2020-10-25 02:00;\"1,7\";2\r\n\r\n2020-10-25 03:00;-;2\r\n",
    "series,time,value,unit\n\"a\"\"b\",2020-01-01,1,kW\nb,2020-01-01,2,\na,2020-01-02,3,kW\n",
    "\u{FEFF}# date_time: 2020-01-01T00-00-00Z\r\n# sample_period: 1_s\r\n# catalog_id: /A/B\r\n\
     Excel time,r_1_s (°C)\r\n43831.000000000,1\r\n43831.000011574,2.5\r\n",
    "# date_time: 2020-01-01T00-00-00Z\n# sample_period: 1_s\nIndex,r_1_s\n0,1\n1,2\n2,3\n",
    "1577836800,1\n1577836801,2\n1577836802.5,3\n",
    "time,a\n01/02/2020 10:00,1\n02/02/2020 10:00,2\n",
    "date\ttime\ta\tb\n2020-01-01\t10:00\t1\t\"x\ny\"\n2020-01-01\t10:10\t2\t7\n",
    "Excel time|a|b\n43831|1|2\n43831.5|99999999999999999999|2\n43832|3|\"4\"\n",
];

/// One change of some bytes.
#[derive(Clone, Debug)]
enum Damage {
    Set(u8),
    Insert(u8),
    Remove(usize),
    Repeat(usize),
    Cut,
    Text(&'static str),
}

fn damage() -> impl Strategy<Value = Damage> {
    let special = prop::sample::select(b"\"\n\r,;\t|#.-+eE0 \0\xFF\xB0:TZ".to_vec());
    let text = prop::sample::select(vec![
        "\"\"",
        "\"\n",
        "\r\n\r\n",
        "1e400",
        "9223372036854775808",
        "-0",
        "2020-02-30",
        "24:00:00",
        "23:59:60",
        "NaN",
        "99999999999999999999999999999999999999",
        "1e-99",
        "\u{FEFF}",
        "# ",
        "(",
        "[]",
        "01/02/2020",
        "+25:00",
        ",,,,",
    ]);
    prop_oneof![
        any::<u8>().prop_map(Damage::Set),
        special.clone().prop_map(Damage::Set),
        special.prop_map(Damage::Insert),
        (1_usize..20).prop_map(Damage::Remove),
        (1_usize..40).prop_map(Damage::Repeat),
        Just(Damage::Cut),
        text.prop_map(Damage::Text),
    ]
}

fn apply(text: &mut Vec<u8>, at: usize, damage: &Damage) {
    let at = at % (text.len() + 1);
    let end = |len: usize| (at + len).min(text.len());
    match damage {
        Damage::Set(byte) if at < text.len() => text[at] = *byte,
        Damage::Set(byte) | Damage::Insert(byte) => text.insert(at, *byte),
        Damage::Remove(len) => drop(text.drain(at..end(*len))),
        Damage::Repeat(len) => {
            let again = text[at..end(*len)].to_vec();
            text.splice(at..at, again);
        }
        Damage::Cut => text.truncate(at),
        Damage::Text(inserted) => drop(text.splice(at..at, inserted.bytes())),
    }
}

proptest! {
    #![proptest_config(cases(4096))]

    /// Either batches that fit together, or an error whose message is one readable line.
    #[test]
    fn damaged_files_never_panic(
        which in 0..VALID.len(),
        damages in prop::collection::vec((any::<usize>(), damage()), 1..6),
        skip in any::<bool>(),
        zone in prop::sample::select(vec![None, Some("Europe/Berlin"), Some("-03:30")]),
        format in prop::sample::select(vec!["auto", "auto", "auto", "iso", "unix_s", "excel", "%Y-%m-%dT%H:%M:%S%z"]),
        wild in prop::option::weighted(0.1, prop::collection::vec(any::<u8>(), 0..200)),
    ) {
        let mut text = wild.unwrap_or_else(|| VALID[which].as_bytes().to_vec());
        for (at, damage) in &damages {
            apply(&mut text, *at, damage);
        }
        let given = options(|o| {
            o.on_error = if skip { OnError::Skip } else { OnError::Refuse };
            o.time_zone = zone.map(str::to_owned);
            o.time_format = format.parse().unwrap();
        });
        match read_with(text, given) {
            Ok(table) => {
                for batch in &table.batches {
                    match &batch.rows {
                        Rows::Wide(columns) => {
                            prop_assert!(columns.iter().all(|column| column.len() == batch.len()));
                        }
                        Rows::Long { series, values } => {
                            prop_assert_eq!((series.len(), values.len()), (batch.len(), batch.len()));
                            let known = table.reader.columns().len();
                            prop_assert!(series.iter().all(|&series| (series as usize) < known));
                        }
                        rows => prop_assert!(false, "{:?}", rows),
                    }
                    prop_assert!(batch.starts.iter().all(|&start| Tick::new(start).is_ok()));
                    prop_assert!(batch.lines.is_sorted());
                }
                prop_assert!(!table.reader.report().detected.to_string().is_empty());
            }
            Err(error) => {
                let message = error.to_string();
                prop_assert!(!message.contains(char::is_control), "{:?}", message);
                prop_assert!(message.len() < 4000, "{}", message);
            }
        }
    }
}

/// Undamaged, they are all read, but for those with text among the values, and with days or months.
#[test]
fn the_files_to_damage_are_valid() {
    for (index, text) in VALID.iter().enumerate() {
        let zone = options(|o| o.time_zone = Some("Europe/Berlin".to_owned()));
        let result =
            read_with(*text, zone).map(|table| table.reader.report().rows).map_err(|e| e.to_string());
        assert!(
            if index == 6 || index == 7 { result.is_err() } else { result.is_ok() },
            "{index}: {result:?}"
        );
    }
}

/// All that a reader gives, whatever its batches are.
#[derive(Debug, PartialEq)]
struct Outcome {
    /// The message of the error that ended it.
    error: Option<String>,
    report: Option<Report>,
    columns: Vec<Column>,
    lines: Vec<u64>,
    starts: Vec<i64>,
    /// The bits of all values, row by row; missing ones are NaN. And the series of rows of a long table.
    values: Vec<u64>,
    series: Vec<u32>,
}

fn outcome(text: &[u8], options: CsvOptions, block_bytes: usize, most_ahead: usize) -> Outcome {
    let mut all = Outcome {
        error: None,
        report: None,
        columns: Vec::new(),
        lines: Vec::new(),
        starts: Vec::new(),
        values: Vec::new(),
        series: Vec::new(),
    };
    let bits =
        |value: Option<f64>| value.map(|value| if value.is_nan() { f64::NAN } else { value }.to_bits());
    let input = Input::bytes("test.csv", text);
    let mut reader = match CsvReader::open_in_blocks(input, options, block_bytes, most_ahead) {
        Ok(reader) => reader,
        Err(error) => return Outcome { error: Some(error.to_string()), ..all },
    };
    loop {
        match reader.next_batch() {
            Ok(None) => break,
            Ok(Some(batch)) => {
                for row in 0..batch.len() {
                    match &batch.rows {
                        Rows::Wide(columns) => {
                            all.values.extend(columns.iter().filter_map(|column| bits(column.get(row))));
                        }
                        Rows::Long { series, values } => {
                            all.values.extend(bits(values.get(row)));
                            all.series.push(series[row]);
                        }
                        rows => panic!("{rows:?}"),
                    }
                }
                all.lines.extend(batch.lines);
                all.starts.extend(batch.starts);
            }
            Err(error) => {
                // The rows before it in its block were not handed out, but they were counted.
                all.error = Some(error.to_string());
                (all.lines, all.starts, all.values, all.series) = Default::default();
                break;
            }
        }
    }
    all.report = Some(reader.report().clone());
    all.columns = reader.columns().to_vec();
    all
}

/// Pieces of what may stand in a table, right and wrong.
const PIECES: [&str; 44] = [
    ",",
    ",",
    ",",
    ";",
    "\t",
    "\n",
    "\n",
    "\n",
    "\r\n",
    "\r",
    "\n\n",
    "\"",
    "\"\"",
    " ",
    "#",
    "# \"c\n",
    "time,a\n",
    "time;a;b\n",
    "series,time,value\n",
    "\n2020-10-25 02:00,1",
    "\n2020-10-25 02:30;2",
    "\n2020-10-25 02:30,1,2",
    "\n2020-10-25 03:00,1.5",
    "\n2020-01-01;1,5",
    "\n2020-01-01;7;8",
    "\na,2020-10-25 02:00,3",
    "\nb,2020-10-25 02:00,x",
    "\n\"2020-01-01\",\"1\"",
    "\n\"a\nb\",2020-01-01,4",
    "2020-01-01",
    "2020-01-01 12:34:56",
    "2020-01-01 12:34:60",
    "1577836800",
    "1.5",
    "1,5",
    "-0",
    "99999999999999999999",
    "NaN",
    "1e999",
    "x",
    "\u{0}",
    "\u{FEFF}",
    "\"1\"5",
    "ä",
];

/// Text that is nearly a table.
fn near_table() -> impl Strategy<Value = Vec<u8>> {
    let begin = prop::sample::select(vec![
        "",
        "time,a\n2020-10-25 00:00,1\n",
        "time;a;b\n2020-10-25 00:00;1;2\n",
        "series,time,value\nb,2020-10-25 00:00,1\n",
        "\"time\",\"a\"\r\n\"2020-10-25 00:00\",\"1\"\r\n",
    ]);
    let piece = prop_oneof![
        20 => prop::sample::select(PIECES.to_vec()).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 1..4),
        1 => prop::sample::select(VALID.to_vec()).prop_map(|piece| piece.as_bytes().to_vec()),
    ];
    (begin, prop::collection::vec(piece, 0..60))
        .prop_map(|(begin, pieces)| [begin.as_bytes(), &pieces.concat()].concat())
}

/// Tables that are long enough for folds, series and separators to lie in several blocks.
fn long_enough() -> impl Strategy<Value = Vec<u8>> {
    let rows = prop::collection::vec((0..4_u8, 0..100_u32, 0..40_u8), 1..80);
    (any::<bool>(), any::<bool>(), rows).prop_map(|(long, descending, rows)| {
        let mut text = if long { "series;time;value\n" } else { "time;a\n" }.to_owned();
        let count = rows.len();
        for (index, (series, value, kind)) in rows.into_iter().enumerate() {
            let minutes = 5 * if descending { count - index } else { index };
            let time = format!("2020-10-25 {:02}:{:02}", 1 + minutes / 60 % 3, minutes % 60);
            let value = match kind {
                0 => format!("{value},5"),
                1 => format!("{value}.5"),
                2 => "x".to_owned(),
                3 => format!("\"{value}\""),
                4 => format!("\"{value}"),
                _ => value.to_string(),
            };
            let name = if long { format!("\"s\"\"{series}\";") } else { String::new() };
            text.push_str(&format!("{name}{time};{value}\n"));
        }
        text.into_bytes()
    })
}

proptest! {
    #![proptest_config(cases(3000))]

    /// How an input is cut, and how many threads read it, changes nothing. Each row is read or refused.
    #[test]
    fn blocks_change_nothing(
        text in prop_oneof![
            3 => near_table(),
            3 => long_enough(),
            1 => prop::collection::vec(any::<u8>(), 0..300),
        ],
        skip in any::<bool>(),
        zone in prop::sample::select(vec![None, Some("Europe/Berlin")]),
        block_bytes in 1_usize..100,
        most_ahead in 1_usize..6,
    ) {
        let given = options(|o| {
            o.on_error = if skip { OnError::Skip } else { OnError::Refuse };
            o.time_zone = zone.map(str::to_owned);
        });
        let whole = outcome(&text, given.clone(), usize::MAX / 4, 1);
        let blocks = outcome(&text, given, block_bytes, most_ahead);
        prop_assert_eq!(&blocks, &whole);
        if let (Some(report), None) = (&whole.report, &whole.error) {
            prop_assert_eq!(report.rows, whole.lines.len() as u64);
            prop_assert!(skip || report.skipped == 0);
            // Quotes may join lines; without them, each line that is neither blank nor a comment is one or the other.
            if !text.contains(&b'"') {
                let lines = text.split(|byte| matches!(byte, b'\n' | b'\r'));
                let tab = report.detected.delimiter == '\t';
                let blank = |line: &[u8]| line.trim_ascii().is_empty() && !(tab && line.contains(&b'\t'));
                let text = lines.filter(|line| {
                    let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
                    !blank(line) && !line.starts_with(b"#")
                });
                // The titles may be in a comment.
                let titles = u64::from(report.detected.header_line.is_some());
                let count = text.count() as u64;
                let taken = report.rows + report.skipped;
                prop_assert!(taken == count || taken + titles == count, "{} of {}", taken, count);
            }
        }
    }
}
