//! Mail, by SMTP with TLS.
//!
//! Owns: the message and the way to the server: TLS from the beginning (`smtps://`) or from STARTTLS on (`smtp://`), which
//! must succeed. Without TLS mail goes to this machine only, or where the operator has written that it may.

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message as Mail, Tokio1Executor};

use super::parcel::{Contents, Sent};
use super::words::{details, headline};
use super::{TIMEOUT, secret};
use crate::config::network;
use crate::error_chain::with_causes;
use crate::outbox::{MailSettings, Message, Receiver};

type Transport = AsyncSmtpTransport<Tokio1Executor>;

pub(super) async fn send(receiver: &Receiver, contents: &Contents<'_>) -> Sent {
    let Some(settings) = &receiver.mail else {
        return Sent::failed("the sender or the recipients are missing");
    };
    let transport = match transport(receiver, settings).await {
        Ok(transport) => transport,
        Err(why) => return Sent::failed(why),
    };
    let mail = match mail(settings, contents.message()) {
        Ok(mail) => mail,
        Err(why) => return Sent::Refused(why),
    };
    match transport.send(mail).await {
        Ok(answer) => {
            let lines: Vec<&str> = answer.message().collect();
            Sent::Delivered(format!("{}: {}", answer.code(), lines.join(" ")))
        }
        Err(error) => Sent::failed(with_causes(&error)),
    }
}

async fn transport(receiver: &Receiver, settings: &MailSettings) -> Result<Transport, String> {
    let told = |error: secret::SecretError| error.to_string();
    let url = secret::address(&receiver.target).await.map_err(told)?;
    let (scheme, rest) = url.split_once("://").ok_or("the stored URL is not a URL")?;
    let host = network::host(&url).to_owned();
    let is_clear = network::is_loopback(&host) || receiver.allow_clear;
    let parameters = || TlsParameters::new(host.clone()).map_err(|error| with_causes(&error));
    let (tls, usual_port) = match scheme {
        "smtps" => (Tls::Wrapper(parameters()?), 465),
        "smtp" if is_clear => (Tls::None, 25),
        "smtp" => (Tls::Required(parameters()?), 587),
        _ => return Err("the stored URL is not the URL of a mail server".to_owned()),
    };
    let port = rest.trim_end_matches('/').rsplit_once(':');
    let port = port.and_then(|(_, port)| port.parse().ok());
    let builder = Transport::builder_dangerous(&host)
        .port(port.unwrap_or(usual_port))
        .tls(tls)
        .timeout(Some(TIMEOUT));
    let key = match &receiver.secret {
        Some(place) => Some(secret::read(place).await.map_err(told)?),
        None => None,
    };
    let builder = match (settings.user.clone(), key) {
        (Some(user), Some(key)) => builder.credentials(Credentials::new(user, key)),
        _ => builder,
    };
    Ok(builder.build())
}

fn mail(settings: &MailSettings, message: &Message) -> Result<Mail, String> {
    let mailbox = |text: &String| {
        let mailbox = text.parse::<Mailbox>();
        mailbox.map_err(|error| format!("{text}: {error}"))
    };
    let from = mailbox(&settings.from)?;
    let domain = settings
        .from
        .rsplit_once('@')
        .map_or("redkeep", |(_, domain)| domain);
    let mut builder: MessageBuilder = Mail::builder()
        .from(from)
        .subject(headline(message))
        // The same in every attempt; and mail about one condition is one thread.
        .message_id(Some(format!("<{}@{domain}>", message.id)))
        .references(format!("<{}@{domain}>", message.dedup_key))
        .header(ContentType::TEXT_PLAIN);
    for to in &settings.to {
        builder = builder.to(mailbox(to)?);
    }
    let mut mail = builder
        .body(body(message))
        .map_err(|error| with_causes(&error))?;
    let name = HeaderName::new_from_ascii_str("Auto-Submitted");
    let generated = HeaderValue::new(name, "auto-generated".to_owned());
    mail.headers_mut().insert_raw(generated);
    Ok(mail)
}

fn body(message: &Message) -> String {
    let content = &message.content;
    let mut lines = vec![content.title.clone(), String::new()];
    lines.extend(details(message));
    let parts = [
        ("policy", &content.policy),
        ("cluster", &content.cluster),
        ("account", &content.account),
        ("region", &content.region),
        ("slot", &content.scheduled_at),
        ("snapshot", &content.snapshot_id),
    ];
    let given = { parts.iter() }.filter_map(|(name, text)| Some((name, text.as_ref()?)));
    lines.extend(given.map(|(name, text)| format!("{name}: {text}")));
    lines.extend([
        String::new(),
        "What helps:".to_owned(),
        format!("  {}", content.action),
    ]);
    lines.push(String::new());
    lines.join("\r\n")
}
