//! Audio fingerprinting: which recording is this, and where in it are we?
//!
//! A folder of music, kept up to date, and what a clip is of:
//!
#![cfg_attr(
    feature = "library",
    doc = r#"```no_run
let library = earmark::Library::open_or_create("music.earmark")?;
library.sync(["Music"], &earmark::SyncOptions::default(), &())?; // only what changed
for m in library.identify("clip.mp3")? {
    println!("{m}"); // "Title – Artist, from 0:25.0 (1 in 10^10)"
}
# Ok::<(), earmark::Error>(())
```
"#
)]
//! Below that, a [`Fingerprinter`] turns audio into a [`Fingerprint`] (of a recording, to be kept) or a [`Query`]
//! (of a clip, to be looked up). An index holds fingerprints and finds clips in them.
//!
//! ```
//! use earmark::{Config, Fingerprinter, Index, MatchConfig, SampleRate, TrackInfo};
//! # let song: Vec<f32> = (0..160_000u64).map(|i| ((i * i / 7919 * (i / 3000 + 3)) as f32 * 1e-3).sin()).collect();
//! let rate = SampleRate::new(8_000)?;
//! let mut fingerprinter = Fingerprinter::new(Config::default())?;
//!
//! // In memory. `Index::create` and `Index::open` take a folder.
//! let index = Index::in_memory(Config::default())?;
//! let mut writer = index.writer()?;
//! // Samples are mono `f32` at any rate. Files are read by `fingerprint_file` and `query_file`.
//! writer.add(TrackInfo::named("song"), &fingerprinter.fingerprint(&song, rate)?)?;
//! writer.commit()?;
//!
//! let clip = fingerprinter.query(&song[40_000..80_000], rate)?;
//! let found = index.search(&clip, &MatchConfig::default())?;
//! assert_eq!(found[0].name, "song");
//! assert!((found[0].offset_s - 5.0).abs() < 0.1); // seconds
//! # Ok::<(), earmark::Error>(())
//! ```
//!
//! # The main types
//!
//! | type | what it is |
//! |---|---|
//! | `Library` (with the feature `library`) | a whole collection, kept up to date with folders |
//! | `Library` | keeps folders of music up to date, and finds clips and duplicates (with the feature `library`) |
//! | [`Fingerprinter`] | turns audio into fingerprints and queries |
//! | [`Fingerprint`], [`Query`] | what is kept of a recording, and what is looked up of a clip |
//! | [`QueryStream`] | gives the last seconds of a stream as a query, at any time |
//! | [`Index`] | keeps fingerprints, in a folder or in memory, and finds clips in them |
//! | [`Reader`], [`Writer`] | one state of an index, to be searched; the right to change it |
//! | [`KdIndex`] | finds the same landmarks within a tolerance |
//! | [`Monitor`], [`scan`](monitor::scan) | tell what plays in a stream, or in a long recording |
//! | [`Match`] | where a clip comes from, and how sure that is |
//! | [`Config`], [`MatchConfig`] | how audio is analysed, and how an index is searched |
//! | [`AudioReader`] | decodes an audio file (with the feature `decode`) |
//! | [`Error`] | everything that can go wrong |
//!
//! # The stages
//!
//! Each can be used by itself, and takes its input in pieces of any size. The result is the same to
//! the last bit however the pieces are cut. This holds on processors of one type. The FFT chooses its
//! instructions at run time, so that across types all but a few landmarks in ten thousand agree.
//!
//! | stage | module | from | to |
//! |---|---|---|---|
//! | decode | `decode` (with the feature) | audio files | mono samples, tags, a report of what was lost |
//! | resample | [`resample`] | samples at any rate | samples at 8 kHz |
//! | transform | [`spectrogram`] | samples | levels in dB, and phases, over time and frequency |
//! | pick | [`peaks`] | levels and phases | peaks: local maxima that stand out |
//! | pair | [`landmark`] | peaks | landmarks: pairs of peaks, and their hashes |
//! | summarise | [`bands`] | levels | sub-fingerprints: which bands are louder than usual |
//! | all of these | [`fingerprint`] | samples or files | fingerprints and queries |
//! | keep | [`store`] | fingerprints | an index, or whatever else is a [`Store`](store::Store) |
//! | propose | [`search::candidates`](search::candidates()) | a query and a store | stretches where many landmarks agree |
//! | weigh | [`evidence`] | such a place | z-scores of peaks, bands and phases; what is missing |
//! | decide | [`search`] | evidence | matches, best first; why a track is one, or is not |
//! | listen | [`monitor`] | a stream and an index | events: what starts and ends, and when |
//!
//! What can be set is in [`config`] (how audio is analysed; stored with every index) and in
//! [`MatchConfig`] (how to search; may differ each time).
//!
//! # How a decision is made
//!
//! Every [`Match`] says how many matches at least as strong chance is expected to give when this clip
//! is searched in this index: [`Match::false_alarms`]. Those above
//! [`MatchConfig::max_false_alarms`] are not returned, so that the threshold has a meaning: one false
//! answer in a thousand searches, by default. The number is an estimate, fitted to clips of music that
//! was not in the index. A clip that is not in the index gives an empty list, which is no error.
//!
//! [`Match::offset_s`] is the time in the track at which the clip begins, [`Match::query`] the part of
//! the clip that was recognised. Where several tracks hold the same audio, the strongest comes first
//! and the others name it in [`Match::same_as`].
//!
//! # Other speeds
//!
//! A clip that is played faster or slower, or higher or lower, than the track is found if
//! [`MatchConfig::speed`] allows for it. [`Match::speed`] and [`Match::pitch`] say how it is played.
//! Clips that are found at the track's own speed take up to twice as long as without; clips that are
//! in no track several times as long.
//!
//! # An index
//!
//! An [`Index`] is a folder of a few files that are never changed, and a small one that says which of
//! them count. It opens at once, whatever its size, and reads what a search asks for. It is searched
//! while it is written: a [`Reader`] sees the state that was committed when it was made. What is
//! committed survives a kill or a loss of power.
//!
//! Searches know an index as a [`Store`](store::Store): a few functions that a database can have, too.
//! A [`KdIndex`] is built in memory from any store, and looks landmarks up within a tolerance.
//!
//! A collection in several stores is searched as one by [`search::Shards`], and across programs by
//! [`search::find`] and [`search::decide`]. A stored fingerprint is searched without its audio by
//! [`Reader::search_fingerprint`]. [`MatchConfig::filter`] limits a search to some tracks.
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `decode` | yes | `AudioReader`: WAV, AIFF, CAF, FLAC, MP3, AAC, MP4, Ogg, Matroska |
//! | `mmap` | yes | indexes are mapped into memory, rather than read as a whole |
//! | `parallel` | yes | all cores for building a [`KdIndex`] and for sorting what is added to an index |
//! | `device` | no | a microphone for the example `monitor`; the library has nothing of it |
//! | `library` | yes | `Library`: syncing folders, identifying, duplicates, comparing |
//! | `opus` | no | Opus; builds libopus, which needs CMake and a C compiler |
//! | `postgres` | no | `postgres::Store`: a collection in PostgreSQL |
//!
#![cfg_attr(not(feature = "decode"), doc = "[`AudioReader`]: #features")]
// But for one call in `wide`, and one in `store::mmap`.
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod bands;
pub mod calibration;
pub mod config;
#[cfg(feature = "decode")]
pub mod decode;
pub mod error;
pub mod evidence;
pub mod fingerprint;
pub mod kdtree;
pub mod landmark;
#[cfg(feature = "library")]
pub mod library;
pub mod monitor;
pub mod peaks;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod resample;
pub mod search;
pub mod spectrogram;
pub mod store;
pub mod tags;
pub mod units;

mod arithmetic;
mod packing;
mod sealed;
mod wide;

#[cfg(test)]
mod testing;

#[doc(inline)]
pub use calibration::Calibration;
#[doc(inline)]
pub use config::Config;
#[doc(inline)]
#[cfg(feature = "decode")]
pub use decode::{AudioInfo, AudioReader, DecodeReport, Decoded};
#[doc(inline)]
pub use error::{Error, Result};
#[doc(inline)]
pub use fingerprint::{Fingerprint, Fingerprinter, Query, QueryStream};
#[doc(inline)]
pub use kdtree::KdIndex;
#[doc(inline)]
#[cfg(feature = "library")]
pub use library::{Library, SyncOptions};
#[doc(inline)]
pub use monitor::Monitor;
#[doc(inline)]
pub use resample::Resampler;
#[doc(inline)]
pub use search::{Match, MatchConfig, Span, SpeedRange};
#[doc(inline)]
pub use store::{Index, Reader, Writer};
#[doc(inline)]
pub use tags::{Tags, TrackInfo};
#[doc(inline)]
pub use units::{ConfigId, SampleRate, TrackId};

/// The README's program.
#[cfg(all(doctest, feature = "library"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// The example of how to use a calibration.
#[cfg(doctest)]
#[doc = include_str!("../docs/calibration.md")]
struct CalibrationGuide;

/// The recipes for libraries.
#[cfg(all(doctest, feature = "library"))]
#[doc = include_str!("../docs/library.md")]
struct LibraryRecipes;

/// How one keeps a collection in PostgreSQL.
#[cfg(all(doctest, feature = "postgres", feature = "decode"))]
#[doc = include_str!("../docs/postgres.md")]
struct PostgresGuide;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_can_share_what_users_hold() {
        fn shared<T: Send + Sync>() {}
        shared::<(Config, MatchConfig, Fingerprint, Query, Fingerprinter, Resampler)>();
        shared::<QueryStream>();
        shared::<(Index, Reader, Writer, KdIndex<Reader>, Match, Error)>();
    }
}
