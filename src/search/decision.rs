//! From strengths to false alarms, for one clip in one index.

use super::findings::Clip;

/// The strongest of all false places usually has this strength, in clips of 5 s.
const USUAL_RIVAL: f64 = 3.0;
/// Share of what the rival has beyond that which is taken off. A rival tells how far chance goes for
/// this clip: to the beat and in the same key, it goes far.
const RIVAL_SHARE: f64 = 0.5;
/// Places by votes with which the law was fitted. Those beyond give no more false answers, for they
/// have few votes (docs/recall.md).
pub const MOST_PLACES: u64 = 200;
/// False alarms by chance in a search with so many places: 10^(CHANCE − CHANCE_SLOPE · (strength +
/// coherence)). Both count (length / 5 s)^LENGTH_POWER times, for chance goes less far in longer
/// clips. The size of the index changes nothing: it is the places with most votes in any.
const CHANCE: f64 = 2.8;
const CHANCE_SLOPE: f64 = 1.2;
const LENGTH_POWER: f64 = 0.4;
/// False alarms by music of the same making (tempo, keys, sounds, whole bars):
/// 10^(RELATED − RELATED_SLOPE · strength / clarity^CLARITY_POWER). The clearer the clip is, the
/// farther that goes. All these numbers were fitted to 16,000 clips of tracks that were held out of
/// a collection.
const RELATED: f64 = 0.0;
const RELATED_SLOPE: f64 = 0.33;
const CLARITY_POWER: f64 = 0.6;
/// In an index of so many hours. In a smaller one there is less related music; in a larger one there
/// is not more, for few of its tracks are of one making with the clip (docs/recall.md).
const RELATED_HOURS: f64 = 7.6;
const HOURS_POWER: f64 = 0.5;
/// Less is taken for as much.
const FEWEST_HOURS: f64 = 1.0;

/// The law of false alarms for one clip in one index.
#[derive(Clone, Copy)]
pub struct Law {
    /// Places that were looked at, in [`MOST_PLACES`], 1 at most.
    share: f64,
    longer: f64,
    clearer: f64,
    larger: f64,
}

impl Law {
    /// For a clip in an index of so many frames, of which so many places were looked at.
    pub fn new(clip: &Clip, frames: u64, looked_at: u64) -> Self {
        // Not by the durations, which come from outside.
        let hours = frames as f64 * clip.hop_s / 3600.0;
        let hours = hours.clamp(FEWEST_HOURS, RELATED_HOURS);
        Self {
            share: looked_at.min(MOST_PLACES) as f64 / MOST_PLACES as f64,
            longer: (clip.duration_s / 5.0).powf(LENGTH_POWER),
            clearer: f64::from(clip.clarity).powf(CLARITY_POWER),
            larger: (hours / RELATED_HOURS).powf(HOURS_POWER),
        }
    }

    /// The strength that the strongest false place usually has in a clip of this length.
    pub fn usual_rival(&self) -> f64 {
        USUAL_RIVAL / self.longer
    }

    /// False alarms of at least this strength and coherence, where the rival has the strength
    /// `rival`.
    pub fn false_alarms(&self, strength: f64, coherence: f64, rival: f64) -> f64 {
        let strength = strength - RIVAL_SHARE * (rival - self.usual_rival());
        let by_chance = 10f64.powf(CHANCE - CHANCE_SLOPE * (strength + coherence) * self.longer);
        let related = 10f64.powf(RELATED - RELATED_SLOPE * strength / self.clearer);
        self.share * (by_chance + self.larger * related)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn false_alarms_become_rarer_with_what_speaks_for_a_match_and_its_clip() {
        let usual = Law { share: 1.0, longer: 1.0, clearer: 1.0, larger: 1.0 };
        let alarms = usual.false_alarms(9.0, 3.0, 3.0);
        // 10^(2.8 − 1.2 · 12) and 10^(−0.33 · 9).
        assert!((alarms / (10f64.powf(-11.6) + 10f64.powf(-2.97)) - 1.0).abs() < 1e-9, "{alarms}");
        assert!(usual.false_alarms(9.1, 3.0, 3.0) < alarms);
        assert!(usual.false_alarms(9.0, 3.1, 3.0) < alarms);
        assert!(usual.false_alarms(9.0, 3.0, 3.1) > alarms);
        for (law, rarer) in [
            (Law { share: 2.0, ..usual }, false),
            (Law { clearer: 1.1, ..usual }, false),
            (Law { larger: 1.1, ..usual }, false),
            (Law { clearer: 0.9, ..usual }, true),
            (Law { larger: 0.9, ..usual }, true),
        ] {
            assert_eq!(law.false_alarms(9.0, 3.0, 3.0) < alarms, rarer);
        }
    }
}
