//! Which tracks are fitted to, which decide, and of which is reported.

use crate::rng::Rng;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Fitted to.
    Fit,
    /// Decides between fits.
    Choose,
    /// Not seen by any fit.
    Report,
}

/// What is done with a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Indexed,
    HeldOut,
    /// Loops are cut from it.
    Loop,
    /// Loops are mixed into it, and it is indexed so.
    Base,
}

/// Shares of the tracks for each role, and of each role for each part.
const ROLES: [(Role, f64); 4] =
    [(Role::Indexed, 0.57), (Role::HeldOut, 0.25), (Role::Loop, 0.09), (Role::Base, 0.09)];
const PARTS: [(Part, f64); 3] = [(Part::Fit, 0.5), (Part::Choose, 0.2), (Part::Report, 0.3)];

/// Deals roles and parts to so many tracks.
pub fn deal(tracks: usize, seed: u64) -> Vec<(Role, Part)> {
    let mut order: Vec<usize> = (0..tracks).collect();
    Rng::of(seed, &[10]).shuffle(&mut order);
    let mut dealt = vec![(Role::Indexed, Part::Fit); tracks];
    let mut rest = &order[..];
    let mut left = 1.0;
    for (role, share) in ROLES {
        let (now, later) = split(rest, share / left);
        (rest, left) = (later, left - share);
        let (mut rest, mut left) = (now, 1.0);
        for (part, share) in PARTS {
            let (now, later) = split(rest, share / left);
            now.iter().for_each(|&track| dealt[track] = (role, part));
            (rest, left) = (later, left - share);
        }
    }
    dealt
}

/// The first part of a list, of about this share, and what is left.
fn split(list: &[usize], share: f64) -> (&[usize], &[usize]) {
    list.split_at(((list.len() as f64 * share).round() as usize).max(1).min(list.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_tracks_of_every_part() {
        for tracks in [60, 100, 263] {
            let dealt = deal(tracks, 1);
            for (role, role_share) in ROLES {
                for (part, part_share) in PARTS {
                    let n = dealt.iter().filter(|d| **d == (role, part)).count();
                    let expected = tracks as f64 * role_share * part_share;
                    assert!((n as f64 - expected).abs() <= 1.5, "{role:?} {part:?}: {n}");
                    assert!(n > 0, "{tracks} {role:?} {part:?}");
                }
            }
        }
        assert_ne!(deal(100, 1), deal(100, 2));
    }
}
