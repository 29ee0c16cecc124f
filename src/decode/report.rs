//! What became of a file.

use std::fmt;

/// How much of a file could be decoded.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct DecodeReport {
    /// Seconds of audio that were decoded, without the silence that stands in for lost packets.
    pub decoded_s: f64,
    /// Packets that could not be decoded, and gaps between the others. Where the container keeps
    /// time, silence stands in for them, so that what follows is in its place.
    pub lost_packets: u64,
    /// Whether the stream broke off before its end. MPEG audio that ends between two frames cannot be
    /// told from a whole one.
    pub truncated: bool,
    /// Seconds that the file declares beyond those decoded; 0 if fewer than 0.1, unknown, or
    /// estimated.
    pub missing_s: f64,
    /// The first complaint of demuxer or decoder.
    pub error: Option<String>,
}

impl DecodeReport {
    /// Whether everything that the file declares was decoded.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.truncated && self.lost_packets == 0 && self.missing_s == 0.0
    }
}

impl fmt::Display for DecodeReport {
    /// As in "12.3 of 30.0 s decoded, 2 packets lost: unexpected end of file".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.missing_s > 0.0 {
            write!(f, "{:.1} of {:.1} s decoded", self.decoded_s, self.decoded_s + self.missing_s)?;
        } else {
            write!(f, "{:.1} s decoded", self.decoded_s)?;
        }
        match self.lost_packets {
            0 => {}
            1 => write!(f, ", 1 packet lost")?,
            lost => write!(f, ", {lost} packets lost")?,
        }
        match &self.error {
            Some(error) => write!(f, ": {error}"),
            None if self.missing_s > 0.0 => write!(f, ": the file ends early"),
            None => Ok(()),
        }
    }
}
