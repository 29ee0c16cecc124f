//! The note on where the files come from.

use std::fmt::Write;

use crate::broken;
use crate::catalogue::{ABSENT, CLIPS, Effect, TRACKS};

const HEAD: &str = "\
# Fixtures

Recordings for the tests and the benchmarks. All of them are synthesised by
`examples/make_fixtures`; nothing was recorded, sampled or taken from anyone.
They are under the same licence as the crate, MIT OR Apache-2.0. This file is
written by the same program.

To make them again, from the root of the crate:

```text
cargo run --release --example make_fixtures
```

Another folder may be given as an argument. WAV, AIFF and CAF files are
written by the program itself and come out the same each time on one machine;
on another, the last bit of some samples may differ with the system's `sin`
and `exp`. The other formats are encoded by `ffmpeg` with bit-exact flags, so
they are the same for the same version of `ffmpeg` (these: 5.1). Without
`ffmpeg` those files are left alone, and the program names them.

The program ends by looking over what it made: every piece must have more than
30 strong spectral peaks a second between 150 and 3500 Hz and must not repeat
itself, and every clip is looked for in the library at the time it claims.
";

const CLIP_NOTES: &str = "\
`clips.tsv` says for each clip which track it is of, from which second on, and
what was done to it. `track` and `start_s` are empty for the piece that is not
in the library. The overlay has two lines, both true: the louder piece first
(`overlay`), then the quieter (`overlay-under`).

Clips are cut from the samples before the track was encoded, from the mean of
its channels, at times that fall on no particular sample. A decoder that keeps
the encoder's padding sees the music begin late: in AAC by 1024 samples (21 ms
at 48 kHz, 64 ms at 16 kHz), in MP3 by 1105 (25 ms at 44.1 kHz, 69 ms at
16 kHz).
";

pub fn text() -> String {
    let mut out = String::from(HEAD);
    out += "\n## library/\n\n";
    out += "Tagged with title, artist and album. Lossless files marked so keep fewer bits\n";
    out += "per sample, to be small.\n\n";
    out += "| file | format | Hz | channels | seconds | how it was made |\n|---|---|---|---|---|---|\n";
    for track in &TRACKS {
        let (format, coarse) = (track.format.describe(), track.bits < 16);
        let bits = if coarse { format!(" ({} bits kept)", track.bits) } else { String::new() };
        let channels = if track.channels == 6 { "5.1".into() } else { track.channels.to_string() };
        let _ = writeln!(
            out,
            "| {} | {format}{bits} | {} | {channels} | {} | {} |",
            track.file(),
            track.rate,
            track.seconds,
            track.how
        );
    }

    let _ = write!(out, "\n## clips/\n\n{CLIP_NOTES}\n");
    let _ = writeln!(out, "The absent piece is a march: {}.\n", ABSENT.how);
    out += "| file | format | Hz | seconds | what was done |\n|---|---|---|---|---|\n";
    for clip in &CLIPS {
        let done = match clip.effect {
            Effect::None => "cut and encoded".into(),
            Effect::Quieter(db) => format!("turned down by {} dB", -db),
            Effect::White(snr) => format!("white noise at {snr} dB SNR"),
            Effect::Pink(snr) => format!("pink noise at {snr} dB SNR"),
            Effect::Telephone => "band of 300 to 3400 Hz".into(),
            Effect::Overdrive(db) => format!("driven {db} dB into clipping"),
            Effect::Overlay(other, _, below) => format!("{other} added {below} dB below"),
            Effect::Room => "in a small synthetic room (RT60 0.35 s)".into(),
        };
        let (file, format) = (clip.file(), clip.format.describe());
        let _ = writeln!(out, "| {file} | {format} | {} | {} | {done} |", clip.rate, clip.seconds);
    }

    out += "\n## broken/\n\n| file | what it is |\n|---|---|\n";
    for (file, what) in broken::TABLE {
        let _ = writeln!(out, "| {file} | {what} |");
    }
    out
}
