//! The one error type. Each message says what was wrong, where, and what to do.

use crate::units::{ConfigId, SampleRate, TrackId};
use std::io;
use std::path::PathBuf;

/// A [`std::result::Result`] with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused to read or write a file.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted: "open", "read", "write", …
        action: &'static str,
        /// The file concerned.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A reader that is not a file failed.
    #[error("cannot read the audio source: {0}")]
    Read(io::Error),
    /// The bytes are of no known audio container.
    #[error(
        "not an audio file that can be read here ({reason}); known are WAV, AIFF, CAF, FLAC, MP1-3, AAC, MP4/M4A, Ogg, Matroska/WebM"
    )]
    UnknownFormat {
        /// What the probe found.
        reason: String,
    },
    /// A header asks for more memory than any sound file needs.
    #[error(
        "a header of this file asks for too much ({detail}): it is damaged, or made to do harm"
    )]
    ExcessiveHeader {
        /// What is too large, and what is allowed.
        detail: String,
    },
    /// The container is known, its codec is not.
    #[error("the audio codec is not supported: {codec}")]
    UnsupportedCodec {
        /// Name or number of the codec.
        codec: String,
    },
    /// An Opus stream, and the crate was built without its `opus` feature.
    #[error(
        "this is Opus: build earmark with the feature `opus` (cargo add earmark -F opus) to read it"
    )]
    OpusFeatureOff,
    /// The container holds no audio track.
    #[error("the file has no audio track")]
    NoAudioTrack,
    /// Not one packet could be decoded.
    #[error("no audio could be decoded: {reason}")]
    Undecodable {
        /// The decoder's last complaint.
        reason: String,
    },
    /// A sample rate that makes no sense.
    #[error(
        "a sample rate of {hz} Hz is outside {}..={} Hz; check how the samples were read",
        SampleRate::MIN_HZ,
        SampleRate::MAX_HZ
    )]
    SampleRate {
        /// The rate given.
        hz: u32,
    },
    /// The audio is shorter than one landmark needs.
    #[error("only {duration_s:.2} s of audio: at least {needed_s:.2} s are needed for a landmark")]
    TooShort {
        /// Length of the audio.
        duration_s: f64,
        /// The shortest length that can give a landmark.
        needed_s: f64,
    },
    /// The audio is silent, constant, or below the noise floor of 16-bit audio.
    #[error(
        "{duration_s:.2} s of silence: nothing to fingerprint (is the right channel or input recorded?)"
    )]
    Silent {
        /// Length of the audio.
        duration_s: f64,
    },
    /// The audio is neither short nor silent, yet has no landmark (a steady tone, say).
    #[error(
        "{duration_s:.2} s of audio without a landmark: it holds no peaks that change with time"
    )]
    Featureless {
        /// Length of the audio.
        duration_s: f64,
    },
    /// A configuration value is out of its range.
    #[error("config: {field} is {value}, but must be {expected}")]
    Config {
        /// The field, as a path (`stft.hop_samples`).
        field: &'static str,
        /// The value given.
        value: String,
        /// What is allowed.
        expected: String,
    },
    /// Two things that were made with different configurations.
    #[error(
        "made with another configuration ({found}, here {expected}): fingerprint again with the same Config, or open the index with the Config that it stores"
    )]
    ConfigMismatch {
        /// The configuration in force.
        expected: ConfigId,
        /// The configuration found.
        found: ConfigId,
    },
    /// A search with an analysis of which nothing was fitted.
    #[error(
        "no calibration for the analysis {config_id}: make one with the program `calibrate` (cargo run --release --example calibrate -- MUSIC) and give it as MatchConfig::calibration, or take another's on purpose (Calibration::for_analysis)"
    )]
    NoCalibration {
        /// The analysis.
        config_id: ConfigId,
    },
    /// A search with the calibration of another analysis.
    #[error(
        "the calibration is of the analysis {found}, not of {expected}: make one for it with the program `calibrate`, or take this one on purpose (Calibration::for_analysis)"
    )]
    CalibrationMismatch {
        /// The analysis in force.
        expected: ConfigId,
        /// The one that the calibration was made for.
        found: ConfigId,
    },
    /// The bytes are not what they are taken for.
    #[error("{}this is not an earmark {what} (its first bytes differ)", before(path))]
    BadMagic {
        /// "index" or "fingerprint".
        what: &'static str,
        /// The file, if it is one.
        path: Option<PathBuf>,
    },
    /// Written by another version of the format.
    #[error(
        "{}{what} format version {found}, but this build reads version {supported}: {}",
        before(path),
        if found > supported { "update earmark" } else { "make it again with this version" }
    )]
    Version {
        /// "index" or "fingerprint".
        what: &'static str,
        /// The version found.
        found: u32,
        /// The version that this build reads.
        supported: u32,
        /// The file, if it is one.
        path: Option<PathBuf>,
    },
    /// The file of an index of earlier versions, which was one.
    #[error(
        "{}: an index file of an earlier version, but an index is a folder now: fingerprint the recordings again, into a folder of another name",
        path.display()
    )]
    IndexFile {
        /// The file.
        path: PathBuf,
    },
    /// The bytes were damaged after they were written.
    #[error(
        "{}the {what} is damaged ({detail}): restore it from a copy, or make it again",
        before(path)
    )]
    Corrupt {
        /// "index" or "fingerprint".
        what: &'static str,
        /// What did not fit.
        detail: String,
        /// The file, if it is one.
        path: Option<PathBuf>,
    },
    /// The index already holds a track of that name.
    #[error("the index already holds {name:?} as {id}: remove it first, or use replace")]
    DuplicateTrack {
        /// The name.
        name: String,
        /// The track that has it.
        id: TrackId,
    },
    /// The index holds no such track.
    #[error("the index holds no track {id}")]
    NoSuchTrack {
        /// The track asked for.
        id: TrackId,
    },
    /// The index has no room for more audio (about 4 years).
    #[error("the index is full: start a second one")]
    IndexFull,
    /// Parts of a query that do not fit together.
    #[error(
        "these parts make no query ({detail}): give the peaks of the clip in the order of their frames, and all rows of its spectrogram or none"
    )]
    QueryParts {
        /// What does not fit.
        detail: String,
    },
    /// A clip beyond the longest that a query is made of.
    #[error(
        "the clip is longer than {limit_s:.0} s: cut it into pieces, or raise the limit (Fingerprinter::set_max_query_s)"
    )]
    TooLong {
        /// The limit, in seconds.
        limit_s: f64,
    },
    /// A clip was not found in the time that was allowed.
    #[error(
        "nothing was found in {after_s:.1} s, which is the limit: {listened_s:.0} s of the clip were searched; allow more time (IdentifyOptions::time_limit) or give a shorter clip"
    )]
    OutOfTime {
        /// Time taken, in seconds.
        after_s: f64,
        /// How much of the clip was searched, in seconds.
        listened_s: f64,
    },
    /// A recording of more frames than the times of peaks can count.
    #[error("the recording is longer than {limit_s:.0} s: cut it into pieces")]
    RecordingTooLong {
        /// The limit, in seconds.
        limit_s: f64,
    },
    /// A name or tag that is too long to be stored.
    #[error("the track's {field} is {bytes} bytes long, but {limit} are the most: shorten it")]
    TextTooLong {
        /// "name", "title", "artist", "album", "ISRC" or "MusicBrainz id".
        field: &'static str,
        /// Its length.
        bytes: usize,
        /// The greatest length.
        limit: usize,
    },
    /// There is another [`Writer`](crate::Writer) of this index.
    #[error(
        "{} is locked: another run is writing to this index; try again when it is done",
        path.display()
    )]
    Locked {
        /// The index.
        path: PathBuf,
    },
    /// PostgreSQL refused, or could not be reached.
    #[error("PostgreSQL: cannot {action}: {reason}; {advice}")]
    Postgres {
        /// What was attempted: "connect", "add tracks", …
        action: &'static str,
        /// What the server or the connection said. Never a password.
        reason: String,
        /// What to do.
        advice: &'static str,
        /// The five characters of the server's SQLSTATE, if the server said it.
        sqlstate: Option<String>,
    },
    /// A [store](crate::store::Store) that is not one of this crate's failed.
    #[error("the store of the collection failed: {0}")]
    Store(Box<dyn std::error::Error + Send + Sync>),
    /// Findings of different clips were to be decided together.
    #[error(
        "these findings are not of one clip and one calibration: decide together only what one query found in the parts of a collection, searched with the same calibration"
    )]
    OtherClip,
    /// A [shard](crate::search::Shard) of a collection could not be searched.
    #[error("shard {name}: {source}")]
    Shard {
        /// Its name.
        name: String,
        /// What went wrong.
        source: Box<Error>,
    },
    /// A search of a shard that took too long, or was not ended.
    #[error(
        "no answer ({detail}): see whether the store is up and not overloaded, then search again"
    )]
    NoAnswer {
        /// How long was waited, or what happened.
        detail: String,
    },
    /// The KD-tree could not be built.
    #[error("the KD-tree could not be built ({reason}): search the index itself")]
    KdTree {
        /// What the tree said.
        reason: String,
    },
}

/// A path, as it stands before what is wrong with the file.
fn before(path: &Option<PathBuf>) -> String {
    path.as_ref().map(|path| format!("{}: ", path.display())).unwrap_or_default()
}
