//! Numbers of few bytes if they are small: seven bits a byte, the lowest first, the highest bit set in all
//! bytes but the last.

/// Appends a number.
pub(crate) fn put(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// The number that bytes begin with, and how many of them it takes; `None` where they end in it. Bits
/// beyond 32 are lost.
#[inline]
pub(crate) fn varint(bytes: &[u8]) -> Option<(u32, usize)> {
    let mut number = 0u32;
    for (i, &byte) in bytes.iter().take(5).enumerate() {
        number |= u32::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            return Some((number, i + 1));
        }
    }
    None
}

/// Takes the number that bytes begin with off them.
#[inline]
pub(crate) fn take(bytes: &mut &[u8]) -> Option<u32> {
    let (number, used) = varint(bytes)?;
    *bytes = &bytes[used..];
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(number: u32, bits in 0u32..32) {
            let mut bytes = Vec::new();
            put(&mut bytes, number >> bits);
            put(&mut bytes, number);
            let mut rest = &bytes[..];
            prop_assert_eq!(take(&mut rest), Some(number >> bits));
            prop_assert_eq!(take(&mut rest), Some(number));
            prop_assert_eq!(take(&mut rest), None);
        }
    }
}
