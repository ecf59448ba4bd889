//! The service SNS in one region, with its own certificate authority: it serves certificates and confirmations by HTTPS, and
//! signs messages.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use glimpse::app::SnsConnection;
use glimpse::domain::Timestamp;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{DEFAULT_VERSIONS, ServerConfig};
use tokio_util::task::AbortOnDropHandle;

use crate::support::locked;

pub(crate) const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:images";
/// The host of the service.
pub(crate) const HOST: &str = "sns.eu-west-1.amazonaws.com";

/// A key with which messages are signed.
pub(crate) struct Signer {
    key: RsaKeyPair,
    /// The URL of its certificate.
    pub(crate) url: String,
}

/// A running service.
pub(crate) struct SnsServer {
    authority: Issuer<'static, KeyPair>,
    root: Vec<u8>,
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct State {
    /// Certificates by their path.
    certificates: HashMap<String, String>,
    /// The paths and queries of all requests.
    requests: Vec<String>,
    /// Whether every request fails.
    is_down: bool,
}

impl SnsServer {
    pub(crate) async fn start() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = parameters.self_signed(&key).unwrap().der().to_vec();
        let authority = Issuer::new(parameters, key);

        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &authority).unwrap().der().clone();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(DEFAULT_VERSIONS)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let task = tokio::spawn(serve(listener, acceptor, state.clone()));
        Self { authority, root, address, state, _task: AbortOnDropHandle::new(task) }
    }

    /// How a service reaches this one.
    pub(crate) fn connection(&self) -> SnsConnection {
        SnsConnection { roots: vec![self.root.clone()], addresses: vec![(HOST.to_owned(), self.address)] }
    }

    /// Makes a key and a certificate for these names that is valid in these years.
    pub(crate) fn signer(&self, file: &str, name: &str, years: (i32, i32)) -> Signer {
        let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let mut parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let certificate = parameters.signed_by(&key, &self.authority).unwrap().pem();
        let path = format!("/SimpleNotificationService-{file}.pem");
        let url = format!("https://{HOST}{path}");
        locked(&self.state).certificates.insert(path, certificate);
        Signer { key: RsaKeyPair::from_pkcs8(key.serialized_der()).unwrap(), url }
    }

    /// A key as SNS has one.
    pub(crate) fn valid_signer(&self) -> Signer {
        self.signer("9c6465fa", "sns.amazonaws.com", (2020, 2100))
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        locked(&self.state).requests.clone()
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        locked(&self.state).is_down = is_down;
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, state: Arc<Mutex<State>>) {
    let router = Router::new().fallback(move |request: Request| {
        let uri = request.uri().to_string();
        let mut state = locked(&state);
        let certificate = state.certificates.get(&uri).cloned();
        let reply = match certificate {
            _ if state.is_down => (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
            Some(certificate) => (StatusCode::OK, certificate),
            None if uri.starts_with("/?Action=ConfirmSubscription") => {
                (StatusCode::OK, "<ConfirmSubscriptionResponse/>".to_owned())
            }
            None => (StatusCode::FORBIDDEN, "<Error><Code>AccessDenied</Code></Error>".to_owned()),
        };
        state.requests.push(uri);
        drop(state);
        async move { reply }
    });
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            // Fails if the client does not trust the certificate.
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let http = hyper::server::conn::http1::Builder::new();
            http.serve_connection(TokioIo::new(stream), service).await.ok();
        });
    }
}

impl Signer {
    /// A signed message with events, published now.
    pub(crate) fn notification(&self, message: &Value) -> Value {
        self.sign(&json!({"Type": "Notification", "MessageId": "22b80b92", "TopicArn": TOPIC,
            "Subject": "Amazon S3 Notification", "Message": message.to_string(), "Timestamp": Timestamp::now().to_string(),
            "UnsubscribeURL": format!("https://{HOST}/?Action=Unsubscribe")}))
    }

    /// A signed message that asks for, or reports the end of, a subscription.
    pub(crate) fn confirmation(&self, kind: &str, host: &str) -> Value {
        self.sign(&json!({"Type": kind, "MessageId": "165545c9", "TopicArn": TOPIC, "Token": "2336412f37fb",
            "Message": "You have chosen to subscribe to the topic.\nTo confirm the subscription, visit the SubscribeURL.",
            "SubscribeURL": format!("https://{host}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=2336412f37fb"),
            "Timestamp": Timestamp::now().to_string()}))
    }

    /// Signs a message with version 2. The signed text is written here a second time, as the documentation of SNS has it.
    pub(crate) fn sign(&self, message: &Value) -> Value {
        let names: &[&str] = if message["Type"] == "Notification" {
            &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
        } else {
            &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
        };
        let fields = names.iter().filter_map(|name| Some((name, message[name].as_str()?)));
        let text: String = fields.flat_map(|(name, value)| [name, "\n", value, "\n"]).collect();
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
        let mut signed = message.clone();
        signed["SignatureVersion"] = json!("2");
        signed["Signature"] = json!(STANDARD.encode(signature));
        signed["SigningCertURL"] = json!(self.url);
        signed
    }
}
