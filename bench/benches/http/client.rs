//! As little of an HTTP client as a benchmark needs, and `wrk`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use serde_json::{Value, json};
use sheaf_bench::store::Failure;

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 256 << 10;

/// What comes before a body.
struct Head {
    /// How long it is, if the server says so.
    len: Option<usize>,
    /// Bytes of the body that came with it.
    begun: Vec<u8>,
}

/// Asks a question on a new connection; the body is left to read.
fn ask(address: &str, request: &str) -> Result<(TcpStream, Head), Failure> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.write_all(request.as_bytes())?;
    let (mut received, mut buffer) = (Vec::new(), vec![0; 16 << 10]);
    let end = loop {
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        match stream.read(&mut buffer)? {
            0 => return Err("the connection ended within the headers".into()),
            count => received.extend(&buffer[..count]),
        }
    };
    let head = String::from_utf8_lossy(&received[..end]).into_owned();
    if !head.starts_with("HTTP/1.1 200") {
        let body = String::from_utf8_lossy(&received[end..]).into_owned();
        return Err(format!("{}: {head}{body}", request.lines().next().unwrap_or_default()).into());
    }
    let len = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok()).flatten()
    });
    Ok((stream, Head { len, begun: received.split_off(end + 4) }))
}

/// A request for a URL.
pub(crate) fn get(address: &str, url: &str) -> String {
    format!("GET {url} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
}

/// A request for several paths.
pub(crate) fn batch(address: &str, paths: &[String], begin: &str, end: &str) -> String {
    let body = json!({ "begin": begin, "end": end, "resourcePaths": paths }).to_string();
    format!(
        "POST /api/v2/data HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The URL of the values of a path.
pub(crate) fn url(path: &str, (begin, end): &(String, String)) -> String {
    let path = path.replace('#', "%23").replace('&', "%26").replace('=', "%3D");
    format!("/api/v1/data?resourcePath={path}&begin={begin}&end={end}")
}

/// Reads an answer to its end and throws it away; how many bytes it had. One that is shorter than it said is an error.
pub(crate) fn discard(address: &str, request: &str) -> Result<usize, Failure> {
    let (mut stream, head) = ask(address, request)?;
    let (mut bytes, mut buffer) = (head.begun.len(), vec![0; BUFFER_BYTES]);
    loop {
        match stream.read(&mut buffer)? {
            0 => break,
            count => bytes += count,
        }
    }
    match head.len {
        Some(len) if len != bytes => Err(format!("{bytes} bytes came instead of {len}").into()),
        _ => Ok(bytes),
    }
}

/// An answer of doubles.
pub(crate) fn values(address: &str, url: &str) -> Result<Vec<f64>, Failure> {
    let (mut stream, head) = ask(address, &get(address, url))?;
    let mut body = head.begun;
    stream.read_to_end(&mut body)?;
    if head.len != Some(body.len()) {
        return Err(format!("{} bytes came instead of {:?}", body.len(), head.len).into());
    }
    Ok(body.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
}

/// A client that asks, reads the begin of the answer, and then nothing more.
pub(crate) fn open(address: &str, url: &str) -> Result<TcpStream, Failure> {
    Ok(ask(address, &get(address, url))?.0)
}

/// What `wrk` measures of one URL: median and 99th percentile in seconds, and requests a second.
pub(crate) fn wrk(address: &str, url: &str, connections: usize, seconds: u32) -> Result<Value, Failure> {
    let threads = connections.min(2);
    let mut command = Command::new("wrk");
    command.args([
        "--latency",
        &format!("-t{threads}"),
        &format!("-c{connections}"),
        &format!("-d{seconds}s"),
    ]);
    let output =
        command.arg(format!("http://{address}{url}")).output().map_err(|error| format!("wrk: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || text.contains("Non-2xx") || text.contains("Socket errors") {
        return Err(format!("wrk: {text}{}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        line.map(str::trim).ok_or_else(|| format!("wrk did not say {name}: {text}"))
    };
    let per_second: f64 = value("Requests/sec:")?.parse()?;
    let (median, high) = (seconds_of(value("50%")?)?, seconds_of(value("99%")?)?);
    Ok(json!({ "median": median, "high": high, "per_second": per_second }))
}

/// `0.30ms` and the like.
fn seconds_of(text: &str) -> Result<f64, Failure> {
    let at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(|| format!("{text} has no unit"))?;
    let (number, unit) = text.split_at(at);
    let factor = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => return Err(format!("{text} is in no unit that is known").into()),
    };
    Ok(number.parse::<f64>()? * factor)
}
