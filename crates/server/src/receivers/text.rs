//! How a message reads: built-in templates, and lines that the configuration has for rules of its choice.
//!
//! A template gets texts of others, such as labels, as values. Values are never read as templates, so what is in them is shown and not
//! evaluated.

use std::collections::BTreeMap;
use std::fmt;

use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior};
use tollgate_cluster::Delivery;

use super::facts::{Facts, sample};
use super::printable::one_line;

/// Most characters of a summary: PagerDuty takes no more.
const MOST_SUMMARY: usize = 1_024;
/// Most bytes of a template: it makes one line.
const MOST_TEMPLATE_BYTES: usize = 4_096;
/// Most steps that a template may take: enough for loops over all alerts of a message, and done in milliseconds.
const FUEL: u64 = 50_000;

const SUMMARY: &str = "summary.txt";
const DETAILS: &str = "details.txt";
const PAGE: &str = "message.html";
/// What the names of templates for rules begin with, so that none is called as a built-in one.
const OF_RULE: &str = "rule/";

/// Templates, ready to render.
pub(super) struct Texts(Environment<'static>);

/// How a message reads.
pub(super) struct Rendered {
    /// One line, never empty.
    pub(super) summary: String,
    /// Lines.
    pub(super) details: String,
    /// A page of HTML with both.
    pub(super) page: String,
}

impl Texts {
    /// The built-in templates, and `summaries` by the names of their rules. One that does not parse is left out, since those of a
    /// configuration were checked at the start.
    pub(super) fn new(summaries: &BTreeMap<String, String>) -> Self {
        let mut environment = environment(UndefinedBehavior::Lenient);
        for (name, source) in [
            (SUMMARY, include_str!("templates/summary.txt")),
            (DETAILS, include_str!("templates/details.txt")),
            (PAGE, include_str!("templates/message.html")),
        ] {
            environment.add_template(name, source).expect("the built-in templates are tested");
        }
        for (rule, source) in summaries {
            let _ = environment.add_template_owned(format!("{OF_RULE}{rule}"), source.clone());
        }
        Self(environment)
    }

    /// How a message reads.
    pub(super) fn render(&self, delivery: &Delivery, client_url: Option<&str>) -> Rendered {
        let mut facts = Facts::new(delivery, client_url);
        facts.summary = self.summary(delivery, &facts);
        facts.details = self.rendered(DETAILS, &facts).unwrap_or_default();
        let page = self.rendered(PAGE, &facts).unwrap_or_default();
        Rendered { summary: facts.summary, details: facts.details, page }
    }

    /// The line of the message's rule; the built-in one if it has none, or its own fails or says nothing.
    fn summary(&self, delivery: &Delivery, facts: &Facts) -> String {
        let own = facts.alerts.is_some().then(|| delivery.message.content.rule()).flatten();
        let names = own.map(|rule| format!("{OF_RULE}{rule}")).into_iter().chain([SUMMARY.to_owned()]);
        let mut lines =
            names.filter_map(|name| self.rendered(&name, facts).ok()).map(|line| one_line(&line, MOST_SUMMARY));
        lines.find(|line| !line.is_empty()).unwrap_or_else(|| facts.kind.to_owned())
    }

    fn rendered(&self, name: &str, facts: &Facts) -> Result<String, Error> {
        self.0.get_template(name)?.render(Serde(facts))
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Texts")
    }
}

fn environment(undefined: UndefinedBehavior) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(undefined);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|name| if name == PAGE { AutoEscape::Html } else { AutoEscape::None });
    environment
}

/// Expects a template for a rule's line to render, whatever the message of that rule may be.
///
/// # Errors
/// What is wrong, with the line if the template has several.
pub(crate) fn check_summary(source: &str) -> Result<(), String> {
    if source.len() > MOST_TEMPLATE_BYTES {
        return Err(format!("must be at most {MOST_TEMPLATE_BYTES} bytes long"));
    }
    let environment = environment(UndefinedBehavior::Strict);
    let template = environment.template_from_str(source).map_err(|error| problem(&error))?;
    let samples = sample().map(|delivery| Value::from(Serde(Facts::new(&delivery, None))));
    // Those in branches that a sample does not take, too.
    let mut unknown: Vec<_> = template.undeclared_variables(true).into_iter().collect();
    unknown.retain(|path| !samples.iter().any(|sample| is_there(sample, path)));
    unknown.retain(|path| !environment.globals().any(|(function, _)| function == path));
    unknown.sort();
    if let Some(path) = unknown.first() {
        return Err(format!("uses `{}`, which no message has", one_line(path, 64)));
    }
    samples.into_iter().try_for_each(|sample| template.render(sample).map(drop)).map_err(|error| problem(&error))
}

/// Whether a message has what `path` (`labels.limit`) leads to.
fn is_there(message: &Value, path: &str) -> bool {
    let found = path
        .split('.')
        .try_fold(message.clone(), |value, name| value.get_attr(name).ok().filter(|value| !value.is_undefined()));
    found.is_some()
}

/// What is wrong with a template, in a line that says nothing of what is in it.
fn problem(error: &Error) -> String {
    use minijinja::ErrorKind;
    let line = error.line().map_or_else(String::new, |line| format!("line {line}: "));
    let problem = match error.kind() {
        ErrorKind::SyntaxError => {
            "is not a template of Jinja: an expression or a tag is not complete or not known".to_owned()
        }
        ErrorKind::UndefinedError => "uses something that no message has".to_owned(),
        ErrorKind::UnknownFilter => "uses a filter that does not exist".to_owned(),
        ErrorKind::UnknownTest => "uses a test that does not exist".to_owned(),
        ErrorKind::UnknownFunction => "calls a function that does not exist".to_owned(),
        ErrorKind::OutOfFuel => "takes too many steps".to_owned(),
        kind => format!("cannot be rendered: {kind}"),
    };
    format!("{line}{problem}")
}
