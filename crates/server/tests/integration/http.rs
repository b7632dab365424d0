//! The program as a server: started on a free port with a data folder of its own, asked over HTTP, killed and started again.
//!
//! ```ignore
//! let server = Server::start(&[]);
//! let token = server.token(&["--admin"]);
//! let answer = server.get("/api/v1/users/me").token(&token).send();
//! assert_eq!(answer.status, 200, "{answer}");
//! ```

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use ureq::Agent;
use ureq::http::{HeaderMap, Request};

/// How long the program may take to start on a busy machine.
const START: Duration = Duration::from_secs(60);
/// How long it may take to end when it is asked to.
const END: Duration = Duration::from_secs(30);
/// How long an answer may take before a test counts as hanging.
const ANSWER: Duration = Duration::from_secs(60);

/// A running server with a data folder of its own. It ends when it is dropped; if the test has failed, its log is shown.
pub(crate) struct Server {
    folder: TempDir,
    flags: Vec<String>,
    process: Child,
    /// Like `127.0.0.1:40123`. A restart takes another port.
    address: String,
    log: Log,
    agent: Agent,
}

/// All that was printed, of both streams and all starts.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Server {
    /// With an empty data folder and more flags, like `&["--auth-anonymous-read", "^/demo"]`.
    pub(crate) fn start(flags: &[&str]) -> Server {
        Server::start_in(tempfile::tempdir().unwrap(), flags)
    }

    /// With a folder that has something in it already: made with [`sheaf_in`].
    pub(crate) fn start_in(folder: TempDir, flags: &[&str]) -> Server {
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let log = Log::default();
        let (process, address) = spawn(folder.path(), &flags, &log);
        // Redirects and errors are answers like any other.
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(ANSWER))
            .build()
            .new_agent();
        Server { folder, flags, process, address, log, agent }
    }

    /// Another server on the same data.
    pub(crate) fn beside(&self, flags: &[&str]) -> Beside {
        let flags: Vec<String> = flags.iter().map(|&flag| flag.to_owned()).collect();
        Beside(spawn(self.folder.path(), &flags, &Log::default()).0)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Like `127.0.0.1:40123`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Memory that the process has, as the system counts it.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// What the server has printed so far.
    pub(crate) fn log(&self) -> String {
        self.log.text()
    }

    pub(crate) fn get(&self, path: &str) -> Ask<'_> {
        self.ask("GET", path)
    }

    pub(crate) fn post(&self, path: &str) -> Ask<'_> {
        self.ask("POST", path)
    }

    pub(crate) fn put(&self, path: &str) -> Ask<'_> {
        self.ask("PUT", path)
    }

    pub(crate) fn delete(&self, path: &str) -> Ask<'_> {
        self.ask("DELETE", path)
    }

    /// A request; `path` is sent as it is, so what has to be percent-encoded must be so already (see [`encoded`]).
    pub(crate) fn ask(&self, method: &str, path: &str) -> Ask<'_> {
        let url = format!("http://{}{path}", self.address);
        Ask { agent: &self.agent, method: method.to_owned(), url, headers: Vec::new(), body: None }
    }

    /// A connection for clients that don't keep to the rules. Reading gives up after a minute.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(ANSWER)).unwrap();
        stream.set_write_timeout(Some(ANSWER)).unwrap();
        stream
    }

    /// Sends bytes and returns all that comes back until the server closes the connection.
    pub(crate) fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // A connection that is reset has said what it had to say.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Runs another command of the program on the same data folder, beside the server.
    pub(crate) fn sheaf(&self, args: &[&str]) -> Output {
        let database = self.flags.iter().position(|flag| flag == "--database");
        let database = database.map_or(&[][..], |at| &self.flags[at..at + 2]);
        let database: Vec<&str> = database.iter().map(String::as_str).collect();
        sheaf_in(self.folder.path(), &[args, &database].concat())
    }

    /// A new token, made beside the running server: `&["--admin"]`, or `&["--read", "^/demo/.*$"]`.
    pub(crate) fn token(&self, rights: &[&str]) -> String {
        let output = self.sheaf(&[&["token", "create", "--name", "test"], rights].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().next_back().unwrap().trim().to_owned()
    }

    /// Ends the process without any warning, as a power cut would.
    pub(crate) fn kill(&mut self) {
        // It may have been killed already.
        let _ = self.process.kill();
        self.process.wait().unwrap();
    }

    /// The same while others hold the server, who ask it something; [`kill`](Self::kill) still has to be called.
    pub(crate) fn kill_now(&self) {
        self.signal("-KILL");
    }

    /// Starts it again on the same data; it must have ended before.
    pub(crate) fn restart(&mut self) {
        assert!(self.process.try_wait().unwrap().is_some(), "the server has not ended yet");
        (self.process, self.address) = spawn(self.folder.path(), &self.flags, &self.log);
    }

    /// Asks it to end, as a service manager does, and waits until it has.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.terminate();
        let status = self.wait(END);
        assert!(status.is_some(), "the server did not end within {END:?}");
        status.unwrap()
    }

    /// Sends SIGTERM and returns at once.
    pub(crate) fn terminate(&self) {
        self.signal("-TERM");
    }

    fn signal(&self, signal: &str) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().unwrap();
        assert!(sent.success());
    }

    /// The exit status, if it ends within that time.
    pub(crate) fn wait(&mut self, time: Duration) -> Option<ExitStatus> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return Some(status);
            }
            if started.elapsed() > time {
                return None;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            let id = self.process.id().to_string();
            let _ = Command::new("kill").args(["-TERM", &id]).status();
            if self.wait(END).is_none() {
                let _ = self.process.kill();
                let _ = self.process.wait();
            }
        }
        if thread::panicking() {
            eprintln!("--- what the server printed:\n{}---", self.log.text());
        }
    }
}

/// Another server on the data of one. It ends, without any warning, when it is dropped.
pub(crate) struct Beside(Child);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command of the program on a data folder.
pub(crate) fn sheaf_in(folder: &Path, args: &[&str]) -> Output {
    program().args(args).arg("--data-dir").arg(folder).output().unwrap()
}

/// One path segment out of any text: `/plant/mast` becomes `%2Fplant%2Fmast`.
pub(crate) fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// The program, without settings from the environment of whoever runs the tests.
fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sheaf"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SHEAF_") {
            command.env_remove(name);
        }
    }
    command
}

/// Starts the server and waits until it says where it listens.
fn spawn(folder: &Path, flags: &[String], log: &Log) -> (Child, String) {
    let mut command = program();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder).args(flags);
    // One pipe for both: what was printed before the address, on whichever stream, is in the log when that is known.
    let (printed, stdout) = std::io::pipe().unwrap();
    let stderr = stdout.try_clone().unwrap();
    command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    let mut process = command.spawn().unwrap();
    // It holds the end of the pipe that is written to; else there would be no end.
    drop(command);
    let (found, address) = mpsc::channel();
    log.follow(printed, found);
    match address.recv_timeout(START) {
        Ok(address) => (process, address),
        Err(_) => {
            let _ = process.kill();
            let status = process.wait().unwrap();
            panic!("the server did not say where it listens; it ended with {status} after:\n{}", log.text());
        }
    }
}

impl Log {
    /// Collects lines on a thread of its own, and hands the first address on that is named in them.
    fn follow(&self, stream: impl Read + Send + 'static, found: mpsc::Sender<String>) {
        let log = self.clone();
        thread::spawn(move || {
            let mut found = Some(found);
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                let address = address_in(&line);
                let mut text = log.0.lock().unwrap();
                text.push_str(&line);
                text.push('\n');
                drop(text);
                if let Some(address) = address {
                    // Whoever started the server may have given up.
                    let _ = found.take().map(|found| found.send(address));
                }
            }
        });
    }

    fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

/// `127.0.0.1:40123` out of a line with `http://127.0.0.1:40123`.
fn address_in(line: &str) -> Option<String> {
    let schemes = ["http://127.0.0.1:", "https://127.0.0.1:", "http://0.0.0.0:"];
    let (_, rest) = schemes.iter().find_map(|scheme| line.split_once(scheme))?;
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some(format!("127.0.0.1:{port}"))
}

/// A request that is being put together.
#[must_use]
pub(crate) struct Ask<'a> {
    agent: &'a Agent,
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Ask<'_> {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn accept(self, media_type: &str) -> Self {
        self.header("accept", media_type)
    }

    pub(crate) fn json(self, value: &serde_json::Value) -> Self {
        self.body("application/json", value.to_string())
    }

    pub(crate) fn body(mut self, media_type: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = Some(bytes.into());
        self.header("content-type", media_type)
    }

    /// The whole answer; fails if none comes.
    pub(crate) fn send(self) -> Answer {
        let shown = format!("{} {}", self.method, self.url);
        self.try_send().unwrap_or_else(|error| panic!("{shown}: {error}"))
    }

    /// The whole answer, or why there is none: what a test wants to know whose server may have been killed.
    pub(crate) fn try_send(self) -> Result<Answer, ureq::Error> {
        let mut request = Request::builder().method(self.method.as_str()).uri(&self.url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let answer = match self.body {
            Some(body) => self.agent.run(request.body(body)?),
            // The library would send an empty body in chunks, and a server that does not read it closes the connection.
            None if matches!(self.method.as_str(), "POST" | "PUT") => {
                self.agent.run(request.body(Vec::new())?)
            }
            None => self.agent.run(request.body(())?),
        };
        let (head, body) = answer?.into_parts();
        let body = body.into_with_config().limit(u64::MAX).read_to_vec()?;
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }
}

/// What came back, read to its end.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self}"))
    }

    /// Little-endian doubles, as Nexus clients read them.
    pub(crate) fn doubles(&self) -> Vec<f64> {
        let (values, rest) = self.body.as_chunks();
        assert!(rest.is_empty(), "{self}");
        values.iter().copied().map(f64::from_le_bytes).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = String::from_utf8_lossy(&self.body).chars().take(1000).collect();
        write!(out, "{} {:?} {shown}", self.status, self.headers)
    }
}
