//! What can be said on the command line.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use tollgate_api::{MAX_LABELS, validate_labels};

use super::error::ReplayError;
use super::logged_request::Mapping;

/// Labels that a line can give: `user`, `ip`, `method`, `status`, `path`, `host`, `referer`, `agent`.
const LABELS_OF_A_LINE: usize = 8;

/// The most labels that can be given beside them.
const MAX_FIXED_LABELS: usize = MAX_LABELS - LABELS_OF_A_LINE;

/// Shows what a configuration would have done to past traffic.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Every line counts as one request of cost 1, at the time that it was logged, with the prefix `app` and the labels
user, ip, method, status, path, host, referer and agent, as far as the line has them.

Examples:
  tollgate replay access.log --config tollgate.yaml
  tollgate replay access.log.1.gz --config tollgate.yaml --tier basic --endpoint route
  zcat -f access.log* | tollgate replay - --config tollgate.yaml --json
  tollgate replay access.log --config today.yaml --against tomorrow.yaml

Exit code: 0 reported, 2 error"
)]
pub struct ReplayArgs {
    /// Access log of Apache or nginx, in the combined or common format, plain or gzip; - reads standard input
    #[arg(value_name = "ACCESS_LOG")]
    pub(super) log: PathBuf,
    /// Configuration whose limits are tried; variables of the environment do not change it
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Second configuration, to compare the first one with
    #[arg(long, value_name = "FILE")]
    pub(super) against: Option<PathBuf>,
    /// Print the report as one JSON document
    #[arg(long)]
    pub(super) json: bool,
    /// What the endpoint of a request is
    #[arg(long, value_enum, default_value_t)]
    pub(super) endpoint: EndpointStyle,
    /// What the label `user` is
    #[arg(long, value_enum, default_value_t)]
    pub(super) by: UserSource,
    /// Tier of all requests; short for --label tier=NAME
    #[arg(long, value_name = "NAME")]
    pub(super) tier: Option<String>,
    /// A label of all requests, such as region=eu, in place of what a line says; can be given several times
    #[arg(long = "label", value_name = "NAME=VALUE")]
    pub(super) labels: Vec<FixedLabel>,
}

/// What the endpoint of a request is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(super) enum EndpointStyle {
    /// The path without its leading slash; `_` for characters that an endpoint cannot hold; `root` for `/`.
    #[default]
    Path,
    /// The path with `_` for numbers, UUIDs and hashes too, so that users/41 and users/42 are one endpoint.
    Route,
}

/// What the label `user` is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(super) enum UserSource {
    /// The client's address.
    #[default]
    Address,
    /// Who logged in; requests without a login have no label `user`.
    Login,
}

/// A label as it is written: `tier=pro`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct FixedLabel {
    /// What stands before the first `=`.
    pub(super) name: String,
    /// All that stands after it.
    pub(super) value: String,
}

impl FromStr for FixedLabel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self { name: name.to_owned(), value: value.to_owned() }),
            Some(_) | None => Err("expected NAME=VALUE, such as tier=pro".to_owned()),
        }
    }
}

impl ReplayArgs {
    /// How lines become requests.
    ///
    /// # Errors
    /// Labels that no request could have.
    pub(super) fn mapping(&self) -> Result<Mapping, ReplayError> {
        Ok(Mapping { endpoint: self.endpoint, user: self.by, fixed: self.fixed_labels()? })
    }

    fn fixed_labels(&self) -> Result<BTreeMap<String, String>, ReplayError> {
        let tier = self.tier.iter().map(|tier| ("tier", tier));
        let given = self.labels.iter().map(|label| (label.name.as_str(), &label.value));
        let mut labels = BTreeMap::new();
        for (name, value) in tier.chain(given) {
            if name == "endpoint" {
                return Err(ReplayError::label(name, "is what --endpoint makes of the path"));
            }
            if labels.insert(name.to_owned(), value.clone()).is_some() {
                return Err(ReplayError::label(name, "is given twice"));
            }
        }
        validate_labels(&labels).map_err(|error| ReplayError::Label { field: error.field, problem: error.problem })?;
        if labels.len() > MAX_FIXED_LABELS {
            return Err(ReplayError::Label {
                field: "labels".to_owned(),
                problem: format!("at most {MAX_FIXED_LABELS} can be given beside those of a line"),
            });
        }
        Ok(labels)
    }
}
