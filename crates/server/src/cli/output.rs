//! Where values go: standard output, or a file that appears once it is whole.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// Standard output or a file.
pub(crate) enum Output<'a, W: Write> {
    Stdout(&'a mut W),
    /// What is no regular file can't be replaced: a pipe, a device.
    Special(BufWriter<File>),
    File(BufWriter<NamedTempFile>, PathBuf),
}

impl<'a, W: Write> Output<'a, W> {
    pub(crate) fn new(
        file: Option<&Path>,
        stdout: &'a mut W,
        is_binary: bool,
    ) -> Result<Output<'a, W>, Box<dyn Error>> {
        let Some(file) = file else {
            if is_binary && io::stdout().is_terminal() {
                return Err(
                    "this format is nothing for a terminal: send it to a file with -o, or to a pipe".into()
                );
            }
            return Ok(Output::Stdout(stdout));
        };
        let of_file = |error: io::Error| format!("can't write {}: {error}", file.display());
        match fs::metadata(file) {
            Ok(found) if found.is_dir() => {
                Err(format!("can't write {}: it is a folder", file.display()).into())
            }
            Ok(found) if !found.is_file() => {
                Ok(Output::Special(BufWriter::new(File::create(file).map_err(of_file)?)))
            }
            _ => {
                let folder = match file.parent() {
                    Some(folder) if folder != Path::new("") => folder,
                    _ => Path::new("."),
                };
                let mut builder = tempfile::Builder::new();
                builder.prefix(".sheaf-");
                #[cfg(unix)]
                {
                    use std::os::unix::fs::PermissionsExt;
                    // As any other new file: what the user's mask leaves of it.
                    builder.permissions(fs::Permissions::from_mode(0o666));
                }
                let temporary = builder.tempfile_in(folder).map_err(of_file)?;
                Ok(Output::File(BufWriter::with_capacity(1 << 18, temporary), file.to_owned()))
            }
        }
    }

    /// Gives the file its name.
    pub(crate) fn finish(self) -> Result<(), Box<dyn Error>> {
        match self {
            Output::Stdout(out) => out.flush()?,
            Output::Special(mut out) => out.flush()?,
            Output::File(out, file) => {
                let temporary = out.into_inner().map_err(io::IntoInnerError::into_error)?;
                temporary
                    .persist(&file)
                    .map_err(|error| format!("can't write {}: {}", file.display(), error.error))?;
            }
        }
        Ok(())
    }
}

impl<W: Write> Write for Output<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Output::Stdout(out) => out.write(bytes),
            Output::Special(out) => out.write(bytes),
            Output::File(out, _) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Output::Stdout(out) => out.flush(),
            Output::Special(out) => out.flush(),
            Output::File(out, _) => out.flush(),
        }
    }
}
