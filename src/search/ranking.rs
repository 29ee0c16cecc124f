//! Which of the places are matches, in which order.

use super::findings::{Clip, Place, PlacedPeak};
use super::law::Law;
use super::matches::Span;
use crate::units::{BinSteps, TimeSteps};
use std::ops::Range;

/// This share of a strength is nearly as much.
const NEARLY: f64 = 0.9;
/// Of two tracks, one explains the other where it has more than this share of the other's peaks
/// that stand in the clip. Tracks that only sound at the same time share a tenth.
const EXPLAINED: f64 = 1.0 / 3.0;

/// A place that may be a match.
#[derive(Clone, Copy)]
pub(crate) struct Judged<'p> {
    pub place: &'p Place,
    pub false_alarms: f64,
    /// Strength of the strongest rival.
    pub rival: f64,
}

/// A place that is a match.
#[derive(Clone, Copy)]
pub(crate) struct Ranked<'p> {
    pub place: &'p Place,
    pub false_alarms: f64,
    /// A stronger match whose audio is the same.
    pub same_as: Option<&'p Place>,
}

/// Judges places, the strongest of which come first: each by its own evidence, and against the
/// strongest rival, wherever that ranks. Gives those with at most `max_false_alarms`, the fewest
/// first.
pub(crate) fn judge<'p>(places: &'p [Place], law: &Law, max_false_alarms: f64) -> Vec<Judged<'p>> {
    // At other speeds, far more places are looked at than at the track's own, where there may be none at all.
    let of_ladder = law.of_usual_places();
    let law_of = |place: &Place| if place.from_ladder { &of_ladder } else { law };
    let possible =
        |p: &&Place| law_of(p).false_alarms(p.strength, p.coherence, 0.0) <= max_false_alarms;
    let judged = places.iter().filter(possible).map(|place| {
        let rival = rival(place, places, law);
        let false_alarms = law_of(place).false_alarms(place.strength, place.coherence, rival);
        Judged { place, false_alarms, rival }
    });
    let mut judged: Vec<Judged> = judged.filter(|j| j.false_alarms <= max_false_alarms).collect();
    // A stable sort: equals stay in the order of strength.
    judged.sort_by(|a, b| a.false_alarms.total_cmp(&b.false_alarms));
    judged
}

/// Strength of the strongest place of another track that explains the same evidence. Tracks that sound
/// at the same time explain different peaks of the clip, and do not hold each other down: they count
/// no more than chance usually would. Nor does the same audio in another track.
fn rival(place: &Place, places: &[Place], law: &Law) -> f64 {
    let mut least: f64 = 0.0;
    for other in places.iter().filter(|other| !other.is_same_track(place)) {
        if other.strength <= law.usual_rival() {
            return least.max(other.strength);
        }
        if same_audio(place, other) {
            continue;
        }
        if explains(other, place) {
            return other.strength;
        }
        least = law.usual_rival();
    }
    least
}

/// The matches among judged places, `most` at most. Left out is what a stronger match explains: the
/// same track for mostly the same part of the clip (a track that repeats itself), and another track
/// that has in common with the clip what the stronger one has, too (a loop, a voice), unless all of it
/// is the same audio.
///
/// One place is taken after the other, so that fewer or stricter matches are always the first of
/// more.
pub(crate) fn rank<'p>(
    clip: &Clip,
    places: &'p [Place],
    judged: &[Judged<'p>],
    most: usize,
) -> Vec<Ranked<'p>> {
    let mut kept: Vec<(Span, Ranked<'p>)> = Vec::new();
    for &Judged { place, false_alarms, .. } in judged {
        if kept.len() == most {
            break;
        }
        let place = fullest(place, places);
        let span = clip.span(&place.frames);
        let overlaps = |k: &&(Span, Ranked<'p>)| {
            k.0.overlap_s(&span) > 0.5 * k.0.length_s().min(span.length_s())
        };
        let mut stronger = kept.iter().filter(overlaps).map(|(_, k)| k);
        if stronger.clone().any(|k| k.place.is_same_track(place)) {
            continue;
        }
        let mut same_as = None;
        match stronger.clone().find(|k| same_audio(k.place, place)) {
            Some(k) => same_as = Some(k.same_as.unwrap_or(k.place)),
            None if stronger.any(|k| explains(k.place, place)) => continue,
            None => {}
        }
        kept.push((span, Ranked { place, false_alarms, same_as }));
    }
    kept.into_iter().map(|(_, ranked)| ranked).collect()
}

/// A place; or one of the same track, played otherwise, that is nearly as strong and explains that
/// part of the clip and as much again: at another tempo, the track's own fits for a second or two.
fn fullest<'p>(place: &'p Place, places: &'p [Place]) -> &'p Place {
    let fuller = places.iter().find(|p| {
        p.is_same_track(place)
            && !p.is_played_as(place)
            && p.strength > NEARLY * place.strength
            && p.strength <= place.strength
            && p.frames.start <= place.frames.start
            && p.frames.end >= place.frames.end
            && p.frames.len() >= 2 * place.frames.len()
    });
    fuller.unwrap_or(place)
}

/// Whether most peaks of one track stand in the other, too, where both were found.
fn same_audio(a: &Place, b: &Place) -> bool {
    let frames = common_frames(a, b);
    share_of(a.peaks_within(&frames), b.peaks_within(&frames)) > 0.5
}

/// Whether a stronger place explains what a weaker one has in common with the clip.
fn explains(stronger: &Place, weaker: &Place) -> bool {
    let frames = common_frames(stronger, weaker);
    let standing = weaker.peaks_within(&frames).filter(|p| p.stands);
    share_of(standing, stronger.peaks_within(&frames)) > EXPLAINED
}

fn common_frames(a: &Place, b: &Place) -> Range<u32> {
    let start = a.frames.start.max(b.frames.start);
    start..a.frames.end.min(b.frames.end).max(start)
}

/// Share of some peaks that have one of `others` within a frame and a bin. Both are in the order of
/// their frames.
pub(crate) fn share_of<'p>(
    peaks: impl Iterator<Item = &'p PlacedPeak>,
    others: impl Iterator<Item = &'p PlacedPeak>,
) -> f64 {
    let others: Vec<&PlacedPeak> = others.collect();
    let two_frames = TimeSteps::from_frames(2);
    let (mut all, mut shared) = (0usize, 0usize);
    for p in peaks {
        let time = TimeSteps::from(p.time);
        let first = others.partition_point(|o| TimeSteps::from(o.time) < time - two_frames);
        let near = others[first..].iter();
        let mut near = near.take_while(|o| TimeSteps::from(o.time) <= time + two_frames);
        let found = near.any(|o| {
            (o.time - time).abs() <= TimeSteps::FRAME && o.bin.abs_diff(p.bin) <= BinSteps::BIN
        });
        all += 1;
        shared += usize::from(found);
    }
    shared as f64 / all.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibration::Calibration;
    use crate::evidence::PlaceEvidence;
    use crate::search::alignment::LEAD;
    use crate::units::{ConfigId, TrackId};

    const FRAMES: u32 = 160;

    fn clip() -> Clip {
        Clip {
            law: Calibration::default().law,
            config_id: ConfigId(0),
            duration_s: 5.0,
            clarity: 1.0,
            frames: FRAMES,
            hop_s: 0.032,
            first_frame_s: 0.128,
        }
    }

    fn law() -> Law {
        Law::new(Calibration::default().law, 5.0, 1.0, 100.0, 1000)
    }

    /// A place over the whole clip whose peaks are those of the given voices, all of which the clip has.
    fn place(track: u32, strength: f64, voices: &[u16]) -> Place {
        let mut peaks: Vec<PlacedPeak> = (0..FRAMES)
            .step_by(2)
            .flat_map(|frame| {
                let time = TimeSteps(TimeSteps::of_frame(frame).0 + LEAD.0 as u32);
                voices.iter().map(move |voice| PlacedPeak {
                    time,
                    bin: BinSteps(1000 * voice + frame as u16),
                    stands: true,
                })
            })
            .collect();
        peaks.sort_by_key(|p| p.time);
        Place {
            part: 0,
            track: TrackId(track),
            offset: TimeSteps(0),
            tempo: 1.0,
            pitch: 1.0,
            frames: 0..FRAMES,
            votes: 10,
            evidence: PlaceEvidence::default(),
            strength,
            coherence: 0.0,
            from_ladder: false,
            peaks,
        }
    }

    fn ranked(places: &[Place]) -> Vec<(u32, Option<u32>)> {
        let judged = judge(places, &law(), f64::INFINITY);
        let ranked = rank(&clip(), places, &judged, usize::MAX);
        ranked.iter().map(|r| (r.place.track.0, r.same_as.map(|p| p.track.0))).collect()
    }

    fn alarms(places: &[Place], track: u32) -> f64 {
        let judged = judge(places, &law(), f64::INFINITY);
        judged.iter().find(|j| j.place.track.0 == track).unwrap().false_alarms
    }

    /// Where no landmark goes together with the track at its own speed, no place was looked at there.
    #[test]
    fn places_at_other_speeds_are_judged_as_if_many_had_been_looked_at() {
        let few = Law::new(Calibration::default().law, 5.0, 1.0, 100.0, 0);
        let alarms = |law: &Law, from_ladder: bool| {
            let places = [Place { from_ladder, ..place(1, 9.0, &[1, 2]) }];
            judge(&places, law, f64::INFINITY)[0].false_alarms
        };
        assert!(alarms(&law(), true) > 0.0);
        assert_eq!(alarms(&few, true), alarms(&law(), true));
        assert_eq!(alarms(&law(), false), alarms(&law(), true));
        assert_eq!(alarms(&few, false), 0.0);
    }

    #[test]
    fn a_rival_that_explains_the_same_peaks_counts_and_others_do_not() {
        let alone = alarms(&[place(1, 12.0, &[1, 2])], 1);
        let usual = alarms(&[place(1, 12.0, &[1, 2]), place(2, law().usual_rival(), &[1])], 1);
        let shared = alarms(&[place(1, 12.0, &[1, 2]), place(2, 9.0, &[1, 5])], 1);
        let beside = alarms(&[place(1, 12.0, &[1, 2]), place(2, 9.0, &[3, 4])], 1);
        let copy = alarms(&[place(1, 12.0, &[1, 2]), place(2, 11.0, &[1, 2])], 1);
        assert!(shared > 5.0 * usual, "{shared} {usual}");
        assert!((beside / usual - 1.0).abs() < 1e-9, "{beside} {usual}");
        assert!(copy <= usual && alone <= usual, "{copy} {alone} {usual}");
        // Wherever it ranks: the stronger one is held down by the weaker just so.
        let places = [place(2, 12.5, &[1, 5]), place(1, 12.0, &[1, 2])];
        assert!(alarms(&places, 2) > alarms(&places[..1], 2));
    }

    #[test]
    fn what_a_stronger_match_explains_is_left_out() {
        let both = [place(1, 15.0, &[1, 2]), place(2, 14.0, &[3, 4])];
        assert_eq!(ranked(&both), [(1, None), (2, None)], "an overlay");
        let copies = [place(1, 15.0, &[1, 2]), place(2, 14.0, &[1, 2])];
        assert_eq!(ranked(&copies), [(1, None), (2, Some(1))]);
        let loops = [place(1, 15.0, &[1, 2, 3]), place(2, 14.0, &[1, 8, 9])];
        let told = Place { peaks: loops[1].peaks.clone(), ..loops[1].clone() };
        assert_eq!(
            ranked(&[loops[0].clone(), told]),
            [(1, None), (2, None)],
            "a third is not more"
        );
        // Of the second one, the clip has the shared voice only.
        let mut shared = loops[1].clone();
        shared.peaks.iter_mut().for_each(|p| p.stands = p.bin < BinSteps(2000));
        assert_eq!(ranked(&[loops[0].clone(), shared]), [(1, None)]);
        // The same track for another part of the clip is another match, for the same part it is not.
        let mut halves = [place(1, 15.0, &[1]), place(1, 14.0, &[2])];
        assert_eq!(ranked(&halves), [(1, None)]);
        (halves[0].frames, halves[1].frames) = (0..FRAMES / 2, FRAMES / 2..FRAMES);
        assert_eq!(ranked(&halves), [(1, None), (1, None)]);
    }

    #[test]
    fn fewer_matches_are_the_first_of_more() {
        let places: Vec<Place> =
            (0..9u16).map(|i| place(i.into(), 20.0 - f64::from(i), &[2 * i, 2 * i + 1])).collect();
        let judged = judge(&places, &law(), f64::INFINITY);
        let numbers = |most: usize| {
            let ranked = rank(&clip(), &places, &judged, most);
            ranked.iter().map(|r| r.place.track.0).collect::<Vec<_>>()
        };
        assert_eq!(numbers(usize::MAX).len(), 9);
        for most in 0..9 {
            assert_eq!(numbers(most), numbers(usize::MAX)[..most]);
        }
    }
}
