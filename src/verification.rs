//! The second stage.
use crate::config::Config;
use crate::peaks::{Peak, STEPS};

/// Half-sizes in frames and bins of the nested neighbourhoods, from small to large.
pub const NEIGHBOURHOODS: [(usize, usize); 8] =
    [(1, 1), (1, 2), (2, 3), (2, 5), (3, 8), (3, 12), (4, 18), (6, 25)];

/// How prominent each cell is.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelMap {
    pub frames: usize,
    pub bins: usize,
    /// exact level
    pub exact: Vec<u8>,
    /// 3x3 max
    pub near: Vec<u8>,
}

impl LevelMap {
    pub fn new(levels_db: &[f32], bins: usize) -> Self {
        let frames = levels_db.len() / bins;
        let mut exact = vec![0u8; levels_db.len()];
        for t in 0..frames {
            for b in 0..bins {
                let level = levels_db[t * bins + b];
                let mut k = 0;
                'grow: for (tr, fr) in NEIGHBOURHOODS {
                    let columns = b.saturating_sub(fr)..(b + fr + 1).min(bins);
                    for r in t.saturating_sub(tr)..(t + tr + 1).min(frames) {
                        let row = &levels_db[r * bins..][columns.clone()];
                        if row.iter().any(|&x| x > level) {
                            break 'grow;
                        }
                    }
                    k += 1;
                }
                exact[t * bins + b] = k;
            }
        }
        let mut near = exact.clone();
        let at = |t: isize, b: isize| {
            if t < 0 || b < 0 || t as usize >= frames || b as usize >= bins {
                0
            } else {
                exact[t as usize * bins + b as usize]
            }
        };
        for t in 0..frames as isize {
            for b in 0..bins as isize {
                let mut m = 0;
                for dt in -1..=1 {
                    for db in -1..=1 {
                        m = m.max(at(t + dt, b + db));
                    }
                }
                near[t as usize * bins + b as usize] = m;
            }
        }
        Self { frames, bins, exact, near }
    }
}

/// Visits the cells of the reference peaks placed at `offset_steps` (reference time minus query time).
pub fn visit(map: &LevelMap, peaks: &[Peak], offset_steps: i64, mut f: impl FnMut(&Peak, usize)) {
    let s = i64::from(STEPS);
    let first = peaks.partition_point(|p| i64::from(p.time) + 2 * s < offset_steps);
    for p in &peaks[first..] {
        let t = (i64::from(p.time) - offset_steps + s / 2).div_euclid(s);
        if t >= map.frames as i64 + 2 {
            break;
        }
        if t < 0 || t >= map.frames as i64 {
            continue;
        }
        let b = (usize::from(p.bin) + STEPS as usize / 2) / STEPS as usize;
        if b < map.bins {
            f(p, t as usize * map.bins + b);
        }
    }
}
