//! Each file once, however many names lead to it.

use crate::progress::Progress;
use crate::text::shown;
use earmark::tags::track_name;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The files, without those that are another one by another link or path. Of each group that path
/// is taken which the index knows, else one that is no link, else the first.
pub struct Distinct<'a> {
    pub files: Vec<&'a PathBuf>,
    /// What is left out, and what is taken in its place.
    left_out: Vec<(&'a Path, &'a Path)>,
}

impl<'a> Distinct<'a> {
    pub fn new(files: &'a [PathBuf], is_known: impl Fn(&str) -> bool) -> Self {
        let mut group_of = HashMap::new();
        let mut groups: Vec<Vec<&PathBuf>> = Vec::new();
        for file in files {
            let group = *group_of.entry(identity(file)).or_insert_with(|| {
                groups.push(Vec::new());
                groups.len() - 1
            });
            groups[group].push(file);
        }
        let mut distinct = Self { files: Vec::new(), left_out: Vec::new() };
        for group in groups {
            let preference = |i: &usize| {
                let file = group[*i];
                (!is_known(&track_name(file)), file.is_symlink())
            };
            let Some(taken) = (0..group.len()).min_by_key(preference) else { continue };
            let others = group.iter().enumerate().filter(|(i, _)| *i != taken);
            distinct.left_out.extend(others.map(|(_, f)| (f.as_path(), group[taken].as_path())));
            distinct.files.push(group[taken]);
        }
        distinct
    }

    /// Says what is left out.
    pub fn tell(&self, progress: &Progress) {
        for (path, taken) in &self.left_out {
            let (path, taken) = (shown(path), shown(taken));
            progress.say(&if path == taken {
                format!("note: {path} is named more than once, and taken once")
            } else {
                format!("note: {path} is left out: it is the same file as {taken}")
            });
        }
    }
}

/// What two paths to the same file have in common.
#[derive(PartialEq, Eq, Hash)]
enum Identity {
    #[cfg(unix)]
    Inode(u64, u64),
    #[cfg(not(unix))]
    Canonical(PathBuf),
    /// It is not there.
    Name(String),
}

#[cfg(unix)]
fn identity(path: &Path) -> Identity {
    use std::os::unix::fs::MetadataExt;
    let inode = path.metadata().map(|data| Identity::Inode(data.dev(), data.ino()));
    inode.unwrap_or_else(|_| Identity::Name(track_name(path)))
}

#[cfg(not(unix))]
fn identity(path: &Path) -> Identity {
    let canonical = path.canonicalize().map(Identity::Canonical);
    canonical.unwrap_or_else(|_| Identity::Name(track_name(path)))
}
