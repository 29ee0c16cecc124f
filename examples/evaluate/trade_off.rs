//! Right answers against false ones, whatever the threshold is.

use std::io::{Result, Write};

/// Shares of the absent clips that pass the thresholds that are looked at.
const PASSING: [f64; 5] = [0.0, 0.001, 0.002, 0.005, 0.01];

/// The best matches of clips: their false alarms.
#[derive(Default)]
pub struct TradeOff {
    /// Of clips of indexed tracks, infinite if the track is wrong,
    present: Vec<f64>,
    /// and of others.
    absent: Vec<f64>,
}

impl TradeOff {
    pub fn present(&mut self, false_alarms: f64, right: bool) {
        self.present.push(if right { false_alarms } else { f64::INFINITY });
    }

    pub fn absent(&mut self, false_alarms: f64) {
        self.absent.push(false_alarms);
    }

    /// Per cent of the clips of indexed tracks that are stronger than all absent ones but a share.
    fn right(&self, passing: f64) -> f64 {
        let mut absent = self.absent.clone();
        absent.sort_by(f64::total_cmp);
        let passing = (passing * absent.len() as f64) as usize;
        let limit = absent.get(passing).copied().unwrap_or(f64::INFINITY);
        let right = self.present.iter().filter(|&&x| x < limit).count();
        100.0 * right as f64 / self.present.len().max(1) as f64
    }

    pub fn print(&self, out: &mut dyn Write) -> Result<()> {
        if self.present.is_empty() || self.absent.is_empty() {
            return Ok(());
        }
        writeln!(out, "\nRight track, %, at the threshold that so many clips of no track pass\n")?;
        for passing in PASSING {
            write!(out, "{:>8}", format!("{} %", 100.0 * passing))?;
        }
        writeln!(out)?;
        for passing in PASSING {
            write!(out, "{:>8.1}", self.right(passing))?;
        }
        writeln!(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_let_as_many_pass_as_they_say() {
        let mut trade_off = TradeOff::default();
        (1..=1000).for_each(|i| trade_off.absent(f64::from(i)));
        // Right answers at 0.5, 1.5, 2.5, 3.5 and 7, and a wrong one.
        [0.5, 1.5, 2.5, 3.5, 7.0].iter().for_each(|&x| trade_off.present(x, true));
        trade_off.present(0.1, false);
        let right = PASSING.map(|passing| (6.0 * trade_off.right(passing) / 100.0).round());
        // Limits are 1, 2, 3, 6 and 11.
        assert_eq!(right, [1.0, 2.0, 3.0, 4.0, 5.0]);
    }
}
