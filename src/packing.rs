//! Peaks and sub-fingerprints as bytes, in the files of fingerprints.

use crate::peaks::{Peak, STEPS};
use crate::sealed;
use crate::units::{BinSteps, TimeSteps};
use std::io;

/// Peaks are in the order of frames; refined times may be out of order by a frame each.
const BACKWARDS: i64 = 2 * STEPS as i64;
const SKIP: u8 = u8::MAX;
const PACKED_BYTES: usize = 7;

/// Refuses peaks that cannot be stored.
pub fn check_order(peaks: &[Peak]) -> io::Result<()> {
    let mut before = 0;
    let backwards = |p: &Peak| {
        let step = i64::from(p.time.0) - before;
        before = p.time.0.into();
        step < -BACKWARDS
    };
    match peaks.iter().any(backwards) {
        true => Err(sealed::invalid("the peaks are out of order")),
        false => Ok(()),
    }
}

/// Peaks as they are stored, seven bytes each: the step in time from the peak before, plus
/// [`BACKWARDS`]; the frequency; contrast; rank; level; phase. [`SKIP`] in place of the step is no peak
/// but a stretch of time without one, the steps of which follow.
pub fn pack_peaks(peaks: &[Peak]) -> io::Result<Vec<u8>> {
    check_order(peaks)?;
    let mut bytes = Vec::with_capacity(PACKED_BYTES * peaks.len());
    let mut before = 0;
    for p in peaks {
        let mut step = i64::from(p.time.0) - before + BACKWARDS;
        if step >= i64::from(SKIP) {
            bytes.push(SKIP);
            bytes.extend_from_slice(&((step - BACKWARDS) as u32).to_le_bytes());
            bytes.extend_from_slice(&[0; PACKED_BYTES - 5]);
            step = BACKWARDS;
        }
        bytes.push(step as u8);
        bytes.extend_from_slice(&p.bin.0.to_le_bytes());
        bytes.extend_from_slice(&[p.contrast, p.rank, p.level, p.phase]);
        before = p.time.0.into();
    }
    Ok(bytes)
}

/// Reads what [`pack_peaks`] wrote.
pub fn unpack_peaks(bytes: &[u8]) -> io::Result<Vec<Peak>> {
    let (records, rest) = bytes.as_chunks::<PACKED_BYTES>();
    if !rest.is_empty() {
        return Err(sealed::invalid("a list of peaks is cut"));
    }
    let mut peaks = Vec::with_capacity(records.len());
    let mut time = 0i64;
    for &[step, a, b, contrast, rank, level, phase] in records {
        if step == SKIP {
            time += i64::from(u32::from_le_bytes([a, b, contrast, rank]));
            continue;
        }
        time += i64::from(step) - BACKWARDS;
        let time = u32::try_from(time).map_err(|_| sealed::invalid("a peak's time"))?;
        let (time, bin) = (TimeSteps(time), BinSteps(u16::from_le_bytes([a, b])));
        peaks.push(Peak { time, bin, contrast, rank, level, phase });
    }
    Ok(peaks)
}

/// Sub-fingerprints as they are stored, eight bytes each.
pub fn pack_words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Reads what [`pack_words`] wrote.
pub fn unpack_words(bytes: &[u8]) -> io::Result<Vec<u64>> {
    let (words, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        return Err(sealed::invalid("a list of sub-fingerprints is cut"));
    }
    Ok(words.iter().map(|&word| u64::from_le_bytes(word)).collect())
}

/// Makes room for more, an eighth at a time: what is large and kept for long should not have room for
/// as much again.
pub fn make_room<T>(list: &mut Vec<T>, more: usize) {
    if list.capacity() - list.len() < more {
        list.reserve_exact(more.max(list.len() / 8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_hours_apart_and_out_of_order_by_a_frame_are_stored_as_they_are() {
        let peak = |time| Peak {
            time: TimeSteps(time),
            bin: BinSteps(4_000),
            contrast: 77,
            rank: 3,
            level: 201,
            phase: 254,
        };
        let times = [5, 0, 16, 60_016, 60_001, 200_000_000, 199_999_985, u32::MAX];
        let peaks: Vec<Peak> = times.map(peak).to_vec();
        let bytes = pack_peaks(&peaks).unwrap();
        assert_eq!(unpack_peaks(&bytes).unwrap(), peaks);
        assert!(unpack_peaks(&bytes[1..]).is_err());
        // The longest step of all, and one too far back.
        let last = [peak(u32::MAX)];
        assert_eq!(unpack_peaks(&pack_peaks(&last).unwrap()).unwrap(), last);
        assert!(pack_peaks(&[peak(33), peak(0)]).is_err());
    }

    #[test]
    fn words_are_stored_as_they_are() {
        let words = [0, 1, u64::MAX, 0x0123_4567_89ab_cdef];
        let bytes = pack_words(&words);
        assert_eq!(bytes.len(), 8 * words.len());
        assert_eq!(unpack_words(&bytes).unwrap(), words);
        assert!(unpack_words(&bytes[1..]).is_err());
    }
}
