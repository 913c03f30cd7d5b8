use serde::{Deserialize, Serialize};

/// How bad an alert is, in the words of PagerDuty's events; the worst is the greatest.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Something may fail soon.
    Warning,
    /// Something fails.
    Error,
    /// Somebody must act now.
    Critical,
}

impl Severity {
    /// All of them, the worst last.
    pub const ALL: [Self; 4] = [Self::Info, Self::Warning, Self::Error, Self::Critical];

    /// Its name, as in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}
