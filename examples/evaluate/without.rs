//! Searches that do without a kind of evidence, to see what it brings.

use clap::ValueEnum;
use earmark::Calibration;

/// Evidence that a search can do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Evidence {
    /// Correlation of sub-fingerprints
    Bands,
    /// Phase coherence
    Phases,
    /// The missing-peak ratio
    Missing,
    /// The strongest other track
    Rival,
    /// Clarity of the clip
    Clarity,
    /// Length of the clip
    Length,
}

impl Evidence {
    /// Makes it count nothing.
    pub fn drop_from(self, calibration: &mut Calibration) {
        let Calibration { strength, law, .. } = calibration;
        match self {
            Self::Bands => strength.bands_weight = 0.0,
            // No z-score goes beyond what is usual then.
            Self::Phases => strength.usual_phases_z = 100.0,
            Self::Missing => strength.missing_weight = 0.0,
            Self::Rival => law.rival_share = 0.0,
            Self::Clarity => law.clarity_power = 0.0,
            Self::Length => law.length_power = 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use earmark::evidence::PlaceEvidence;
    use earmark::search::{Law, coherence_of, strength_of};

    #[test]
    fn what_is_dropped_changes_nothing_any_more() {
        let mut evidence = PlaceEvidence::default();
        evidence.peaks_z = 5.0;
        let score = |calibration: &Calibration, e: &PlaceEvidence, rival, clarity, seconds| {
            let law = Law::new(calibration.law, seconds, clarity, 9.0, u64::MAX);
            let coherence = coherence_of(&calibration.strength, e);
            law.false_alarms(strength_of(&calibration.strength, e), coherence, rival).log10()
        };
        for kind in Evidence::value_variants() {
            let mut other = evidence;
            let (mut rival, mut clarity, mut seconds) = (3.0, 1.0, 5.0);
            match kind {
                Evidence::Bands => other.bands_z = 4.0,
                Evidence::Phases => other.phases_z = Some(20.0),
                Evidence::Missing => other.missing_ratio = 0.5,
                Evidence::Rival => rival = 6.0,
                Evidence::Clarity => clarity = 1.3,
                Evidence::Length => seconds = 10.0,
            }
            let differs = |calibration: &Calibration| {
                let usual = score(calibration, &evidence, 3.0, 1.0, 5.0);
                (score(calibration, &other, rival, clarity, seconds) - usual).abs() > 1e-6
            };
            let mut calibration = Calibration::default();
            assert!(differs(&calibration), "{kind:?}");
            kind.drop_from(&mut calibration);
            assert!(!differs(&calibration), "{kind:?}");
            assert!(calibration.validate().is_ok(), "{kind:?}");
        }
    }
}
