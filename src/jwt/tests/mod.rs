mod rotation;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use serde_json::{Value, json};

use super::*;

const ISSUER: &str = "https://sso.example/realms/home";
const AUDIENCE: &str = "glimpse";

/// A key of the identity provider.
struct TestKey {
    id: &'static str,
    algorithm: Algorithm,
    private: EncodingKey,
}

impl TestKey {
    fn p256(id: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let private = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
        Self { id, algorithm: Algorithm::ES256, private }
    }

    fn rsa(id: &'static str) -> Self {
        use aws_lc_rs::encoding::AsDer;
        let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let pkcs8: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
        // The library reads PKCS #1: the last octet string of PKCS #8.
        let pkcs1 = &pkcs8.as_ref()[26..];
        Self { id, algorithm: Algorithm::RS256, private: EncodingKey::from_rsa_der(pkcs1) }
    }

    fn jwk(&self) -> Value {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&self.private, self.algorithm).unwrap()).unwrap();
        jwk["kid"] = self.id.into();
        jwk
    }

    fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some(self.id.to_owned()), ..Header::new(self.algorithm) };
        encode(&header, claims, &self.private).unwrap()
    }
}

fn seconds_from_now(seconds: i64) -> i64 {
    i64::try_from(get_current_timestamp()).unwrap() + seconds
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": [AUDIENCE, "account"], "sub": "ann", "exp": seconds_from_now(300),
        "realm_access": {"roles": ["editors", "offline_access"]}})
}

fn claims_with(name: &str, value: impl Into<Value>) -> Value {
    let mut claims = claims();
    claims[name] = value.into();
    claims
}

fn set(keys: &[&TestKey]) -> String {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
}

fn settings() -> JwtSettings {
    JwtSettings {
        glimpse_jwt_issuer: ISSUER.to_owned(),
        glimpse_jwt_audience: AUDIENCE.to_owned(),
        glimpse_jwt_roles_claim: "realm_access.roles".to_owned().try_into().unwrap(),
        glimpse_jwt_roles: "editors=write,ops=admin".to_owned().try_into().unwrap(),
        ..JwtSettings::default()
    }
}

/// Tokens that are verified with the keys in a file.
async fn tokens_of_file(content: &str) -> (tempfile::NamedTempFile, Result<Tokens, InvalidSetting>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    let settings = JwtSettings { glimpse_jwks_file: Some(file.path().to_owned()), ..settings() };
    settings.validate().unwrap();
    let tokens = Tokens::open(&settings, None).await;
    (file, tokens)
}

async fn reason(tokens: &Tokens, token: &str) -> String {
    tokens.verify(token).await.expect("it has the form of a token").unwrap_err().to_string()
}

#[tokio::test]
async fn a_token_of_each_algorithm_names_its_user() {
    let keys = [TestKey::p256("ec"), TestKey::rsa("rsa")];
    let mut document: Value = serde_json::from_str(&set(&[&keys[0], &keys[1]])).unwrap();
    // Some providers do not state the algorithm.
    document["keys"][1].as_object_mut().unwrap().remove("alg");
    let (_file, tokens) = tokens_of_file(&document.to_string()).await;
    let tokens = tokens.unwrap();
    for key in &keys {
        let user = tokens.verify(&key.sign(&claims())).await.unwrap().unwrap();
        assert_eq!(user, TokenUser { name: "ann".into(), role: Some(Role::Write) });
        let other = claims_with("realm_access", json!({"roles": ["guests"]}));
        assert_eq!(tokens.verify(&key.sign(&other)).await.unwrap().unwrap().role, None);
        let audience = claims_with("aud", AUDIENCE);
        assert!(tokens.verify(&key.sign(&audience)).await.unwrap().is_ok());
    }
    let pss = Header { kid: Some("rsa".to_owned()), ..Header::new(Algorithm::PS256) };
    let pss = encode(&pss, &claims(), &keys[1].private).unwrap();
    assert!(reason(&tokens, &pss).await.contains("not that of the key"), "the token does not choose the algorithm");
}

#[tokio::test]
async fn each_claim_is_checked_with_a_minute_of_leeway() {
    let key = TestKey::p256("a");
    let (_file, tokens) = tokens_of_file(&set(&[&key])).await;
    let tokens = tokens.unwrap();
    for (name, value, expected) in [
        ("exp", json!(seconds_from_now(-90)), "expired"),
        ("exp", json!("soon"), "`exp` is missing"),
        ("nbf", json!(seconds_from_now(90)), "not valid yet"),
        ("nbf", json!("soon"), "`nbf` has another type"),
        ("iss", json!("https://sso.example/realms/other"), "GLIMPSE_JWT_ISSUER"),
        ("aud", json!("account"), "GLIMPSE_JWT_AUDIENCE"),
        ("aud", json!([]), "GLIMPSE_JWT_AUDIENCE"),
        ("iss", json!([ISSUER]), "`iss` has another type"),
        ("sub", json!(""), "`sub`, the name of the user, is missing or empty"),
        ("sub", json!("a\nb"), "has control characters"),
    ] {
        let reason = reason(&tokens, &key.sign(&claims_with(name, value.clone()))).await;
        assert!(reason.contains(expected), "{name} {value}: {reason}");
    }
    for name in ["exp", "iss", "aud", "sub"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        assert!(reason(&tokens, &key.sign(&claims)).await.contains(&format!("`{name}` is missing")));
    }
    for (name, seconds) in [("exp", -30), ("nbf", 30)] {
        let within = claims_with(name, seconds_from_now(seconds));
        assert!(tokens.verify(&key.sign(&within)).await.unwrap().is_ok(), "{name}");
    }
}

#[tokio::test]
async fn the_name_is_the_claim_of_the_settings() {
    let key = TestKey::p256("a");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), set(&[&key])).unwrap();
    let settings = JwtSettings {
        glimpse_jwks_file: Some(file.path().to_owned()),
        glimpse_jwt_name_claim: "email".to_owned().try_into().unwrap(),
        ..settings()
    };
    let tokens = Tokens::open(&settings, None).await.unwrap();
    assert_eq!(tokens.check().await, Some(Ok(1)));
    let user = tokens.verify(&key.sign(&claims_with("email", "ann@sso.example"))).await.unwrap().unwrap();
    assert_eq!(&*user.name, "ann@sso.example");
    assert!(
        reason(&tokens, &key.sign(&claims())).await.contains("its claim `email`, the name of the user, is missing")
    );
}

#[tokio::test]
async fn forged_tokens_are_refused() {
    let (key, other) = (TestKey::p256("a"), TestKey::p256("a"));
    let (_file, tokens) = tokens_of_file(&set(&[&key])).await;
    let tokens = tokens.unwrap();
    assert!(reason(&tokens, &other.sign(&claims())).await.contains("signature is wrong"));
    let signed = key.sign(&claims());
    let parts: Vec<&str> = signed.split('.').collect();
    let encode_json = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let admin = encode_json(&claims_with("realm_access", json!({"roles": ["ops"]})));
    assert!(reason(&tokens, &format!("{}.{admin}.{}", parts[0], parts[2])).await.contains("signature is wrong"));
    for algorithm in ["none", "None", "HS256"] {
        let header = encode_json(&json!({"alg": algorithm, "kid": "a", "typ": "JWT"}));
        for signature in ["", parts[2]] {
            let refused = tokens.verify(&format!("{header}.{admin}.{signature}")).await.unwrap();
            assert!(matches!(refused, Err(TokenError::Invalid(_))), "{algorithm}: {refused:?}");
        }
    }
    // The public key as the secret of a symmetric algorithm, in the forms in which it is published.
    let jwk = key.jwk();
    let point = [
        &[4_u8][..],
        &URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap(),
        &URL_SAFE_NO_PAD.decode(jwk["y"].as_str().unwrap()).unwrap(),
    ]
    .concat();
    for secret in [point, jwk.to_string().into_bytes()] {
        let header = Header { kid: Some("a".to_owned()), ..Header::new(Algorithm::HS256) };
        let forged = encode(&header, &claims(), &EncodingKey::from_secret(&secret).unwrap()).unwrap();
        assert!(reason(&tokens, &forged).await.contains("not that of the key"));
    }
    // The key of the sender, in the header.
    let header = encode_json(&json!({"alg": "ES256", "kid": "b", "jwk": other.jwk(), "jku": "http://127.0.0.1:1"}));
    assert!(reason(&tokens, &format!("{header}.{admin}.{}", parts[2])).await.contains("no key with the id"));
    for id in [json!(7), json!("x".repeat(300))] {
        let header = encode_json(&json!({"alg": "ES256", "kid": id}));
        assert!(reason(&tokens, &format!("{header}.{admin}.{}", parts[2])).await.contains("not a text of at most 256"));
    }
    let long = claims_with("padding", "x".repeat(16 * 1024));
    assert!(reason(&tokens, &key.sign(&long)).await.contains("16384 bytes"));
}

#[tokio::test]
async fn other_texts_are_not_tokens() {
    let key = TestKey::p256("a");
    let (_file, tokens) = tokens_of_file(&set(&[&key])).await;
    let tokens = tokens.unwrap();
    let json = URL_SAFE_NO_PAD.encode("{\"typ\":\"JWT\"}");
    for text in
        ["", "key", "a.b.c", "..", &format!("glimpse_{}", "0".repeat(64)), &format!("{json}.e30.x"), "e30.e30.e30.e30"]
    {
        assert_eq!(tokens.verify(text).await, None, "{text}");
    }
    assert_eq!(Tokens::default().verify(&key.sign(&claims())).await, None, "no keys are configured");
}

#[tokio::test]
async fn the_error_of_a_set_names_the_setting() {
    let symmetric = json!({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "a", "alg": "HS256"}]}).to_string();
    let mut encryption = TestKey::p256("a").jwk();
    encryption["use"] = "enc".into();
    let encryption = json!({"keys": [encryption]}).to_string();
    let many = json!({"keys": vec![json!({}); 101]}).to_string();
    let short = json!({"keys": [{"kty": "RSA", "kid": "a", "n": URL_SAFE_NO_PAD.encode([0xC3; 128]), "e": "AQAB"}]})
        .to_string();
    for (content, expected) in [
        ("", "the reply is not valid"),
        ("{}", "keys"),
        ("<html>", "HTML"),
        (symmetric.as_str(), "no public key"),
        (encryption.as_str(), "no public key"),
        (many.as_str(), "at most 100"),
        (short.as_str(), "RSA with at least 2048 bits"),
        ("x".repeat(300 * 1024).as_str(), "262144 bytes"),
    ] {
        let (_file, tokens) = tokens_of_file(content).await;
        let error = tokens.unwrap_err().to_string();
        assert!(error.starts_with("GLIMPSE_JWKS_FILE is `") && error.contains(expected), "{error}");
    }
}

#[test]
fn settings_that_belong_together_are_needed_together() {
    let url = |url: &str| JwtSettings { glimpse_jwks_url: Some(url.parse().unwrap()), ..settings() };
    url("https://sso.example/keys").validate().unwrap();
    url("http://127.0.0.1:8081/keys").validate().unwrap();
    assert!(url("http://sso.example/keys").validate().unwrap_err().contains("https://"));
    assert!(settings().validate().unwrap_err().contains("need GLIMPSE_JWKS_URL"));
    JwtSettings::default().validate().unwrap();
    let valid = url("https://sso.example/keys");
    for (settings, missing) in [
        (JwtSettings { glimpse_jwt_issuer: String::new(), ..valid.clone() }, "GLIMPSE_JWT_ISSUER"),
        (JwtSettings { glimpse_jwt_audience: " ,".to_owned(), ..valid.clone() }, "GLIMPSE_JWT_AUDIENCE"),
        (JwtSettings { glimpse_jwt_roles: GroupRoles::default(), ..valid.clone() }, "GLIMPSE_JWT_ROLES"),
        (JwtSettings { glimpse_jwks_file: Some("f".into()), ..valid }, "both set"),
    ] {
        assert!(settings.validate().unwrap_err().contains(missing), "{missing}");
    }
}
