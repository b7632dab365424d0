//! Values as JSON, written as they come.

use std::io::{self, Write};

use serde_json::json;

use super::Request;

/// `{"begin": …, "end": …, "samplePeriod": …, "series": [`
pub(super) fn begin(request: &Request, out: &mut impl Write) -> io::Result<()> {
    write!(
        out,
        "{{\"begin\":\"{}\",\"end\":\"{}\",\"samplePeriod\":\"{}\",\"commit\":{},\"series\":[",
        request.range.begin(),
        request.range.end(),
        request.period,
        request.snapshot.commit()
    )
}

pub(super) fn begin_series(request: &Request, at: usize, out: &mut impl Write) -> io::Result<()> {
    let comma = if at == 0 { "" } else { "," };
    let path = json!(request.items[at].path.to_string());
    write!(out, "{comma}\n{{\"path\":{path},\"unit\":{},\"values\":[", json!(request.units[at]))
}

/// Numbers with as few digits as give them back; null for NaN.
pub(super) fn values(values: &[f64], is_first: &mut bool, out: &mut impl Write) -> io::Result<()> {
    for &value in values {
        if !std::mem::take(is_first) {
            out.write_all(b",")?;
        }
        if value.is_nan() {
            out.write_all(b"null")?;
        } else if value.is_infinite() {
            out.write_all(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" })?;
        } else {
            serde_json::to_writer(&mut *out, &value)?;
        }
    }
    Ok(())
}

pub(super) fn end_series(out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"]}")
}

pub(super) fn end(out: &mut impl Write) -> io::Result<()> {
    out.write_all(b"]}\n")
}
