//! XML as a stream, in bounded memory: no element, text or attribute may be longer than a MiB, and none lies deeper than 64
//! others. Nothing is fetched, and no entities but those of characters are replaced.

use std::io::{self, BufRead, BufReader, Read};

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

/// Bytes of one event.
const LONGEST_EVENT: usize = 1 << 20;

/// Elements in each other.
const DEEPEST: usize = 64;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// An element begins: its name without a prefix, and its attributes.
    Start { name: String, attributes: Vec<(String, String)> },
    /// It ends: its text, without that of elements in it.
    End { name: String, text: String },
    /// The document ends.
    Eof,
}

/// A document that is being read.
pub(super) struct Xml {
    reader: Reader<Lines>,
    buffer: Vec<u8>,
    /// Names and texts of the elements that are open.
    open: Vec<(String, String)>,
    /// The end of an element without content.
    pending: Option<Node>,
}

/// Why reading ends.
#[derive(Debug)]
pub(super) enum XmlError {
    /// The input can't be read.
    Read(io::Error),
    /// It is no XML, or does harm.
    Damaged(String),
}

impl Xml {
    pub(super) fn new(text: Box<dyn Read + Send>) -> Xml {
        let reader =
            Reader::from_reader(Lines { reader: BufReader::new(text), lines: 0, left: LONGEST_EVENT });
        Xml { reader, buffer: Vec::new(), open: Vec::new(), pending: None }
    }

    /// The line that was read last, from 1.
    pub(super) fn line(&self) -> u64 {
        self.reader.get_ref().lines + 1
    }

    /// The innermost element that is open: behind the end of an element, the one that it was in.
    pub(super) fn parent(&self) -> &str {
        self.open.last().map_or("", |(name, _)| name)
    }

    pub(super) fn next(&mut self) -> Result<Node, XmlError> {
        if let Some(pending) = self.pending.take() {
            return Ok(pending);
        }
        loop {
            self.buffer.clear();
            self.reader.get_mut().left = LONGEST_EVENT;
            let event = self.reader.read_event_into(&mut self.buffer).map_err(|error| match error {
                quick_xml::Error::Io(error) => {
                    XmlError::Read(io::Error::new(error.kind(), error.to_string()))
                }
                error => XmlError::Damaged(error.to_string()),
            })?;
            match event {
                Event::Start(start) => {
                    if self.open.len() == DEEPEST {
                        return Err(XmlError::Damaged(format!(
                            "more than {DEEPEST} elements lie in each other"
                        )));
                    }
                    let (name, attributes) = (start.local_name().as_ref().to_owned(), attributes(&start)?);
                    self.open.push((name.clone(), String::new()));
                    return Ok(Node::Start { name, attributes });
                }
                Event::Empty(start) => {
                    let (name, attributes) = (start.local_name().as_ref().to_owned(), attributes(&start)?);
                    self.pending = Some(Node::End { name: name.clone(), text: String::new() });
                    return Ok(Node::Start { name, attributes });
                }
                // The reader checks that names match.
                Event::End(_) => {
                    if let Some((name, text)) = self.open.pop() {
                        return Ok(Node::End { name, text: text.trim().to_owned() });
                    }
                }
                Event::Text(text) => append(&mut self.open, &text)?,
                Event::CData(text) => append(&mut self.open, &text)?,
                Event::GeneralRef(reference) => {
                    let letter =
                        reference.resolve_char_ref().map_err(|error| XmlError::Damaged(error.to_string()))?;
                    let predefined = resolve_predefined_entity(&reference);
                    let text = letter.map(String::from).or_else(|| predefined.map(str::to_owned));
                    let unknown = || XmlError::Damaged(format!("nobody knows the entity `{}`", &*reference));
                    append(&mut self.open, &text.ok_or_else(unknown)?)?;
                }
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
                Event::Eof => {
                    return match self.open.last() {
                        Some((name, _)) => {
                            Err(XmlError::Damaged(format!("it ends in the middle of `{name}`")))
                        }
                        None => Ok(Node::Eof),
                    };
                }
            }
        }
    }
}

fn append(open: &mut [(String, String)], text: &str) -> Result<(), XmlError> {
    let Some((name, before)) = open.last_mut() else { return Ok(()) };
    if before.len() + text.len() > LONGEST_EVENT {
        return Err(XmlError::Damaged(format!("the text of `{name}` is longer than a MiB")));
    }
    before.push_str(text);
    Ok(())
}

fn attributes(start: &BytesStart<'_>) -> Result<Vec<(String, String)>, XmlError> {
    let mut found = Vec::new();
    // Names that occur twice would be looked for in quadratic time, and do no harm.
    for attribute in start.attributes().with_checks(false) {
        let attribute = attribute.map_err(|error| XmlError::Damaged(error.to_string()))?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        let value = value.map_err(|error| XmlError::Damaged(error.to_string()))?;
        found.push((attribute.key.local_name().as_ref().to_owned(), value.into_owned()));
    }
    Ok(found)
}

/// Counts lines, and ends where an event is too long.
struct Lines {
    reader: BufReader<Box<dyn Read + Send>>,
    lines: u64,
    left: usize,
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Lines {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a piece of the XML is longer than a MiB",
            ));
        }
        self.reader.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        let buffer = self.reader.buffer();
        let taken = &buffer[..bytes.min(buffer.len())];
        self.lines += memchr::memchr_iter(b'\n', taken).count() as u64;
        self.left = self.left.saturating_sub(bytes);
        self.reader.consume(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(xml: &'static str) -> Result<Vec<(String, String)>, String> {
        let mut reader = Xml::new(Box::new(xml.as_bytes()));
        let mut texts = Vec::new();
        loop {
            match reader.next() {
                Ok(Node::End { name, text }) => texts.push((name, text)),
                Ok(Node::Start { .. }) => {}
                Ok(Node::Eof) => return Ok(texts),
                Err(XmlError::Damaged(problem)) => return Err(problem),
                Err(XmlError::Read(error)) => return Err(error.to_string()),
            }
        }
    }

    #[test]
    fn texts_are_put_together() {
        let found =
            texts("<?xml version=\"1.0\"?><a:b xmlns:a='x'> 1&lt;<![CDATA[2]]>&#51;<c/><!-- no --> 4 </a:b>")
                .unwrap();
        assert_eq!(found, [("c".to_owned(), String::new()), ("b".to_owned(), "1<23 4".to_owned())]);
    }

    #[test]
    fn attributes_and_lines() {
        let mut reader = Xml::new(Box::new(&b"<a>\n\n<b rel='up' x:href=\"1&amp;2\"/></a>"[..]));
        reader.next().unwrap();
        let Node::Start { name, attributes } = reader.next().unwrap() else { panic!("b begins") };
        assert_eq!((name.as_str(), reader.line()), ("b", 3));
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(attributes, [pair("rel", "up"), pair("href", "1&2")]);
    }

    #[test]
    fn what_does_harm_is_refused() {
        assert_eq!(texts("<a><b>").unwrap_err(), "it ends in the middle of `b`");
        assert!(texts("<a></b>").is_err());
        assert!(texts("<a>&bomb;</a>").unwrap_err().contains("`bomb`"));
        let mut deep = Xml::new(Box::new(io::Cursor::new("<a>".repeat(100))));
        assert!((0..100).any(|_| deep.next().is_err()));
        for endless in ["x", "<a ", "<!-- "] {
            let endless = io::Cursor::new(endless).chain(io::repeat(b'x'));
            assert!(Xml::new(Box::new(endless)).next().is_err());
        }
    }
}
