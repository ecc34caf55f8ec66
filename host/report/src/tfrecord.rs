//! TFRecord framing: length (u64, little endian), its masked CRC-32C, the bytes, their masked CRC-32C.
//! The mask is that of TensorFlow's `crc32c.h`.

use std::io::{ErrorKind, Read};

/// Bytes of a record beside its content.
pub(crate) const FRAME: u64 = 8 + 4 + 4;

fn masked_crc(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// Appends `content` to `out` as one record.
pub(crate) fn append(out: &mut Vec<u8>, content: &[u8]) {
    let length = (content.len() as u64).to_le_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&masked_crc(&length));
    out.extend_from_slice(content);
    out.extend_from_slice(&masked_crc(content));
}

/// Reads the whole records of a stream. A record with a wrong checksum is left out; where a length cannot
/// be trusted, or the stream ends inside a record, reading stops.
pub(crate) struct Records<R> {
    input: R,
    remaining: u64,
    damaged: u64,
}

impl<R: Read> Records<R> {
    /// Reads a stream of `length` bytes.
    pub(crate) fn new(input: R, length: u64) -> Records<R> {
        Records { input, remaining: length, damaged: 0 }
    }

    /// The next whole record, or `None` at the end.
    pub(crate) fn next(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        loop {
            let mut head = [0; 12];
            if self.remaining < FRAME || !self.fill(&mut head)? {
                return Ok(self.stop());
            }
            let (length, crc) = head.split_at(8);
            let size = length.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            // Also keeps a nonsensical length from asking for all memory.
            if crc != masked_crc(length) || size > self.remaining - FRAME {
                return Ok(self.stop());
            }
            let mut content = vec![0; size as usize];
            let mut crc = [0; 4];
            if !(self.fill(&mut content)? && self.fill(&mut crc)?) {
                return Ok(self.stop());
            }
            self.remaining -= FRAME + size;
            if crc == masked_crc(&content) {
                return Ok(Some(content));
            }
            self.damaged += FRAME + size;
        }
    }

    /// Bytes that belong to no whole record; complete once `next` has returned `None`.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged
    }

    fn stop<T>(&mut self) -> Option<T> {
        self.damaged += std::mem::take(&mut self.remaining);
        None
    }

    /// False if the stream ended early, as it does when another process shortens the file.
    fn fill(&mut self, bytes: &mut [u8]) -> std::io::Result<bool> {
        match self.input.read_exact(bytes) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (Vec<Vec<u8>>, u64) {
        let mut records = Records::new(bytes, bytes.len() as u64);
        let mut found = Vec::new();
        while let Some(record) = records.next().unwrap() {
            found.push(record);
        }
        (found, records.damaged())
    }

    #[test]
    fn a_known_record_has_its_known_bytes() {
        // CRC-32C of 32 zero bytes is 0x8a9136aa (RFC 3720, B.4), which is 0x6d551522 rotated by 15 bits.
        let mut out = Vec::new();
        append(&mut out, &[0; 32]);
        let expected = 0x6d55_1522_u32.wrapping_add(0xa282_ead8);
        assert_eq!(out[out.len() - 4..], expected.to_le_bytes());
        assert_eq!(out[..8], [32, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn any_cut_keeps_the_whole_records_before_it() {
        let contents: [&[u8]; 3] = [b"one", b"", b"three"];
        let mut bytes = Vec::new();
        let mut ends = vec![0];
        for content in contents {
            append(&mut bytes, content);
            ends.push(bytes.len());
        }
        for cut in 0..=bytes.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
            let (found, damaged) = read(&bytes[..cut]);
            assert_eq!(found, contents[..whole], "cut at {cut}");
            assert_eq!(damaged, (cut - ends[whole]) as u64, "cut at {cut}");
        }
    }

    #[test]
    fn a_changed_byte_costs_no_record_before_it_and_is_never_returned() {
        let mut bytes = Vec::new();
        append(&mut bytes, b"one");
        append(&mut bytes, b"two");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let (found, damaged) = read(&changed);
            assert!(damaged > 0, "byte {at}");
            // In the content or its checksum only that record is lost; in a length all that follows.
            let expected: &[&[u8]] = match at {
                0..12 => &[],
                12..19 => &[b"two"],
                _ => &[b"one"],
            };
            assert_eq!(found, expected, "byte {at}");
        }
    }
}
