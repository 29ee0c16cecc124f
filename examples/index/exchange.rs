//! Fingerprints as files: one for each track, and a list that says what they are.

use crate::text::{reason, shown};
use earmark::store::{OpenOptions, Reader};
use earmark::{Config, Error, Fingerprint, Tags, TrackInfo};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

/// A JSON object in each line.
const LIST: &str = "tracks.jsonl";
/// So many tracks are lost at most if this is killed.
const COMMIT_TRACKS: usize = 1000;

fn told(error: Error) -> String {
    error.to_string()
}

/// Writes all tracks into a folder, and says how many.
pub fn export(reader: &Reader, folder: &Path) -> Result<usize, String> {
    let failed = |e: std::io::Error| format!("cannot write to {}: {e}", shown(folder));
    fs::create_dir_all(folder).map_err(failed)?;
    let list = File::create_new(folder.join(LIST)).map_err(failed)?;
    let mut list = BufWriter::new(list);
    let mut exported = 0;
    for track in reader.tracks() {
        let track = track.map_err(told)?;
        let file = format!("{}.fingerprint", track.id.0);
        let bytes = reader.fingerprint(track.id).and_then(|print| print.to_bytes());
        fs::write(folder.join(&file), bytes.map_err(told)?).map_err(failed)?;
        let line = json!({
            "file": file,
            "name": track.name,
            "title": track.tags.title,
            "artist": track.tags.artist,
            "album": track.tags.album,
            "track_number": track.tags.track_number,
            "isrc": track.tags.isrc,
            "musicbrainz_id": track.tags.musicbrainz_id,
        });
        writeln!(list, "{line}").map_err(failed)?;
        exported += 1;
    }
    list.flush().map_err(failed)?;
    Ok(exported)
}

/// Adds the tracks of a folder; says how many, and how many names were taken.
pub fn import(index: &Path, folder: &Path) -> Result<(usize, usize), String> {
    let list = folder.join(LIST);
    let failed = |e: std::io::Error| format!("cannot read {}: {e}", shown(&list));
    let lines = BufReader::new(File::open(&list).map_err(failed)?).lines();
    let index = OpenOptions::new().open_or_create(index, Config::default()).map_err(told)?;
    let mut writer = index.writer().map_err(told)?;
    let (mut added, mut taken) = (0, 0);
    for line in lines {
        let line: Value = serde_json::from_str(&line.map_err(failed)?)
            .map_err(|e| format!("{} is not what was exported: {e}", shown(&list)))?;
        let text = |field: &str| line[field].as_str().map(String::from);
        let file = text("file").filter(|file| !file.contains(['/', '\\'])).unwrap_or_default();
        let path = folder.join(file);
        let bytes = fs::read(&path).map_err(|e| format!("cannot read {}: {e}", shown(&path)))?;
        let print = Fingerprint::from_bytes(&bytes, &Config::default());
        let print = print.map_err(|e| format!("{}: {}", shown(&path), reason(&e)))?;
        let number = line["track_number"].as_u64().and_then(|number| number.try_into().ok());
        let tags = Tags {
            title: text("title"),
            artist: text("artist"),
            album: text("album"),
            track_number: number,
            isrc: text("isrc"),
            musicbrainz_id: text("musicbrainz_id"),
        };
        let name = text("name").unwrap_or_default();
        match writer.add(TrackInfo { name, tags }, &print) {
            Ok(_) => added += 1,
            Err(Error::DuplicateTrack { .. }) => taken += 1,
            Err(error) => return Err(error.to_string()),
        }
        if (added + 1) % COMMIT_TRACKS == 0 {
            writer.commit().map_err(told)?;
        }
    }
    writer.commit().map_err(told)?;
    Ok((added, taken))
}
