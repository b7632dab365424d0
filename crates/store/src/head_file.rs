//! The file `HEAD`: the last acknowledged commit, outside the database.
//!
//! A database that was replaced by an older copy, or that lost the end of its log to damage, is a consistent database: it
//! can't know what it has lost. This file does. It is written and synced after a commit and before its acknowledgement,
//! so the database is at this commit or ahead of it, or acknowledged commits are gone.
//!
//! Two slots are written in turn, each within one sector: a torn write leaves the other one, which is older, and so still
//! true.

use std::io;

use xxhash_rust::xxh3::xxh3_64;

use crate::disk::Disk;
use crate::error::StoreError;

/// Its name.
pub(crate) const NAME: &str = "HEAD";

const MAGIC: &[u8; 8] = b"SHEAFHD1";
/// Magic, store, commit, nonce, checksum.
const SLOT_BYTES: usize = 40;
/// The slots lie in different sectors, so that no write touches both.
const SLOT_OFFSETS: [usize; 2] = [0, 4096];

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    pub(crate) store: i64,
    pub(crate) commit: i64,
    pub(crate) nonce: i64,
}

/// What there is of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadFile {
    Missing,
    /// No slot is intact.
    Damaged,
    Intact(Acknowledged),
}

/// Reads the file.
pub(crate) fn read(disk: &dyn Disk) -> Result<HeadFile, StoreError> {
    let failed = |source| StoreError::Disk { action: "read", file: disk.describe(NAME), source };
    let file = match disk.open(NAME) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HeadFile::Missing),
        other => other.map_err(failed)?,
    };
    let len = file.bytes().map_err(failed)?.min(64 * 1024) as usize;
    let mut contents = vec![0; len];
    file.read_exact_at(&mut contents, 0).map_err(failed)?;
    Ok(parse(&contents).0)
}

/// Raises the file to a commit, and returns when it is durable. A file that is ahead stays as it is.
pub(crate) fn raise(disk: &dyn Disk, to: Acknowledged) -> Result<(), StoreError> {
    update(disk, |contents| match parse(contents) {
        (HeadFile::Intact(found), _) if found.commit >= to.commit => None,
        (HeadFile::Intact(_), newest) => Some((SLOT_OFFSETS[1 - newest] as u64, encode(to).to_vec())),
        // Nothing is there that could be torn.
        _ => Some((0, both_slots(to))),
    })
}

/// Writes the file, whatever is in it.
pub(crate) fn reset(disk: &dyn Disk, to: Acknowledged) -> Result<(), StoreError> {
    update(disk, |_| Some((0, both_slots(to))))
}

fn update(disk: &dyn Disk, change: impl Fn(&[u8]) -> Option<(u64, Vec<u8>)>) -> Result<(), StoreError> {
    disk.update(NAME, &mut |contents| Ok(change(contents))).map_err(|source| StoreError::Disk {
        action: "write",
        file: disk.describe(NAME),
        source,
    })
}

fn both_slots(to: Acknowledged) -> Vec<u8> {
    let mut both = vec![0; SLOT_OFFSETS[1]];
    both[..SLOT_BYTES].copy_from_slice(&encode(to));
    both.extend(encode(to));
    both
}

/// What the contents say, and which slot says it (0 if none does).
fn parse(contents: &[u8]) -> (HeadFile, usize) {
    let slots = SLOT_OFFSETS.map(|offset| contents.get(offset..offset + SLOT_BYTES).and_then(decode));
    match slots {
        [Some(first), Some(second)] if second.commit >= first.commit => (HeadFile::Intact(second), 1),
        [Some(first), _] => (HeadFile::Intact(first), 0),
        [None, Some(second)] => (HeadFile::Intact(second), 1),
        [None, None] if contents.is_empty() => (HeadFile::Missing, 0),
        [None, None] => (HeadFile::Damaged, 0),
    }
}

fn encode(to: Acknowledged) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[..8].copy_from_slice(MAGIC);
    slot[8..16].copy_from_slice(&to.store.to_le_bytes());
    slot[16..24].copy_from_slice(&to.commit.to_le_bytes());
    slot[24..32].copy_from_slice(&to.nonce.to_le_bytes());
    let checksum = xxh3_64(&slot[..32]);
    slot[32..].copy_from_slice(&checksum.to_le_bytes());
    slot
}

fn decode(slot: &[u8]) -> Option<Acknowledged> {
    let int = |at: usize| Some(i64::from_le_bytes(slot.get(at..at + 8)?.try_into().ok()?));
    if &slot[..8] != MAGIC || int(32)? != xxh3_64(&slot[..32]) as i64 {
        return None;
    }
    Some(Acknowledged { store: int(8)?, commit: int(16)?, nonce: int(24)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::LocalDisk;

    fn at(commit: i64) -> Acknowledged {
        Acknowledged { store: 7, commit, nonce: commit * 31 }
    }

    #[test]
    fn the_file_rises_and_never_falls() {
        let folder = tempfile::tempdir().unwrap();
        let disk = LocalDisk::new(folder.path()).unwrap();
        assert_eq!(read(&disk).unwrap(), HeadFile::Missing);
        for (to, then) in [(0, 0), (1, 1), (2, 2), (1, 2), (9, 9), (3, 9), (10, 10)] {
            raise(&disk, at(to)).unwrap();
            assert_eq!(read(&disk).unwrap(), HeadFile::Intact(at(then)));
        }
        reset(&disk, at(4)).unwrap();
        assert_eq!(read(&disk).unwrap(), HeadFile::Intact(at(4)));
    }

    #[test]
    fn a_flipped_byte_leaves_the_commit_before_or_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let disk = LocalDisk::new(folder.path()).unwrap();
        (0..4).for_each(|commit| raise(&disk, at(commit)).unwrap());
        let contents = std::fs::read(folder.path().join(NAME)).unwrap();
        for offset in 0..contents.len() {
            let mut damaged = contents.clone();
            damaged[offset] ^= 0x10;
            assert!(matches!(parse(&damaged).0, HeadFile::Intact(found) if found == at(3) || found == at(2)));
        }
        assert_eq!(parse(&vec![0; contents.len()]).0, HeadFile::Damaged);
    }
}
