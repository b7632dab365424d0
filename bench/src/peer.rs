//! A peer: a program in another language that does the same work on the same data.
//!
//! It is a child process that sleeps until it is asked, so its measurements alternate with ours within a fraction of a
//! second, and both see the machine in the same mood.
//!
//! ```text
//!   peer → us   ready numpy 2.4.6
//!   us → peer   mean_f64              do this once
//!   peer → us   0.731                 seconds it took
//!   us → peer   save mean_f64         write the last answer to mean_f64.answer.f64
//!   peer → us   saved
//! ```

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running peer; it ends when this is dropped.
pub struct Peer {
    child: Child,
    /// `None` once the peer was told to end.
    requests: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
    name: String,
}

impl Peer {
    /// Starts a peer and waits until it has read its data.
    ///
    /// # Errors
    /// It can't be started, or says something other than `ready`.
    pub fn start(command: &mut Command) -> io::Result<Peer> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (Some(requests), Some(replies)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the peer has no pipes"));
        };
        let replies = BufReader::new(replies);
        let mut peer = Peer { child, requests: Some(requests), replies, name: String::new() };
        let reply = peer.reply()?;
        peer.name =
            reply.strip_prefix("ready ").ok_or_else(|| unexpected("ready and its name", &reply))?.to_owned();
        Ok(peer)
    }

    /// Name and version, as the peer gave them.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Has a case done once.
    ///
    /// # Errors
    /// The peer does not know the case, or has ended.
    pub fn seconds(&mut self, case: &str) -> io::Result<f64> {
        let reply = self.ask(case)?;
        reply.parse().map_err(|_| unexpected("a number of seconds", &reply))
    }

    /// Has the last answer of a case written to a file.
    ///
    /// # Errors
    /// As [`Peer::seconds`].
    pub fn save(&mut self, case: &str) -> io::Result<()> {
        let reply = self.ask(&format!("save {case}"))?;
        if reply == "saved" { Ok(()) } else { Err(unexpected("saved", &reply)) }
    }

    /// Asks for anything else and returns the line that it replies.
    ///
    /// # Errors
    /// As [`Peer::seconds`].
    pub fn ask(&mut self, request: &str) -> io::Result<String> {
        if let Some(requests) = &mut self.requests {
            writeln!(requests, "{request}")?;
        }
        self.reply()
    }

    fn reply(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.replies.read_line(&mut line)? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the peer has ended; its own message is above",
            ));
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // A peer ends at the end of its input. That it may have failed before is in what it replied, or did not.
        self.requests = None;
        let _ = self.child.wait();
    }
}

fn unexpected(wanted: &str, got: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the peer should have said {wanted}, it said {got:?}"))
}
