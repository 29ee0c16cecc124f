//! Clips of all kinds are found at their times, however long they are.

use crate::common::{RATE_HZ, music, noise, query, rate};
use crate::{Place, options, wav};
use earmark::Error;
use earmark::library::{Clip, IdentifyOptions};
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::time::Duration;

#[test]
fn files_bytes_readers_samples_and_queries_give_the_same() {
    let place = Place::empty();
    place.write("song.wav", &wav(&music(30.0, 7)));
    place.write("other.wav", &wav(&music(30.0, 8)));
    place.sync(&options());
    let library = place.open();
    let song = music(30.0, 7);
    let clip = &song[10 * RATE_HZ..18 * RATE_HZ];
    let bytes = wav(clip);
    place.write("clip.wav", &bytes);
    let made = query(clip);
    let clips = [
        Clip::from(place.path("clip.wav")),
        Clip::bytes(bytes.clone()),
        Clip::reader(Cursor::new(bytes)),
        Clip::samples(clip, rate(RATE_HZ)),
        Clip::from(&made),
    ];
    for clip in clips {
        let what = format!("{clip:?}");
        let found = library.identify(clip).unwrap();
        assert_eq!(found.len(), 1, "{what}");
        assert!(found[0].name.ends_with("song.wav"), "{what}");
        assert!((found[0].offset_s - 10.0).abs() < 0.02, "{what}: {}", found[0].offset_s);
    }
}

/// What is known comes late, and is found where it is, as far as is listened to.
#[test]
fn long_clips_are_looked_at_stretch_by_stretch() {
    let place = Place::empty();
    place.write("song.wav", &wav(&music(30.0, 7)));
    place.sync(&options());
    let library = place.open();
    let mut clip = noise(33 * RATE_HZ, 0.1, 5);
    clip.extend(vec![0.0; 30 * RATE_HZ]);
    clip.extend(&music(30.0, 7)[5 * RATE_HZ..25 * RATE_HZ]);
    let mut how = IdentifyOptions::default();
    how.stretch_s = 10.0;
    for as_file in [true, false] {
        let bytes = wav(&clip);
        let make = || match as_file {
            true => Clip::bytes(bytes.clone()),
            false => Clip::samples(&clip, rate(RATE_HZ)),
        };
        how.listen_s = 50.0;
        assert!(library.identify_with(make(), &how).unwrap().is_empty());
        how.listen_s = 100.0;
        let found = library.identify_with(make(), &how).unwrap();
        assert_eq!(found.len(), 1);
        // The clip's 63rd second is the song's fifth.
        assert!((found[0].offset_s + 58.0).abs() < 0.02, "{}", found[0].offset_s);
        let part = found[0].query;
        assert!(part.start_s > 62.0 && part.end_s < 72.5, "{part:?}");
        assert!((found[0].query.start_s - 58.0 - found[0].reference.start_s).abs() < 0.05);
    }
}

#[test]
fn what_cannot_be_a_clip_is_told() {
    let place = Place::empty();
    place.song("a.wav", 1);
    place.sync(&options());
    let library = place.open();
    assert!(matches!(library.identify("missing.mp3"), Err(Error::Io { .. })));
    assert!(matches!(
        library.identify(Clip::samples(&[], rate(8000))),
        Err(Error::TooShort { .. })
    ));
    let silence = vec![0.0; 80_000];
    let silent = library.identify(Clip::samples(&silence, rate(8000)));
    assert!(matches!(silent, Err(Error::Silent { .. })));
    let mut how = IdentifyOptions::default();
    how.stretch_s = 1.0;
    let refused = library.identify_with(Clip::samples(&silence, rate(8000)), &how);
    assert!(matches!(refused, Err(Error::Config { field: "stretch_s", .. })));
}

/// A reader that takes a while for each byte that it gives.
struct Slow(Cursor<Vec<u8>>);

impl Read for Slow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        std::thread::sleep(Duration::from_millis(2));
        let few = buffer.len().min(4096);
        self.0.read(&mut buffer[..few])
    }
}

impl Seek for Slow {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn a_clip_that_takes_too_long_is_given_up_and_one_that_is_found_is_not() {
    let place = Place::empty();
    place.write("song.wav", &wav(&music(30.0, 7)));
    place.sync(&options());
    let library = place.open();
    let song = music(30.0, 7);
    let mut clip = noise(60 * RATE_HZ, 0.1, 5);
    clip.extend(&song[5 * RATE_HZ..25 * RATE_HZ]);
    let mut how = IdentifyOptions::default();
    (how.stretch_s, how.time_limit) = (10.0, Some(Duration::from_millis(20)));
    let clips = [
        Clip::reader(Slow(Cursor::new(wav(&clip)))),
        // No stretch is begun at all.
        Clip::samples(&clip, rate(RATE_HZ)),
    ];
    for (clip, limit) in clips.into_iter().zip([how.time_limit, Some(Duration::ZERO)]) {
        how.time_limit = limit;
        match library.identify_with(clip, &how) {
            Err(Error::OutOfTime { after_s, listened_s }) => {
                assert!(after_s >= limit.unwrap().as_secs_f64() && listened_s < 80.0);
            }
            found => panic!("{found:?}"),
        }
    }
    how.time_limit = Some(Duration::from_secs(3600));
    let found = library.identify_with(Clip::samples(&clip, rate(RATE_HZ)), &how).unwrap();
    assert_eq!(found.len(), 1);
}
