//! From strengths to false alarms, for one clip in one index.

use crate::calibration::LawModel;

/// The law of false alarms for one clip in one index.
#[derive(Clone, Copy, Debug)]
pub struct Law {
    model: LawModel,
    /// Places that were looked at, as a share of those with which the law was fitted, 1 at most.
    share: f64,
    longer: f64,
    clearer: f64,
    larger: f64,
}

impl Law {
    /// The law for a clip of a duration and [clarity](crate::evidence::quality) in an index of so many
    /// hours, of which so many `places` by votes were looked at.
    #[must_use]
    pub fn new(model: LawModel, duration_s: f64, clarity: f64, hours: f64, places: u64) -> Self {
        let hours = hours.max(model.fewest_hours).min(model.related_hours);
        Self {
            share: (places as f64 / model.most_places).min(1.0),
            longer: (duration_s / 5.0).powf(model.length_power),
            clearer: clarity.powf(model.clarity_power),
            larger: (hours / model.related_hours).powf(model.hours_power),
            model,
        }
    }

    /// The same, as if as many places had been looked at as the law was fitted with.
    #[must_use]
    pub(crate) fn of_usual_places(self) -> Self {
        Self { share: 1.0, ..self }
    }

    /// The strength that the strongest false place usually has in a clip of this length.
    #[must_use]
    pub fn usual_rival(&self) -> f64 {
        self.model.usual_rival / self.longer
    }

    /// False alarms of at least this [strength] and [coherence], where the rival has the strength
    /// `rival`.
    ///
    /// [strength]: super::strength_of
    /// [coherence]: super::coherence_of
    #[must_use]
    pub fn false_alarms(&self, strength: f64, coherence: f64, rival: f64) -> f64 {
        let m = &self.model;
        let strength = strength - m.rival_share * (rival - self.usual_rival());
        let by_chance =
            10f64.powf(m.chance - m.chance_slope * (strength + coherence) * self.longer);
        let related = 10f64.powf(m.related - m.related_slope * strength / self.clearer);
        self.share * (by_chance + self.larger * related)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::Calibration;

    #[test]
    fn false_alarms_become_rarer_with_what_speaks_for_a_match_and_its_clip() {
        let model = LawModel {
            usual_rival: 3.0,
            rival_share: 0.5,
            chance: 2.8,
            chance_slope: 1.2,
            related: 0.0,
            related_slope: 0.33,
            ..Calibration::default().law
        };
        let usual = Law { model, share: 1.0, longer: 1.0, clearer: 1.0, larger: 1.0 };
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
