//! What the variables of the environment set.
//!
//! A variable that begins with `TOLLGATE_` is the path of a key in upper case, with `__` between the levels. Its value is
//! taken as it is where a text is expected, and read as YAML everywhere else.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use super::Secret;
use super::error::{ConfigError, Place};
use super::node::Node;

const PREFIX: &str = "TOLLGATE_";
/// The file to read if no flag names one.
const FILE: &str = "TOLLGATE_CONFIG";
/// The node that the command line talks to: not a setting of a node.
const URL: &str = "TOLLGATE_URL";

/// Names of others, or of the older systems, for keys of ours. The key's own variable takes precedence.
const ALIASES: [(&str, &[&str]); 2] = [("REDIS_URL", &["redis", "url"]), ("RUST_LOG", &["log"])];

/// Names of the older systems that set nothing here, and what does.
const WITHOUT_EFFECT: [(&str, &str); 4] = [
    ("TOKEN_BUCKET_CAPACITY", "`burst_limit` of a tier or limit says how much a bucket holds"),
    ("TOKEN_BUCKET_REFILL_RATE", "`requests_per_minute` of a tier or limit says how fast a bucket refills"),
    ("DEFAULT_EXPIRY", "a bucket is forgotten once it is full, never before"),
    ("RATE_LIMIT_DELAY", "an answer's `retry_after_ms` says how long to wait"),
];
/// The older optimiser of model calls, none of whose features can be set here.
const OPTIMISER_PREFIX: &str = "MAISD_";

/// The variables that matter, as they were when they were collected.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    /// The file to read if no flag names one.
    pub(super) file: Option<PathBuf>,
    /// A line for each variable that was set in vain.
    pub(super) warnings: Vec<String>,
    /// Values that are not empty, any of which may be a secret.
    values: BTreeMap<String, Secret>,
}

impl Environment {
    /// Keeps those of `variables` that matter.
    ///
    /// # Errors
    /// A value that is not UTF-8.
    pub(super) fn collect(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, ConfigError> {
        let mut environment = Self::default();
        for (name, value) in variables {
            if !value.is_empty() {
                environment.add(name.to_string_lossy().into_owned(), value)?;
            }
        }
        environment.warnings.sort_unstable();
        Ok(environment)
    }

    fn add(&mut self, name: String, value: OsString) -> Result<(), ConfigError> {
        if name == FILE {
            self.file = Some(value.into());
        } else if let Some(warning) = warning(&name) {
            self.warnings.push(warning);
        } else if is_setting(&name) {
            let place = || Place::Variable(name.as_str().into());
            let value = value.into_string().map_err(|_| ConfigError::new(place(), "is not UTF-8"))?;
            self.values.insert(name, Secret::new(value));
        }
        Ok(())
    }

    /// Sets what the variables say in `tree`.
    ///
    /// # Errors
    /// A name that is not the path of a key. Whether there is such a key shows when the tree is read.
    pub(super) fn apply(&self, tree: &mut Node) -> Result<(), ConfigError> {
        for (alias, path) in ALIASES {
            if let Some(value) = self.values.get(alias)
                && !self.values.contains_key(&variable_of(path))
            {
                set(tree, alias, path, value)?;
            }
        }
        let keys = self.values.iter().filter_map(|(name, value)| Some((name, name.strip_prefix(PREFIX)?, value)));
        for (name, key, value) in keys {
            let path = path_of(name, key)?;
            set(tree, name, &path.iter().map(String::as_str).collect::<Vec<_>>(), value)?;
        }
        Ok(())
    }
}

fn set(tree: &mut Node, name: &str, path: &[&str], value: &Secret) -> Result<(), ConfigError> {
    let node = Node::unparsed(Place::Variable(name.into()), value.expose());
    tree.set(path, node).map_err(|error| ConfigError::of_key(tree.place_of(&error.field).clone(), error))
}

fn is_setting(name: &str) -> bool {
    let is_ours = name.starts_with(PREFIX) && name != URL && !is_service_link(name);
    is_ours || ALIASES.iter().any(|(alias, _)| *alias == name)
}

/// Whether Kubernetes sets this variable in every pod for a service whose name begins with `tollgate`.
fn is_service_link(name: &str) -> bool {
    let is_port = name.contains("_PORT_") && ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| name.contains(protocol));
    name.ends_with("_SERVICE_HOST") || name.contains("_SERVICE_PORT") || name.ends_with("_PORT") || is_port
}

fn warning(name: &str) -> Option<String> {
    if name.starts_with(OPTIMISER_PREFIX) {
        return Some(format!("{name} has no effect: Tollgate limits calls and does not optimise them"));
    }
    let (_, instead) = WITHOUT_EFFECT.iter().find(|(known, _)| *known == name)?;
    Some(format!("{name} has no effect: {instead}"))
}

/// The variable of the key at `path`.
fn variable_of(path: &[&str]) -> String {
    format!("{PREFIX}{}", path.join("__").to_ascii_uppercase())
}

/// The path of the variable `name`, of which `key` is the part after the prefix.
fn path_of(name: &str, key: &str) -> Result<Vec<String>, ConfigError> {
    let path: Vec<_> = key.split("__").map(str::to_ascii_lowercase).collect();
    if key.contains(|letter: char| letter.is_ascii_lowercase()) || path.iter().any(String::is_empty) {
        let problem = "must be a key in upper case with `__` between levels, such as TOLLGATE_CLUSTER__NODE";
        return Err(ConfigError::new(Place::Variable(name.into()), problem));
    }
    Ok(path)
}
