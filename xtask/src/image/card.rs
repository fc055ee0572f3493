//! The partition table of a card.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

const MIB: u64 = 1 << 20;
const SECTOR: u64 = 512;
/// Offset of the first partition in bytes.
pub const FIRST_PARTITION: u64 = 4 * MIB;

/// Writes partitions one after the other, each at a multiple of 4 MiB, behind a partition table that the firmware reads (MBR). Each
/// part has its kind's number.
///
/// # Errors
/// Returns an error if a part does not end at a sector's end, or the image cannot be written.
pub fn write(image: &Path, parts: &[(u8, &PathBuf)]) -> Result<()> {
    let mut file = File::create(image)?;
    let mut table = [0_u8; SECTOR as usize];
    let mut at = FIRST_PARTITION;
    for (number, (kind, part)) in parts.iter().enumerate() {
        let bytes = fs::metadata(part)?.len();
        ensure!(bytes % SECTOR == 0, "{} does not end at a sector's end", part.display());
        let entry = &mut table[446 + 16 * number..][..16];
        // Addresses by cylinder and head are obsolete; these values point the reader to the sectors.
        entry[1..4].copy_from_slice(&[0xfe, 0xff, 0xff]);
        entry[4] = *kind;
        entry[5..8].copy_from_slice(&[0xfe, 0xff, 0xff]);
        entry[8..12].copy_from_slice(&u32::try_from(at / SECTOR)?.to_le_bytes());
        entry[12..16].copy_from_slice(&u32::try_from(bytes / SECTOR)?.to_le_bytes());
        file.seek(SeekFrom::Start(at))?;
        std::io::copy(&mut File::open(part)?, &mut file)?;
        at = (at + bytes).next_multiple_of(FIRST_PARTITION);
    }
    table[510..].copy_from_slice(&[0x55, 0xaa]);
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&table)?;
    Ok(file.set_len(at)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_lie_where_the_table_says() {
        let folder = tempfile::tempdir().unwrap();
        let parts = [("a", 3 * MIB), ("b", 5 * MIB)].map(|(name, bytes)| {
            let path = folder.path().join(name);
            fs::write(&path, vec![name.as_bytes()[0]; bytes as usize]).unwrap();
            path
        });
        let image = folder.path().join("image");
        write(&image, &[(0x0c, &parts[0]), (0x83, &parts[1])]).unwrap();
        let bytes = fs::read(image).unwrap();
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!(bytes[510..512], [0x55, 0xaa]);
        for (number, (kind, letter, length)) in [(0x0c, b'a', 3 * MIB), (0x83, b'b', 5 * MIB)].into_iter().enumerate() {
            let entry = 446 + 16 * number;
            let (start, size) = (word(entry + 8) * 512, word(entry + 12) * 512);
            assert_eq!((bytes[entry + 4], size as u64), (kind, length));
            assert!(bytes[start..start + size].iter().all(|byte| *byte == letter));
            assert_eq!(bytes[start - 1], 0);
        }
        assert_eq!(bytes.len() as u64 % FIRST_PARTITION, 0);
    }
}
