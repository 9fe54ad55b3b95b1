//! Where an export goes, and what came of a command.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use backend_api::{Error, Reason, Result};

/// Writes a line to standard output.
///
/// # Errors
/// That nobody reads it any more, or that the disk that it goes to is full.
pub fn print(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{line}").and_then(|()| out.flush());
    written.map_err(|e| failed(Path::new("standard output"), &e))
}

/// Writes a line to standard error, if anybody listens.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A file that appears under its name only when it is whole, or a stream.
pub struct Output {
    to: To,
}

enum To {
    Stdout,
    /// A device or a pipe, which is nothing that a whole file could take the place of.
    Stream {
        stream: File,
        path: PathBuf,
    },
    File {
        file: File,
        part: PathBuf,
        path: PathBuf,
    },
}

impl Output {
    /// Writes to `path`, or to standard output.
    ///
    /// # Errors
    /// [`Reason::BadRequest`] for a terminal and for a directory; what creating the file says.
    pub fn create(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            if io::stdout().is_terminal() {
                let detail = "a CAR file is not for a terminal: give --output FILE, or send it into a file or a pipe";
                return Err(Error::new(Reason::BadRequest, detail));
            }
            return Ok(Self { to: To::Stdout });
        };
        // A link stays one: what it names is replaced.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        match std::fs::metadata(&path) {
            Ok(there) if there.is_dir() => {
                Err(Error::new(Reason::BadRequest, format!("{}: is a directory", path.display())))
            }
            Ok(there) if !there.is_file() => {
                let stream = OpenOptions::new().write(true).open(&path).map_err(|e| failed(&path, &e))?;
                Ok(Self { to: To::Stream { stream, path } })
            }
            _ => {
                // Of this process alone: another export to the same name writes its own.
                let mut part = path.clone().into_os_string();
                part.push(format!(".{}.part", std::process::id()));
                let part = PathBuf::from(part);
                let file = File::create_new(&part).map_err(|e| failed(&part, &e))?;
                Ok(Self { to: To::File { file, part, path } })
            }
        }
    }

    /// Writes a piece.
    ///
    /// # Errors
    /// [`Reason::ReadFailed`] or [`Reason::StorageFull`] with the file.
    pub fn write(&mut self, piece: &[u8]) -> Result<()> {
        match &mut self.to {
            To::Stdout => io::stdout().write_all(piece).map_err(|e| failed(Path::new("standard output"), &e)),
            To::Stream { stream, path } => stream.write_all(piece).map_err(|e| failed(path, &e)),
            To::File { file, part, .. } => file.write_all(piece).map_err(|e| failed(part, &e)),
        }
    }

    /// The file is whole: makes it durable and gives it its name.
    ///
    /// # Errors
    /// As [`Output::write`].
    pub fn finish(mut self) -> Result<()> {
        match &mut self.to {
            To::Stdout => io::stdout().flush().map_err(|e| failed(Path::new("standard output"), &e)),
            To::Stream { .. } => Ok(()),
            To::File { file, part, path } => {
                file.sync_all().map_err(|e| failed(part, &e))?;
                std::fs::rename(&*part, &*path).map_err(|e| failed(path, &e))
            }
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let To::File { part, .. } = &self.to {
            // After a rename there is nothing of that name.
            let _ = std::fs::remove_file(part);
        }
    }
}

fn failed(path: &Path, error: &io::Error) -> Error {
    let reason = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Reason::StorageFull,
        _ => Reason::ReadFailed,
    };
    Error::new(reason, format!("{}: {error}", path.display()))
}
