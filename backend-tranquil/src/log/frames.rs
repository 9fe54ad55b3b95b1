//! The frames of a log file, one after the other, whatever cycles they are of.

use std::path::Path;

use backend_api::{Error, Reason, Result};

use crate::format::frame::{Frame, Parsed, parse};
use crate::io::{File, failed, read_over};
use crate::parity::Piece;

const CHUNK_BYTES: usize = 1 << 20;

/// Gives each frame from an offset on, with its bytes, up to `to`, to the zeros behind the last, or to the end of the file.
/// Returns where that is.
///
/// # Errors
/// [`Reason::DataCorrupt`] where no frame stands and something else than zeros.
pub fn each_frame(
    file: &dyn File,
    path: &Path,
    from: u64,
    to: u64,
    mut each: impl FnMut(u64, Frame<'_>, &[u8]) -> Result<()>,
) -> Result<u64> {
    let mut offset = from;
    let mut chunk = Vec::new();
    let mut skip = 0;
    while offset < to {
        match parse(&chunk[skip..]) {
            Parsed::Frame(frame) => {
                let whole = frame.len();
                each(offset, frame, &chunk[skip..skip + whole])?;
                offset += whole as u64;
                skip += whole;
            }
            Parsed::Short(whole) => {
                // Memory that nothing is read into is not cleared for it.
                let len = whole.max((to - offset).min(CHUNK_BYTES as u64) as usize);
                read_over(file, &mut chunk, len, offset).map_err(|e| failed("read", path, &e))?;
                skip = 0;
                if chunk.len() < whole {
                    break;
                }
            }
            Parsed::Bad(_) if chunk[skip..].iter().all(|b| *b == 0) => break,
            Parsed::Bad(why) => {
                let detail = format!("{}: offset {offset}: {why}; nothing was changed", path.display());
                return Err(Error::new(Reason::DataCorrupt, detail));
            }
        }
    }
    Ok(offset)
}

/// The frame at the start of some bytes, as a piece of a file.
pub fn frame_piece(bytes: &[u8]) -> Piece {
    match parse(bytes) {
        Parsed::Frame(frame) => Piece::Whole(frame.len()),
        Parsed::Short(whole) => Piece::Short(whole),
        Parsed::Bad(why) => Piece::Bad(why),
    }
}
