//! Where an export goes.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use backend_api::{Error, Reason, Result};

/// A file that appears under its name only when it is whole, or standard output.
pub struct Output {
    to: To,
}

enum To {
    Stdout,
    File { file: File, part: PathBuf, path: PathBuf },
}

impl Output {
    /// Writes to `path`, or to standard output.
    ///
    /// # Errors
    /// [`Reason::BadRequest`] for a terminal; what creating the file says.
    pub fn create(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            if io::stdout().is_terminal() {
                let detail = "a CAR file is not for a terminal: give --output FILE, or send it into a file or a pipe";
                return Err(Error::new(Reason::BadRequest, detail));
            }
            return Ok(Self { to: To::Stdout });
        };
        let part = PathBuf::from(format!("{}.part", path.display()));
        let file = File::create(&part).map_err(|e| failed(&part, &e))?;
        Ok(Self { to: To::File { file, part, path: path.to_owned() } })
    }

    /// Writes a piece.
    ///
    /// # Errors
    /// [`Reason::ReadFailed`] or [`Reason::StorageFull`] with the file.
    pub fn write(&mut self, piece: &[u8]) -> Result<()> {
        match &mut self.to {
            To::Stdout => io::stdout().write_all(piece).map_err(|e| failed(Path::new("standard output"), &e)),
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
