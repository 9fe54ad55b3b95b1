//! Reading CAR files from anybody, as their bytes come in.

use bytes::{Buf, Bytes, BytesMut};

use crate::cbor::{Malformed, Reader};
use crate::cid::Cid;
use crate::error::{Error, Reason, Result};

/// Bytes of a length's varint at the most: none that is allowed needs more.
const VARINT_BYTES_MAX: usize = 9;

/// What a CAR file may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CarLimits {
    /// Bytes of a block, without its CID.
    pub block_bytes_max: usize,
    /// Bytes of the header.
    pub header_bytes_max: usize,
}

impl Default for CarLimits {
    fn default() -> Self {
        Self { block_bytes_max: 2 << 20, header_bytes_max: 4096 }
    }
}

/// What a CAR file says next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CarEvent {
    /// The header; always first.
    Header {
        /// The roots. A repository export has one.
        roots: Vec<Cid>,
    },
    /// A block, whose bytes hash to its CID. One CID can come several times.
    Block {
        /// Its CID.
        cid: Cid,
        /// Its bytes.
        bytes: Bytes,
        /// Where in the file its entry starts, in bytes.
        offset: u64,
    },
}

/// Takes a CAR file in pieces of any size, and gives header and blocks as soon as they are whole. Every block is hashed
/// against its CID. Holds what was pushed and not yet taken, so it is emptied with [`CarReader::next`] after each push;
/// then it holds less than one block and one piece.
///
/// ```
/// # use backend_api::{Cid, car::{self, CarEvent, CarReader}};
/// let cid = Cid::of_block(b"\xa0");
/// let mut file = car::header(cid);
/// car::append_block(&mut file, &cid, b"\xa0");
///
/// let mut reader = CarReader::new();
/// let mut blocks = 0;
/// for piece in file.chunks(7) {
///     reader.push(piece);
///     while let Some(event) = reader.next()? {
///         blocks += usize::from(matches!(event, CarEvent::Block { .. }));
///     }
/// }
/// reader.finish()?;
/// assert_eq!(blocks, 1);
/// # Ok::<(), backend_api::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct CarReader {
    limits: CarLimits,
    buffer: BytesMut,
    /// Where in the file the buffer starts.
    offset: u64,
    has_header: bool,
    /// What stopped it. Nothing that comes after a fault can be trusted to be where it seems to be.
    fault: Option<Error>,
}

impl CarReader {
    /// A reader with the default limits: blocks of 2 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A reader with other limits.
    #[must_use]
    pub fn with_limits(limits: CarLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes the next piece of the file.
    pub fn push(&mut self, piece: &[u8]) {
        if self.fault.is_none() {
            self.buffer.extend_from_slice(piece);
        }
    }

    /// The next event, or `None` if more of the file is needed for it.
    ///
    /// # Errors
    /// [`Reason::BadCar`], [`Reason::BadCid`], [`Reason::HashMismatch`], or [`Reason::TooLarge`] beyond a limit, each
    /// with the offset in the file. The same error comes again from then on.
    #[allow(clippy::should_implement_trait, reason = "`None` is not the end")]
    pub fn next(&mut self) -> Result<Option<CarEvent>> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let event = if self.has_header { self.block() } else { self.header() };
        if let Err(fault) = &event {
            self.fault = Some(fault.clone());
            self.buffer = BytesMut::new();
        }
        event
    }

    /// The file is at its end.
    ///
    /// # Errors
    /// [`Reason::BadCar`] if it ends within the header or a block; the error of [`CarReader::next`] if there was one.
    pub fn finish(mut self) -> Result<()> {
        match self.next()? {
            Some(_) => Err(self.bad("not everything was read")),
            None if !self.has_header => Err(self.bad("the file ends within its header")),
            None if !self.buffer.is_empty() => Err(self.bad("the file ends within the block that starts here")),
            None => Ok(()),
        }
    }

    fn header(&mut self) -> Result<Option<CarEvent>> {
        let Some((prefix, length)) = self.length("header", self.limits.header_bytes_max)? else { return Ok(None) };
        let Some(body) = self.buffer.get(prefix..prefix + length) else { return Ok(None) };
        let roots = parse_header(body).map_err(|e| {
            let at = self.offset + prefix as u64 + e.offset as u64;
            Error::new(Reason::BadCar, format!("byte {at} of the CAR file, in its header: {}", e.what))
        })?;
        self.consume(prefix + length);
        self.has_header = true;
        Ok(Some(CarEvent::Header { roots }))
    }

    fn block(&mut self) -> Result<Option<CarEvent>> {
        let length_max = self.limits.block_bytes_max.saturating_add(Cid::BYTES);
        let Some((prefix, length)) = self.length("block", length_max)? else { return Ok(None) };
        let Some(entry) = self.buffer.get(prefix..prefix + length) else { return Ok(None) };
        let Some((cid, block)) = entry.split_at_checked(Cid::BYTES) else {
            return Err(self.bad(&format!("a block of {length} bytes has no room for a CID")));
        };
        let at = format!("byte {} of the CAR file", self.offset);
        let cid = Cid::from_bytes(cid).map_err(|e| e.context(&at))?;
        if !cid.matches(block) {
            let detail = format!("{at}: the {} bytes of block {cid} do not hash to it", block.len());
            return Err(Error::new(Reason::HashMismatch, detail));
        }
        // A copy, so that a caller who keeps one small block does not keep the whole piece that it came in.
        let bytes = Bytes::copy_from_slice(block);
        let offset = self.offset;
        self.consume(prefix + length);
        Ok(Some(CarEvent::Block { cid, bytes, offset }))
    }

    /// The length at the front of the buffer, and how many bytes its varint takes.
    fn length(&self, what: &str, length_max: usize) -> Result<Option<(usize, usize)>> {
        let mut value: u64 = 0;
        for (index, byte) in self.buffer.iter().take(VARINT_BYTES_MAX).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 != 0 {
                continue;
            }
            if *byte == 0 && index > 0 {
                return Err(self.bad("a length that is not written in the shortest way"));
            }
            return match usize::try_from(value) {
                Ok(0) => Err(self.bad(&format!("a {what} of length 0"))),
                Ok(length) if length <= length_max => Ok(Some((index + 1, length))),
                _ => {
                    let detail = format!("byte {} of the CAR file: a {what} of {value} bytes", self.offset);
                    Err(Error::new(Reason::TooLarge, format!("{detail}, the most is {length_max}")))
                }
            };
        }
        match self.buffer.len() {
            0..VARINT_BYTES_MAX => Ok(None),
            _ => Err(self.bad("a length that does not end")),
        }
    }

    fn consume(&mut self, bytes: usize) {
        self.buffer.advance(bytes);
        self.offset += bytes as u64;
    }

    fn bad(&self, what: &str) -> Error {
        Error::new(Reason::BadCar, format!("byte {} of the CAR file: {what}", self.offset))
    }
}

fn parse_header(body: &[u8]) -> std::result::Result<Vec<Cid>, Malformed> {
    let mut r = Reader::new(body);
    if r.map()? != 2 {
        return Err(Malformed::new(0, "not a map of roots and version"));
    }
    r.key("roots")?;
    let roots = (0..r.array()?).map(|_| r.link()).collect::<std::result::Result<_, _>>()?;
    r.key("version")?;
    let at = r.offset();
    match r.uint()? {
        1 => r.end().map(|()| roots),
        other => Err(Malformed::new(at, format!("version {other}; only 1 is read"))),
    }
}
