//! Mail, through a server that takes it for others (RFC 5321, RFC 6409).
//!
//! `smtps://` is TLS from the first byte, at port 465. `smtp://` is STARTTLS where the server offers it, and a server must offer
//! it before it is told a password; on this machine there is none of it, since nothing leaves the machine and the servers there have
//! certificates that nobody trusts. Without a port in the URL it is 587 with an account and 25 without.
//!
//! The conversation is led here step by step, and not by lettre's transport, for three reasons: its timeout covers no more than the
//! connection, it does not say whether the message itself was on its way when something failed, and one address that is refused would
//! keep the message from all others.

use std::fmt;
use std::time::Duration;

use jiff::fmt::rfc2822;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, MailParameter};
use lettre::{Address, Message};
use reqwest::Url;
use tokio::time::{error::Elapsed, timeout_at};
use tollgate_cluster::Attempt;

use super::ReceiversError;
use super::blanks::account;
use super::letter::Letter;
use super::printable::one_line;
use crate::config::{self, Secret};

const NAME: &str = "email";
/// For how long each attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(5);
/// Most characters of a subject: more is not shown anywhere.
const MOST_SUBJECT: usize = 200;
/// Ports: of TLS from the first byte, of those who have an account, and of servers among themselves.
const SMTPS: u16 = 465;
const SUBMISSION: u16 = 587;
const SMTP: u16 = 25;

/// Mail to some addresses.
#[derive(Debug)]
pub(super) struct Email {
    smtp: Secret,
    from: Address,
    to: Vec<Address>,
}

/// Where the server is and how to talk to it.
struct Server {
    host: String,
    port: u16,
    encryption: Encryption,
    account: Option<Credentials>,
}

/// How much of a conversation is encrypted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Encryption {
    /// All of it.
    Always,
    /// All after the greeting, or there is no conversation.
    Required,
    /// All after the greeting, if the server can.
    IfOffered,
    /// Nothing.
    Needless,
}

/// A conversation in which the server waits for the message.
struct Ready {
    connection: AsyncSmtpConnection,
    /// The addresses that the server does not take, with its reasons.
    refused: Vec<String>,
}

/// Why a conversation ended before the message was sent.
#[derive(Debug)]
enum Failure {
    /// The server, or what is on the way to it.
    Smtp(Error),
    /// It took none of the addresses.
    AllRefused(Vec<String>, Error),
    /// It is not to be told a password without encryption.
    NotEncrypted,
    /// It took too long.
    Late,
}

impl Email {
    /// # Errors
    /// An address, or the URL, that is none.
    pub(super) fn new(settings: &config::Email) -> Result<Self, ReceiversError> {
        let address = |text: &String| {
            text.parse::<Address>().map_err(|_| ReceiversError::new(NAME, "has something for an address that is none"))
        };
        let to = settings.to.iter().map(address).collect::<Result<_, _>>()?;
        let email = Self { smtp: settings.smtp.clone(), from: address(&settings.from)?, to };
        email.server().ok_or_else(|| ReceiversError::new(NAME, "`smtp` is not a URL with a host"))?;
        Ok(email)
    }

    /// Makes one attempt.
    pub(super) async fn deliver(&self, letter: &Letter) -> Attempt {
        let (Some(server), Some(mail)) = (self.server(), self.mail(letter)) else {
            return Attempt::Never { reason: "the message cannot be written as mail".to_owned() };
        };
        let ready = timeout_at(letter.deadline, self.prepare(&server)).await;
        let mut ready = match ready.unwrap_or(Err(Failure::Late)) {
            Ok(ready) => ready,
            Err(failure) => return failure.attempt(),
        };
        let answer = timeout_at(letter.deadline, ready.connection.message(&mail)).await;
        let attempt = judge(answer.map(|answer| answer.map(|answer| words(&answer))), &ready.refused);
        // Whether the server hears a farewell changes nothing, and one that does not answer it must not hold up the others.
        drop(ready);
        attempt
    }

    fn server(&self) -> Option<Server> {
        let url = Url::parse(self.smtp.expose()).ok()?;
        let (user, password) = account(&url);
        let account = password.map(|password| Credentials::new(user, password));
        let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
        let is_here = matches!(host.as_str(), "localhost" | "127.0.0.1" | "::1");
        let (encryption, port) = match (url.scheme(), &account) {
            ("smtps", _) => (Encryption::Always, SMTPS),
            (_, Some(_)) => (Encryption::Required, SUBMISSION),
            (_, None) => (Encryption::IfOffered, SMTP),
        };
        let encryption = if is_here && encryption != Encryption::Always { Encryption::Needless } else { encryption };
        Some(Server { port: url.port().unwrap_or(port), host, encryption, account })
    }

    /// Talks to the server up to where it waits for the message.
    async fn prepare(&self, server: &Server) -> Result<Ready, Failure> {
        let mut connection = server.connect().await?;
        if let Some(account) = &server.account {
            connection.auth(DEFAULT_MECHANISMS, account).await?;
        }
        let is_plain = self.to.iter().chain([&self.from]).all(|address| address.to_string().is_ascii());
        let parameters = if is_plain { Vec::new() } else { vec![MailParameter::SmtpUtfEight] };
        connection.command(Mail::new(Some(self.from.clone()), parameters)).await?;
        let refused = self.name_receivers(&mut connection).await?;
        connection.command(Data).await?;
        Ok(Ready { connection, refused })
    }

    /// Names the addresses, and returns those that the server does not take; an error if it takes none.
    async fn name_receivers(&self, connection: &mut AsyncSmtpConnection) -> Result<Vec<String>, Failure> {
        let mut refused = Vec::new();
        let mut last = None;
        for address in &self.to {
            match connection.command(Rcpt::new(address.clone(), Vec::new())).await {
                Ok(_) => {}
                Err(error) if error.status().is_some() => {
                    refused.push(format!("{address} ({error})"));
                    last = Some(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        match last {
            Some(error) if refused.len() == self.to.len() => Err(Failure::AllRefused(refused, error)),
            _ => Ok(refused),
        }
    }

    /// The message as mail; `None` if it cannot be written as such.
    fn mail(&self, letter: &Letter) -> Option<Vec<u8>> {
        let mailbox = |address: &Address| Mailbox::new(None, address.clone());
        let mut mail = Message::builder()
            .from(mailbox(&self.from))
            .subject(one_line(&letter.summary, MOST_SUBJECT))
            // The same at each attempt, so that servers and programs know a repeat.
            .message_id(Some(format!("<{}@{}>", identifier(&letter.id), self.from.domain())))
            .raw_header(raw("Date", rfc2822::to_string(&letter.written().to_zoned(jiff::tz::TimeZone::UTC)).ok()?))
            // Nobody's absence note is to answer it (RFC 3834).
            .raw_header(raw("Auto-Submitted", "auto-generated".to_owned()));
        for address in &self.to {
            mail = mail.to(mailbox(address));
        }
        let text = format!("{}\n\n{}", letter.summary, letter.details);
        Some(mail.multipart(MultiPart::alternative_plain_html(text, letter.page.clone())).ok()?.formatted())
    }
}

impl Server {
    async fn connect(&self) -> Result<AsyncSmtpConnection, Failure> {
        let hello = ClientId::default();
        let at = (self.host.as_str(), self.port);
        if self.encryption == Encryption::Always {
            let tls = TlsParameters::new(self.host.clone())?;
            return Ok(AsyncSmtpConnection::connect_tokio1(at, Some(CONNECT), &hello, Some(tls), None).await?);
        }
        let mut connection = AsyncSmtpConnection::connect_tokio1(at, Some(CONNECT), &hello, None, None).await?;
        if self.encryption == Encryption::Needless {
            return Ok(connection);
        }
        if connection.can_starttls() {
            connection.starttls(TlsParameters::new(self.host.clone())?, &hello).await?;
        } else if self.encryption == Encryption::Required {
            return Err(Failure::NotEncrypted);
        }
        Ok(connection)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Smtp(error)
    }
}

impl Failure {
    /// What to do after it: the message was not sent.
    fn attempt(self) -> Attempt {
        let (is_lasting, reason) = match self {
            Self::Smtp(error) => (error.is_permanent() || error.is_client(), format!("was not sent: {error}")),
            Self::AllRefused(refused, last) => {
                (last.is_permanent(), format!("the server takes none of the addresses: {}", refused.join(", ")))
            }
            Self::NotEncrypted => {
                (true, "was not sent: the server offers no encryption, and the password is not told without".to_owned())
            }
            Self::Late => (false, "was not sent: the server did not answer in time".to_owned()),
        };
        if is_lasting {
            Attempt::Never { reason }
        } else {
            Attempt::Later { after: None, may_have_arrived: false, reason }
        }
    }
}

/// What became of a message that was sent.
fn judge(answer: Result<Result<String, Error>, Elapsed>, refused: &[String]) -> Attempt {
    match answer {
        Ok(Ok(words)) if refused.is_empty() => Attempt::Delivered { receipt: words },
        Ok(Ok(words)) => Attempt::Delivered { receipt: format!("{words}; but not to {}", refused.join(", ")) },
        Ok(Err(error)) if error.is_permanent() => Attempt::Never { reason: format!("was refused: {error}") },
        Ok(Err(error)) => Attempt::Later {
            after: None,
            may_have_arrived: !error.is_transient(),
            reason: format!("was sent and not confirmed: {error}"),
        },
        Err(_) => Attempt::Later {
            after: None,
            may_have_arrived: true,
            reason: "was sent, and the server did not answer in time".to_owned(),
        },
    }
}

fn words(answer: &lettre::transport::smtp::response::Response) -> String {
    format!("{} {}", answer.code(), answer.message().collect::<Vec<_>>().join(" "))
}

/// A text as what stands left of the `@` of a Message-ID.
fn identifier(text: &str) -> String {
    let fit = |character: char| if character.is_ascii_alphanumeric() { character } else { '-' };
    text.chars().map(fit).collect()
}

fn raw(name: &'static str, text: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), text)
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Server")
    }
}
