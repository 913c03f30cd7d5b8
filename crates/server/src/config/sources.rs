//! Where the configuration comes from, layer by layer.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use tollgate_api::FieldError;
use tollgate_limiter::Limit;

use super::document::Document;
use super::environment::Environment;
use super::error::{ConfigError, Place};
use super::node::{Node, Value};
use super::{Config, Flags, deserializer, secret_file, text_file, yaml};

/// Largest configuration file: far above what people write, far below what hurts.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// The tiers of a node that is told of none. A layer of their own, so that a variable can change one figure of one tier.
const DEFAULT_TIERS: &str = "
basic: {requests_per_minute: 100, burst_limit: 20}
pro: {requests_per_minute: 500, burst_limit: 100}
enterprise: {requests_per_minute: 1000, burst_limit: 200}
";

/// All that a configuration is read from; the file itself is read anew each time.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    file: Option<Arc<PathBuf>>,
    environment: Environment,
    flags: Flags,
}

impl Sources {
    /// The sources that `flags` and the variables name.
    ///
    /// # Errors
    /// A variable of ours that is not UTF-8.
    pub(super) fn new(
        flags: &Flags,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let environment = Environment::collect(variables)?;
        let file = flags.config.as_ref().or(environment.file.as_ref()).cloned().map(Arc::new);
        Ok(Self { file, environment, flags: flags.clone() })
    }

    /// Reads them.
    ///
    /// # Errors
    /// The first mistake.
    pub(super) fn read(self) -> Result<Config, ConfigError> {
        let text = self.file_text()?;
        self.parse(text.as_deref())
    }

    /// Reads them again. A file without any text is refused: whoever writes one anew empties it first, and a node that reads it just
    /// then would drop every limit in it.
    ///
    /// # Errors
    /// The first mistake, or a file that is blank.
    pub(super) fn reread(self) -> Result<Config, ConfigError> {
        let text = self.file_text()?;
        match (&self.file, &text) {
            (Some(file), Some(text)) if text.trim_ascii().is_empty() => {
                let problem = "is empty: a file that asks for the defaults holds at least a comment";
                Err(ConfigError::new(Place::File(Arc::clone(file)), problem))
            }
            _ => self.parse(text.as_deref()),
        }
    }

    fn file_text(&self) -> Result<Option<String>, ConfigError> {
        let read = |file: &Arc<PathBuf>| {
            text_file::read(file, MAX_FILE_BYTES)
                .map_err(|error| ConfigError::new(Place::of_file(file, error.position), error.problem))
        };
        self.file.as_ref().map(read).transpose()
    }

    fn parse(self, text: Option<&str>) -> Result<Config, ConfigError> {
        let tree = self.tree(text)?;
        let at_its_place = |error: FieldError| ConfigError::of_key(tree.place_of(&error.field).clone(), error);
        let document: Document = deserializer::read(&tree).map_err(at_its_place)?;
        document.check().map_err(at_its_place)?;
        let limits = document.limits().map_err(at_its_place)?;
        Ok(self.config(document, limits))
    }

    fn tree(&self, text: Option<&str>) -> Result<Node, ConfigError> {
        let mut tree = match self.file.as_ref().zip(text) {
            Some((file, text)) => file_tree(file, text)?,
            None => Node::empty(Place::Default),
        };
        set_default_tiers(&mut tree)?;
        self.environment.apply(&mut tree)?;
        self.flags.apply(&mut tree)?;
        secret_file::read_all(&mut tree)?;
        Ok(tree)
    }

    fn config(self, document: Document, limits: Vec<Limit>) -> Config {
        Config {
            http: document.http,
            data: document.data,
            cluster: document.cluster,
            max_buckets: document.max_buckets,
            limits,
            redis: document.redis,
            circuit_breaker: document.circuit_breaker,
            queue: document.queue,
            alerts: document.alerts,
            metrics: document.metrics,
            log: document.log,
            warnings: self.environment.warnings.clone(),
            sources: self,
        }
    }
}

fn file_tree(file: &Arc<PathBuf>, text: &str) -> Result<Node, ConfigError> {
    let tree = yaml::read_file(file, text)?;
    match &tree.value {
        Value::Map(_) => Ok(tree),
        _ => Err(ConfigError::new(tree.place, "must be a map of settings, such as `http: 127.0.0.1:8080`")),
    }
}

fn set_default_tiers(tree: &mut Node) -> Result<(), ConfigError> {
    if tree.get("rate_limits").is_some() {
        return Ok(());
    }
    let tiers = Node::unparsed(Place::Default, DEFAULT_TIERS);
    tree.set(&["rate_limits"], tiers).map_err(|error| ConfigError::of_key(Place::Default, error))
}
