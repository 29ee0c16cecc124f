//! Audio fingerprinting: which recording is this, and where in it are we?
//!
//! A [`Fingerprinter`] turns audio into a [`Fingerprint`] (of a recording, to be kept) or a [`Query`]
//! (of a clip, to be looked up). An index holds fingerprints and finds clips in them.
//!
//! ```
//! use earmark::{Config, Fingerprinter, HashIndex, MatchConfig, SampleRate, TrackInfo};
//! # let song: Vec<f32> = (0..160_000u64).map(|i| ((i * i / 7919 * (i / 3000 + 3)) as f32 * 1e-3).sin()).collect();
//! let rate = SampleRate::new(8_000)?;
//! let mut fingerprinter = Fingerprinter::new(Config::default())?;
//!
//! // Samples are mono `f32` at any rate. Files are read by `fingerprint_file` and `query_file`.
//! let mut index = HashIndex::new(Config::default())?;
//! index.add(TrackInfo::named("song"), &fingerprinter.fingerprint(&song, rate)?)?;
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
//! | [`Fingerprinter`] | turns audio into fingerprints and queries |
//! | [`Fingerprint`], [`Query`] | what is kept of a recording, and what is looked up of a clip |
//! | [`QueryStream`] | gives the last seconds of a stream as a query, at any time |
//! | [`HashIndex`], [`KdIndex`] | hold fingerprints and find clips in them |
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
//! | keep | [`catalog`], [`index`](mod@index), [`kdtree`] | fingerprints | an index |
//! | propose | [`search::candidates`](search::candidates()) | a query and a store | stretches where many landmarks agree |
//! | weigh | [`evidence`] | such a place | z-scores of peaks, bands and phases; what is missing |
//! | decide | [`search`] | evidence | matches, best first; why a track is one, or is not |
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
//! # Choosing an index
//!
//! [`HashIndex`] grows track by track and is stored in a file. [`KdIndex`] looks landmarks up within
//! a tolerance and is built in memory from the same [`Catalog`].
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `decode` | yes | `AudioReader`: WAV, AIFF, CAF, FLAC, MP3, AAC, MP4, Ogg, Matroska |
//! | `parallel` | yes | all cores for building a [`KdIndex`], and a [`HashIndex`] from a catalog; two for opening one |
//! | `library` | yes | `Library`: syncing folders, identifying, duplicates, comparing |
//! | `opus` | no | Opus; builds libopus, which needs CMake and a C compiler |
//!
#![cfg_attr(not(feature = "decode"), doc = "[`AudioReader`]: #features")]
// But for one call in `wide`.
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod bands;
pub mod calibration;
pub mod catalog;
pub mod config;
#[cfg(feature = "decode")]
pub mod decode;
pub mod error;
pub mod evidence;
pub mod fingerprint;
pub mod index;
pub mod kdtree;
pub mod landmark;
#[cfg(feature = "library")]
pub mod library;
pub mod lock;
pub mod peaks;
pub mod resample;
pub mod search;
pub mod spectrogram;
pub mod store;
pub mod tags;
pub mod units;

mod arithmetic;
mod packing;
mod replacing;
mod sealed;
mod segment;
mod source;
mod storage;
mod wide;

#[cfg(test)]
mod testing;

#[doc(inline)]
pub use calibration::Calibration;
#[doc(inline)]
pub use catalog::{Catalog, Track, TrackInfo};
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
pub use index::HashIndex;
#[doc(inline)]
pub use kdtree::KdIndex;
#[doc(inline)]
#[cfg(feature = "library")]
pub use library::{Library, SyncOptions};
#[doc(inline)]
pub use lock::IndexLock;
#[doc(inline)]
pub use resample::Resampler;
#[doc(inline)]
pub use search::{Match, MatchConfig, Span, SpeedRange};
#[doc(inline)]
pub use tags::Tags;
#[doc(inline)]
pub use units::{ConfigId, FrameIndex, SampleRate, TrackId};

/// The README's program.
#[cfg(all(doctest, feature = "decode"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// The recipes for libraries.
#[cfg(all(doctest, feature = "library"))]
#[doc = include_str!("../docs/library.md")]
struct LibraryRecipes;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_can_share_what_users_hold() {
        fn shared<T: Send + Sync>() {}
        shared::<(Config, MatchConfig, Fingerprint, Query, Fingerprinter, Resampler)>();
        shared::<QueryStream>();
        shared::<(Catalog, HashIndex, KdIndex<HashIndex>, Match, Error)>();
    }
}
