//! Secrets come from files, too, and are never shown.

use super::{Files, load_yaml, variables};
use crate::config::{Config, Flags};

const CANARY: &str = "s3cr3t-canary";

/// Every key that is a secret, with a value that contains the canary, in the notation of paths.
const SECRETS: [(&str, &str); 8] = [
    ("redis.url", "redis://u:s3cr3t-canary@host"),
    ("redis.failover_urls", "redis://u:s3cr3t-canary@host"),
    ("alerts.receivers.slack.url", "https://hooks/s3cr3t-canary"),
    ("alerts.receivers.pagerduty.routing_key", "s3cr3t-canary"),
    ("alerts.receivers.email.smtp", "smtps://u:s3cr3t-canary@host"),
    ("alerts.receivers.webhook.url", "https://host/s3cr3t-canary"),
    ("alerts.receivers.webhook.secret", "s3cr3t-canary"),
    ("alerts.receivers.alertmanager.url", "http://u:s3cr3t-canary@host"),
];

/// What every section that has secrets needs beside them.
const FRAME: &str = "
redis: {url: 'redis://u:s3cr3t-canary@host'}
alerts:
  receivers:
    slack: {url: 'https://hooks/s3cr3t-canary'}
    pagerduty: {routing_key: 's3cr3t-canary'}
    email: {smtp: 'smtps://u:s3cr3t-canary@host', from: a@b, to: [c@d]}
    webhook: {url: 'https://host/s3cr3t-canary', secret: 's3cr3t-canary'}
    alertmanager: {url: 'http://u:s3cr3t-canary@host'}
";

fn variable(path: &str) -> String {
    format!("TOLLGATE_{}", path.replace('.', "__").to_uppercase())
}

/// All the secrets of a configuration, in the order of [`SECRETS`].
fn exposed(config: Config) -> Vec<String> {
    let redis = config.redis.expect("it is configured");
    let receivers = config.alerts.receivers;
    let webhook = receivers.webhook.expect("it is configured");
    let secrets = [
        Some(redis.url),
        redis.failover_urls.into_iter().next(),
        receivers.slack.map(|slack| slack.url),
        receivers.pagerduty.map(|pagerduty| pagerduty.routing_key),
        receivers.email.map(|email| email.smtp),
        Some(webhook.url),
        webhook.secret,
        receivers.alertmanager.map(|alertmanager| alertmanager.url),
    ];
    secrets.into_iter().map(|secret| secret.expect("it is configured").expose().to_owned()).collect()
}

#[test]
fn every_secret_can_come_from_a_file_that_any_layer_names() {
    let files = Files::new();
    let mail = "alerts: {receivers: {email: {from: a@b, to: [c@d]}}}";
    let flags = Flags { config: Some(files.write("t.yaml", mail)), ..Flags::default() };
    let environment: Vec<_> = SECRETS
        .iter()
        .map(|(path, secret)| {
            let file = files.write(path, format!("{secret}\n"));
            (variable(&format!("{path}_file")).into(), file.into_os_string())
        })
        .collect();
    let config = Config::load(&flags, environment).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(exposed(config), SECRETS.map(|(_, secret)| secret));
}

#[test]
fn a_secret_and_its_file_replace_each_other_between_layers_and_exclude_each_other_in_one() {
    let files = Files::new();
    let secret = files.write("secret", "redis://file\r\n");
    let secret = secret.to_str().expect("UTF-8");
    let load = |yaml: &str, environment: &[(&str, &str)]| {
        let flags = Flags { config: Some(files.write("t.yaml", yaml)), ..Flags::default() };
        let config =
            Config::load(&flags, variables(environment)).map_err(|error| files.relative(&error.to_string()))?;
        Ok(config.redis.map(|redis| redis.url.expose().to_owned()))
    };
    let (plain, by_file) = ("redis: {url: 'redis://plain'}", format!("redis: {{url_file: '{secret}'}}"));
    assert_eq!(load(&by_file, &[]), Ok(Some("redis://file".to_owned())));
    assert_eq!(load(plain, &[("TOLLGATE_REDIS__URL_FILE", secret)]), Ok(Some("redis://file".to_owned())));
    assert_eq!(load(&by_file, &[("TOLLGATE_REDIS__URL", "redis://own")]), Ok(Some("redis://own".to_owned())));
    let section = format!("{{url_file: '{secret}'}}");
    assert_eq!(load(plain, &[("TOLLGATE_REDIS", &section)]), Ok(Some("redis://file".to_owned())));
    let both = format!("redis:\n  url: 'redis://plain'\n  url_file: '{secret}'");
    let refused = "redis.url_file: is given beside `url`: keep one of them";
    assert_eq!(load(&both, &[]), Err(format!("t.yaml:3:3: {refused}")));
    let variables = [("TOLLGATE_REDIS__URL", "redis://own"), ("TOLLGATE_REDIS__URL_FILE", secret)];
    assert_eq!(load("", &variables), Err(format!("TOLLGATE_REDIS__URL_FILE: {refused}")));
}

#[test]
fn a_file_that_holds_no_secret_is_told_by_its_key() {
    let files = Files::new();
    let [latin1, huge, empty] = [("latin1", vec![0xe9]), ("huge", vec![b'x'; 64 * 1024 + 1]), ("empty", vec![])]
        .map(|(name, content)| files.write(name, content).to_str().expect("UTF-8").to_owned());
    let directory = files.0.path().to_str().expect("UTF-8").to_owned();
    for (file, problem) in [
        ("/nowhere", "names a file that cannot be read: No such file or directory (os error 2)"),
        (directory.as_str(), "names a file that is a directory, not a file"),
        (&latin1, "names a file that is not UTF-8"),
        (&huge, "names a file that is larger than 64 KiB"),
    ] {
        let yaml = format!("alerts: {{receivers: {{pagerduty: {{routing_key_file: '{file}'}}}}}}");
        let expected = format!("t.yaml:1:34: alerts.receivers.pagerduty.routing_key_file: {problem}");
        assert_eq!(load_yaml(yaml).err(), Some(expected));
    }
    let yaml = format!("alerts: {{receivers: {{pagerduty: {{routing_key_file: '{empty}'}}}}}}");
    let expected = "t.yaml:1:34: alerts.receivers.pagerduty.routing_key: must not be empty";
    assert_eq!(load_yaml(yaml).err().as_deref(), Some(expected));
}

#[test]
fn a_configuration_shows_no_secret() {
    let files = Files::new();
    let flags = Flags { config: Some(files.write("t.yaml", FRAME)), ..Flags::default() };
    let environment = variables(&[("TOLLGATE_REDIS__FAILOVER_URLS", "['redis://u:s3cr3t-canary@host']")]);
    let config = Config::load(&flags, environment).expect("no mistakes");
    let shown = format!("{config:?} {config:#?}");
    assert!(shown.contains("(secret)") && !shown.contains(CANARY), "{shown}");
    assert_eq!(exposed(config), SECRETS.map(|(_, secret)| secret));
}

/// Ways to spoil a line of YAML so that an error is about what holds the secret.
fn spoiled(yaml: &str) -> Vec<String> {
    let whole = [
        yaml.replace(':', ""),
        yaml.replace("'}", "}"),
        yaml.replace('}', ""),
        yaml.replace('{', "["),
        yaml.replace("  ", "\t"),
        yaml.replace("://", ": //"),
        yaml.replace("'", "\""),
        yaml.replace("'", "\"\\q"),
        yaml.replace("s3cr3t-canary", "s3cr3t-canary\0"),
        yaml.replace("s3cr3t-canary", "s3cr3t-canary '"),
        yaml.replace("s3cr3t-canary", "s3cr3t-canary ''"),
        yaml.replace("'redis://", "!!int 'redis://"),
        yaml.replace("'redis://", "!tag 'redis://"),
        yaml.replace("'redis://", "*redis://"),
        yaml.replace("'redis://", "!!binary 'redis://"),
        yaml.replace("redis://", "http://"),
        yaml.replace("http", "gopher"),
        yaml.replace("{url: ", ""),
        yaml.replace("url: ", "url_file: "),
        yaml.replace("url: ", "url: [").replace("'}", "']}"),
        yaml.replace("url: ", "url: {a: ").replace("'}", "'}}"),
        yaml.replace("url: ", "uri: "),
        yaml.replace("routing_key: ", "routing_key_file: "),
        yaml.replace("secret: ", "secret_file: "),
        yaml.replace("smtps://", "host "),
        yaml.replace("a@b", "s3cr3t-canary"),
        yaml.replace("c@d", "s3cr3t-canary"),
        yaml.replace("redis:", "http:"),
    ];
    // Cut off anywhere, too.
    whole.into_iter().chain(yaml.char_indices().map(|(index, _)| yaml[..index].to_owned())).collect()
}

#[test]
fn no_mistake_in_a_file_shows_a_secret() {
    let mut mistakes = 0;
    for yaml in spoiled(FRAME.trim_start()) {
        if let Err(error) = load_yaml(&yaml) {
            mistakes += 1;
            assert!(!error.contains(CANARY) && !error.contains('\n'), "{yaml}\n{error}");
        }
    }
    assert!(mistakes > 100, "only {mistakes} of the texts were mistakes");
}

#[test]
fn no_mistake_in_a_variable_shows_a_secret() {
    const KEYS: [&str; 13] = [
        "http",
        "data__x",
        "cluster",
        "cluster__node",
        "cluster__nodes",
        "cluster__horizon_lead",
        "max_buckets",
        "rate_limits",
        "limits",
        "redis",
        "redis__url_file",
        "alerts__error_rate_threshold",
        "alerts__receivers__slack",
    ];
    for key in KEYS {
        for value in
            ["s3cr3t-canary", "[s3cr3t-canary=a=b", "{s3cr3t-canary: 'a", "'s3cr3t-canary", "s3cr3t-canary: a: b"]
        {
            let name = variable(key);
            let error =
                Config::load(&Flags::default(), variables(&[(&name, value)])).err().map(|error| error.to_string());
            assert!(error.as_ref().is_none_or(|error| !error.contains(CANARY)), "{name}={value}: {error:?}");
        }
        let error = Config::load(&Flags::default(), variables(&[(&variable(key), CANARY)])).err();
        assert!(error.is_some(), "{key} takes anything");
    }
}
