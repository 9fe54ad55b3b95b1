//! Making sidecars.

use std::path::Path;

use backend_api::Result;

use super::mend::is_as_said;
use super::{Sidecar, path_of};
use crate::format::header::{FileKind, Header};
use crate::format::parity::{Builder, REGION_BYTES, STRIPE_BYTES, slot};
use crate::io::{Disk, File, failed, read_over};

/// True if the sidecar of a file covers so many bytes of it.
pub fn is_covered(disk: &dyn Disk, path: &Path, header: &Header, len: u64) -> bool {
    let sidecar = Sidecar::open(disk, path, header.store).filter(|s| s.header == of(header));
    sidecar.is_some_and(|sidecar| sidecar.covered() == len)
}

/// Brings the sidecar of a file up to `len`: what of the file is durable, was checked, and never changes again. Adds to
/// what is there, and begins again where that is not sound or is of another file.
pub fn cover(disk: &dyn Disk, path: &Path, header: &Header, file: &dyn File, len: u64) -> Result<()> {
    let header = of(header);
    let known = Sidecar::open(disk, path, header.store).filter(|s| s.header == header);
    let covered = known.as_ref().map_or(0, Sidecar::covered);
    if covered == len && known.is_some() {
        return Ok(());
    }
    let aside = path_of(path);
    let fail = |e: std::io::Error| failed("write", &aside, &e);
    let (sidecar, covered) = match known {
        Some(sidecar) if covered < len => {
            // What is replaced is the only other witness of these bytes.
            let region = (covered / REGION_BYTES) as u32;
            sidecar.entry(region).map_or(Ok(()), |entry| is_as_said(file, path, region, entry))?;
            (sidecar.file, covered)
        }
        _ => {
            let there = disk.exists(&aside).map_err(fail)?;
            let sidecar = if there { disk.open(&aside) } else { disk.create(&aside) }.map_err(fail)?;
            sidecar.set_len(0).and_then(|()| sidecar.write_all_at(&header.encode(), 0)).map_err(fail)?;
            (sidecar, 0)
        }
    };
    // An entry of part of a region is made again when the region has more.
    let mut region = (covered / REGION_BYTES) as u32;
    while u64::from(region) * REGION_BYTES < len {
        let entry = entry(file, path, region, len)?;
        sidecar.write_all_at(&entry, slot(region)).map_err(fail)?;
        region += 1;
    }
    Ok(())
}

const fn of(header: &Header) -> Header {
    Header { kind: FileKind::Parity, ..*header }
}

/// The entry of a region of a file that has `len` bytes that count. A stripe in memory at a time.
fn entry(file: &dyn File, path: &Path, region: u32, len: u64) -> Result<Vec<u8>> {
    let start = u64::from(region) * REGION_BYTES;
    let end = len.min(start + REGION_BYTES);
    let mut builder = Builder::new(region);
    let mut offset = start;
    let mut stripe = Vec::new();
    while offset < end {
        let len = STRIPE_BYTES.min((end - offset) as usize);
        let read = read_over(file, &mut stripe, len, offset).and_then(|()| match stripe.len() {
            read if read == len => Ok(()),
            _ => Err(std::io::ErrorKind::UnexpectedEof.into()),
        });
        read.map_err(|e| failed("read", path, &e).context(format!("offset {offset}")))?;
        builder.stripe(&stripe);
        offset += stripe.len() as u64;
    }
    Ok(builder.finish())
}
