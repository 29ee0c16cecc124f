//! Files with something wrong in them, each made from a seed and a number.

/// A reproducible source of numbers (SplitMix64).
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64, number: u64) -> Self {
        Self(seed.wrapping_mul(0xd134_2543_de82_ef95) ^ number.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `end`, 0 if there is none.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Fields are looked for in so many of the first bytes.
const HEADER_BYTES: usize = 4_096;
const EXTREMES: [u64; 10] = [
    0,
    1,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
];

/// Does one to four things to a file; `other` is one that it may be spliced with.
pub fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..1 + rng.below(4) {
        let (at, len) = place(rng, bytes.len());
        match rng.below(12) {
            0..=4 => set_field(rng, bytes),
            5 | 6 => (0..1 + rng.below(8)).for_each(|_| {
                let at = place(rng, bytes.len()).0;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << rng.below(8);
                }
            }),
            7 => bytes.iter_mut().skip(at).take(len).for_each(|byte| *byte = rng.next() as u8),
            8 => bytes.truncate(at),
            9 => drop(bytes.drain(at..(at + len).min(bytes.len()))),
            10 => {
                let from = rng.below(other.len());
                let piece = &other[from..(from + len).min(other.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
            _ => {
                bytes.truncate(at);
                bytes.extend_from_slice(&other[rng.below(other.len())..]);
            }
        }
    }
}

/// Somewhere, often near the beginning, and a length.
fn place(rng: &mut Rng, len: usize) -> (usize, usize) {
    let reach = [64, 512, HEADER_BYTES, len][rng.below(4)].min(len);
    (rng.below(reach), 1 << rng.below(12))
}

/// Puts an extreme number of 1 to 8 bytes into the header, in either order of bytes.
fn set_field(rng: &mut Rng, bytes: &mut [u8]) {
    let width = 1 << rng.below(4);
    let header = bytes.len().min(HEADER_BYTES);
    let names: Vec<usize> =
        (0..header.saturating_sub(12)).filter(|&at| is_name(bytes, at)).collect();
    // Sizes stand beside the names of chunks and atoms, counts some bytes behind them.
    let at = match names.get(rng.below(2 * names.len().max(1))) {
        Some(&at) => {
            (at + [4, 8, 12, 16, 20, 24].get(rng.below(7)).unwrap_or(&0)).saturating_sub(4)
        }
        None => place(rng, header).0,
    };
    let value = match rng.below(3) {
        0 => rng.next() >> rng.below(64),
        _ => EXTREMES[rng.below(EXTREMES.len())],
    };
    let field = match rng.below(2) {
        0 => value.to_le_bytes()[..width].to_vec(),
        _ => value.to_be_bytes()[8 - width..].to_vec(),
    };
    bytes.iter_mut().skip(at).zip(field).for_each(|(byte, new)| *byte = new);
}

fn is_name(bytes: &[u8], at: usize) -> bool {
    bytes[at..at + 4].iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b' ')
}
