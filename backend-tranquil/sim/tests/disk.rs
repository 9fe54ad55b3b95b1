//! The simulated disk itself: what it lets happen, and what it knows of it.

use std::io;
use std::path::Path;

use backend_tranquil::io::{Disk, read_exact_at};
use tranquil_sim::Rng;
use tranquil_sim::disk::{Fault, Faults, SimDisk, State};

const LEN: usize = 700;

fn read(disk: &SimDisk, path: &Path) -> io::Result<Vec<u8>> {
    read_exact_at(&*disk.open(path)?, LEN, 0)
}

/// What a file has. A bit of it rots while it is read.
fn read_and_rot(disk: &SimDisk, path: &Path) -> io::Result<Vec<u8>> {
    {
        let mut state = disk.state();
        state.faults.at = Some((state.counted + 2, Fault::Rot));
    }
    let bytes = read(disk, path)?;
    assert!(std::mem::take(&mut disk.state().faults.has_happened), "no bit rotted");
    Ok(bytes)
}

fn write(disk: &SimDisk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = disk.create(path)?;
    file.write_all_at(bytes, 0)?;
    file.sync()
}

/// A copy takes the name of a file that rotted before it was copied, and rots itself before it does.
#[test]
fn a_copy_that_rots_before_it_takes_the_name_is_restored_to_what_was_first_written() -> io::Result<()> {
    for seed in 0..200 {
        let disk = SimDisk::new(State::new(Faults::none(), Rng::new(seed)));
        let (path, aside) = (Path::new("/file"), Path::new("/file.tmp"));
        let first: Vec<u8> = (0..LEN).map(|n| n as u8 ^ seed as u8).collect();
        write(&disk, path, &first)?;
        let copied = read_and_rot(&disk, path)?;
        assert_ne!(copied, first, "seed {seed}");
        write(&disk, aside, &copied)?;
        read_and_rot(&disk, aside)?;
        disk.rename(aside, path)?;
        assert!(disk.state().is_harmed());
        disk.state().heal();
        assert_eq!(read(&disk, path)?, first, "seed {seed}");
    }
    Ok(())
}
