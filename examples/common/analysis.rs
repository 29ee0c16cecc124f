//! Analyses that can be asked for by name.

use clap::ValueEnum;
use earmark::Config;

/// An analysis.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Analysis {
    /// That of the library's figures
    Default,
    /// Half as large, for huge archives
    Compact,
}

impl Analysis {
    pub fn config(self) -> Config {
        match self {
            Self::Default => Config::default(),
            Self::Compact => Config::compact(),
        }
    }
}
