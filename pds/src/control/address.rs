//! A name for the socket that fits into a socket address.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::SOCKET_NAME;

/// Bytes of a path in `sockaddr_un`, its closing zero left out (unix(7)).
const PATH_BYTES_MAX: usize = 107;

/// The socket of a data directory.
pub struct Address {
    path: PathBuf,
    short: PathBuf,
    /// What `short` goes through; open for as long as it is used.
    _directory: Option<OwnedFd>,
}

impl Address {
    /// Names the socket of `directory`, which must be there if its path is long.
    ///
    /// # Errors
    /// If the directory cannot be opened.
    pub fn of(directory: &Path) -> io::Result<Self> {
        let path = directory.join(SOCKET_NAME);
        if path.as_os_str().len() <= PATH_BYTES_MAX {
            return Ok(Self { short: path.clone(), path, _directory: None });
        }
        let fd = rustix::fs::open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let short = PathBuf::from(format!("/proc/self/fd/{}/{SOCKET_NAME}", fd.as_raw_fd()));
        Ok(Self { path, short, _directory: Some(fd) })
    }

    /// The name for people.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name for `bind` and `connect`: the same file, by a path that is short enough.
    #[must_use]
    pub fn short(&self) -> &Path {
        &self.short
    }
}
