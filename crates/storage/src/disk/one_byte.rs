//! Tells a block in which one byte changed from a block that was never written whole.
//!
//! The last record of a log may be incomplete because the machine stopped while it was written; it was not acknowledged
//! then and can go. It may also be complete, acknowledged, and damaged since. A checksum alone cannot tell the two apart,
//! but CRC-32 is linear: the difference between the stored and the actual checksum depends only on which byte changed and
//! how, and stepping it back byte by byte finds that place, if there is one, in one pass over the block.

/// The reflected CRC-32 polynomial (IEEE 802.3) that `crc32fast` computes.
const POLYNOMIAL: u32 = 0xEDB8_8320;

/// A change of one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// Which byte, counted from the start of the block.
    pub(super) position: usize,
    /// What to combine it with, by exclusive or, to get the original byte.
    pub(super) difference: u8,
}

/// The one byte of `block` that makes its checksum `stored_crc` when it is changed. The last such place, should there be
/// several; by chance alone there is one in fewer than 1 of 2^24 / length blocks.
pub(super) fn find_changed_byte(block: &[u8], stored_crc: u32) -> Option<Change> {
    let table = crc_table();
    let mut difference = crc32fast::hash(block) ^ stored_crc;
    for position in (0..block.len()).rev() {
        // A change here has gone through the table once, and has since been shifted by the bytes behind it.
        if let Some(byte) = table.iter().position(|entry| *entry == difference) {
            return (byte != 0).then_some(Change { position, difference: byte as u8 });
        }
        difference = step_back(&table, difference);
    }
    None
}

/// Undoes one step of the checksum over a zero byte. Every table entry has a different top byte, so the entry that was
/// mixed in can be told from the top byte of the result.
fn step_back(table: &[u32; 256], crc: u32) -> u32 {
    let mixed_in = table.iter().position(|entry| entry >> 24 == crc >> 24).unwrap_or_default();
    ((crc ^ table[mixed_in]) << 8) | mixed_in as u32
}

fn crc_table() -> [u32; 256] {
    std::array::from_fn(|byte| (0..8).fold(byte as u32, |crc, _| (crc >> 1) ^ (POLYNOMIAL * (crc & 1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> Vec<u8> {
        (0..200u32).map(|index| (index * 37 % 251) as u8).collect()
    }

    #[test]
    fn every_change_of_one_byte_is_found() {
        let crc = crc32fast::hash(&block());
        for position in 0..block().len() {
            for difference in [1u8, 0x80, 0xFF, 0x5A] {
                let mut changed = block();
                changed[position] ^= difference;
                assert_eq!(find_changed_byte(&changed, crc), Some(Change { position, difference }));
            }
        }
    }

    #[test]
    fn a_whole_block_and_a_torn_block_have_no_changed_byte() {
        let crc = crc32fast::hash(&block());
        assert_eq!(find_changed_byte(&block(), crc), None);
        for length in 1..block().len() - 4 {
            let mut torn = block();
            torn[length..].fill(0);
            assert_eq!(find_changed_byte(&torn, crc), None, "torn after {length} bytes");
        }
    }
}
