//! The numbers of a calibration but the table, each with its range.

use super::layout::Reader;
use crate::error::{Error, Result};
use bincode::{Decode, Encode};

/// A number: its name, its value, the least and the greatest possible.
type Number = (&'static str, f64, f64, f64);

/// Checks that numbers are within their ranges.
pub(super) fn check(numbers: impl IntoIterator<Item = Number>) -> Result<()> {
    for (field, value, least, most) in numbers {
        if !(least..=most).contains(&value) {
            let (value, expected) = (value.to_string(), format!("{least} to {most}"));
            return Err(Error::Config { field, value, expected });
        }
    }
    Ok(())
}

/// Declares a struct of numbers, in the order in which they are stored.
macro_rules! numbers {
    (
        $(#[$doc:meta])* $name:ident as $path:literal {
            $($(#[$field_doc:meta])* $field:ident: $least:literal to $most:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$field_doc])* pub $field: f64,)*
        }

        impl $name {
            pub(super) const COUNT: usize = [$(stringify!($field)),*].len();

            pub(super) const fn read(reader: &mut Reader<'_>) -> Self {
                // In the order in which they are written here.
                Self { $($field: reader.f64(),)* }
            }

            /// Name, value, least and greatest possible value of each.
            pub(super) fn fields(&self) -> [Number; Self::COUNT] {
                [$((concat!($path, ".", stringify!($field)), self.$field, $least, $most),)*]
            }
        }
    };
}

numbers! {
    /// How much more evidence spreads by chance than independent pieces of it would: those of one note,
    /// one beat or one kind of music agree with each other by chance, too.
    Dispersion as "dispersion" {
        /// What each further peak adds to the variance of a sum of peaks, as a share of it.
        per_peak: 0.0 to 10.0,
        /// What each further sub-fingerprint adds to the variance of their correlation.
        per_sub_fingerprint: 0.0 to 10.0,
    }
}

numbers! {
    /// How strong a clip's true match is to be expected, told from the clip alone: see
    /// [`quality`](crate::evidence::quality). For each trait: mean and standard deviation among clips of
    /// all kinds, and how much the logarithm of the strength grows with each deviation.
    QualityModel as "quality" {
        /// Logarithm of the levels' spread in dB.
        spread_mean: -10.0 to 10.0,
        /// Its standard deviation.
        spread_deviation: 0.001 to 100.0,
        /// Its weight.
        spread_weight: -0.4 to 0.4,
        /// Skewness of the levels.
        skewness_mean: -10.0 to 10.0,
        /// Its standard deviation.
        skewness_deviation: 0.001 to 100.0,
        /// Its weight.
        skewness_weight: -0.4 to 0.4,
        /// Logarithm of how much frames differ in their mean levels, in dB.
        swing_mean: -10.0 to 10.0,
        /// Its standard deviation.
        swing_deviation: 0.001 to 100.0,
        /// Its weight.
        swing_weight: -0.4 to 0.4,
        /// Logarithm of the peaks' mean contrast in dB.
        contrast_mean: -10.0 to 10.0,
        /// Its standard deviation.
        contrast_deviation: 0.001 to 100.0,
        /// Its weight.
        contrast_weight: -0.4 to 0.4,
    }
}

numbers! {
    /// How much each kind of evidence counts: strength = z-score of the peaks + weighted others.
    StrengthModel as "strength" {
        /// What a z-score of the bands counts beside one of the peaks.
        bands_weight: 0.0 to 100.0,
        /// A z-score of the phases up to this is often chance's, and does not count.
        usual_phases_z: -100.0 to 100.0,
        /// What the rest of it counts beside a z-score of the peaks,
        phases_weight: 0.0 to 100.0,
        /// up to this: more may be because a sound, a loop, a whole voice is shared with another track.
        most_phases: 0.0 to 1000.0,
        /// This share of a track's peaks may be missing for no reason.
        usual_missing_ratio: 0.0 to 1.0,
        /// What is taken off for the rest, if all of them were.
        missing_weight: 0.0 to 1000.0,
        /// What a stretch must have beyond the whole clip, besides the choice among stretches: the
        /// beats and notes that it was chosen by come in groups. A z-score.
        stretch_handicap: 0.0 to 100.0,
    }
}

numbers! {
    /// From strengths to false alarms, for a clip of a duration in an index of a size. They are the sum
    /// of two terms, by chance and by music of the same making (tempo, keys, sounds, whole bars):
    /// 10^(chance − chance_slope · (strength + coherence) · longer) +
    /// larger · 10^(related − related_slope · strength / clearer), with
    /// longer = (duration / 5 s)^length_power, clearer = clarity^clarity_power and
    /// larger = (hours / related_hours)^hours_power.
    LawModel as "law" {
        /// The strongest of all false places usually has this strength, in clips of 5 s.
        usual_rival: 0.0 to 100.0,
        /// Share of what the rival has beyond that which is taken off. A rival tells how far chance
        /// goes for this clip: to the beat and in the same key, it goes far.
        rival_share: 0.0 to 1.0,
        /// Places by votes with which the law was fitted. Those beyond give no more false answers.
        most_places: 1.0 to 1000000.0,
        /// log10 of the false alarms by chance at strength 0.
        chance: -100.0 to 100.0,
        /// By how much that falls with each unit of strength and coherence.
        chance_slope: 0.001 to 100.0,
        /// Strength and coherence count so much more in longer clips, in which chance goes less far.
        length_power: -10.0 to 10.0,
        /// log10 of the false alarms by related music at strength 0,
        related: -100.0 to 100.0,
        /// and by how much that falls with each unit of strength.
        related_slope: 0.001 to 100.0,
        /// The clearer the clip is, the farther related music goes.
        clarity_power: -10.0 to 10.0,
        /// So many hours were indexed. In a smaller index there is less related music; in a larger one
        /// there is not more, for few of its tracks are of one making with the clip.
        related_hours: 0.001 to 1000000.0,
        /// How related music grows with the hours up to that.
        hours_power: 0.0 to 10.0,
        /// Fewer hours are taken for as many.
        fewest_hours: 0.000001 to 1000000.0,
    }
}

impl LawModel {
    /// Checks that every number is within its range.
    pub(crate) fn validate(&self) -> Result<()> {
        check(self.fields())
    }
}
