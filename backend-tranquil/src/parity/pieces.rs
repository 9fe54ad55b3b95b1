//! What a file is made of, followed as its bytes come by: each piece with a checksum of its own.

/// What stands at the start of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// A sound piece of this length.
    Whole(usize),
    /// So far a piece, but it needs this many bytes in all.
    Short(usize),
    /// No piece, and why.
    Bad(&'static str),
}

/// Reads what stands at the start of some bytes.
pub type Reads<'a> = dyn FnMut(&[u8]) -> Piece + 'a;

/// Of a file that was found sound as a whole: whatever comes.
pub const fn found_sound(bytes: &[u8]) -> Piece {
    if bytes.is_empty() { Piece::Short(1) } else { Piece::Whole(bytes.len()) }
}

/// Finds all pieces sound, or the first that is not.
pub struct Pieces<'a> {
    /// Where the next piece begins.
    pub at: u64,
    /// Of that piece, what came so far.
    begun: Vec<u8>,
    reads: &'a mut Reads<'a>,
}

impl<'a> Pieces<'a> {
    /// From where a piece begins.
    pub fn new(at: u64, reads: &'a mut Reads<'a>) -> Self {
        Self { at, begun: Vec::new(), reads }
    }

    /// Up to where bytes were taken.
    pub const fn taken(&self) -> u64 {
        self.at + self.begun.len() as u64
    }

    /// Takes the bytes that follow. `each` is told where each piece ends.
    ///
    /// # Errors
    /// Why no piece stands at [`Pieces::at`].
    pub fn take(&mut self, mut bytes: &[u8], each: &mut dyn FnMut(u64)) -> Result<(), &'static str> {
        loop {
            let straddles = !self.begun.is_empty();
            match (self.reads)(if straddles { &self.begun } else { bytes }) {
                Piece::Whole(len) => {
                    self.at += len as u64;
                    each(self.at);
                    if straddles {
                        self.begun.clear();
                    } else {
                        bytes = &bytes[len..];
                    }
                }
                Piece::Short(_) if bytes.is_empty() => return Ok(()),
                Piece::Short(whole) => {
                    let wanted = if straddles { whole - self.begun.len() } else { usize::MAX };
                    let (more, rest) = bytes.split_at(wanted.min(bytes.len()));
                    self.begun.extend_from_slice(more);
                    bytes = rest;
                }
                Piece::Bad(why) => return Err(why),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A length, and as many bytes that are all the same.
    fn reads(bytes: &[u8]) -> Piece {
        let Some(len) = bytes.first().map(|len| 1 + usize::from(*len)) else { return Piece::Short(1) };
        match bytes.get(1..len) {
            None => Piece::Short(len),
            Some(body) if body.windows(2).all(|two| two[0] == two[1]) => Piece::Whole(len),
            Some(_) => Piece::Bad("not all the same"),
        }
    }

    #[test]
    fn pieces_are_found_however_the_bytes_come() {
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for len in [0, 1, 9, 0, 0, 200, 3, 0] {
            bytes.push(len);
            bytes.extend(vec![len; usize::from(len)]);
            ends.push(100 + bytes.len() as u64);
        }
        for step in 1..=bytes.len() {
            let mut found = Vec::new();
            let mut reads = reads;
            let mut pieces = Pieces::new(100, &mut reads);
            for part in bytes.chunks(step) {
                pieces.take(part, &mut |end| found.push(end)).unwrap();
            }
            assert_eq!((found, pieces.at, pieces.taken()), (ends.clone(), ends[7], ends[7]), "{step} at a time");
            pieces.take(&[9, 9], &mut |_| unreachable!("it is not whole")).unwrap();
            assert_eq!((pieces.at, pieces.taken()), (ends[7], ends[7] + 2));
            assert!(pieces.take(&[1; 8], &mut |_| unreachable!("it is none")).is_err());
        }
    }
}
