//! The keys of an identity provider, as it publishes them (RFC 7517).

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::http::json_error;

/// Maximum size of a set in bytes.
pub(super) const MAX_BYTES: usize = 256 * 1024;
/// Minimum size of an RSA key in bytes: 2048 bits (RFC 7518, 3.3).
pub(super) const MIN_RSA_BYTES: usize = 256;
/// Maximum number of keys.
const MAX_KEYS: usize = 100;

/// The keys with which tokens can be signed.
#[derive(Clone, Debug, Default)]
pub(super) struct KeySet(Vec<Key>);

/// One key, and the only algorithm that it is used with.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) public: DecodingKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

impl KeySet {
    /// Parses a set. Keys that cannot verify a signature of a token are left out: symmetric ones, those for encryption, short
    /// ones, and those of an unknown kind.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let document: Document<'_> = serde_json::from_slice(bytes).map_err(|error| json_error(bytes, &error))?;
        if document.keys.len() > MAX_KEYS {
            return Err(format!("it has {} keys, at most {MAX_KEYS} are allowed", document.keys.len()));
        }
        let keys = document.keys.iter().filter_map(|text| serde_json::from_str(text.get()).ok());
        let keys: Vec<Key> = keys.filter_map(|jwk: Jwk| usable_key(&jwk)).collect();
        if keys.is_empty() {
            return Err(
                "it has no public key for signatures (RSA with at least 2048 bits, P-256, P-384 or Ed25519)".to_owned()
            );
        }
        Ok(Self(keys))
    }

    /// Returns the key with this id; without an id, the only key of the set.
    pub(super) fn find(&self, id: Option<&str>) -> Option<&Key> {
        match (id, &self.0[..]) {
            (Some(id), keys) => keys.iter().find(|key| key.id.as_deref() == Some(id)),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }

    /// Returns the number of keys.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

fn usable_key(jwk: &Jwk) -> Option<Key> {
    if matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption | PublicKeyUse::Other(_))) {
        return None;
    }
    let algorithm = algorithm(jwk)?;
    let public = DecodingKey::from_jwk(jwk).ok()?;
    Some(Key { id: jwk.common.key_id.clone(), algorithm, public })
}

/// Returns the algorithm of a key. It never comes from a token, whose sender could choose it.
fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    let stated = jwk.common.key_algorithm;
    match &jwk.algorithm {
        AlgorithmParameters::RSA(key) if modulus_bytes(&key.n) < MIN_RSA_BYTES => None,
        AlgorithmParameters::RSA(_) => match stated {
            // Some providers do not state it. This is the one that OpenID Connect uses by default.
            None | Some(KeyAlgorithm::RS256) => Some(RS256),
            Some(KeyAlgorithm::RS384) => Some(RS384),
            Some(KeyAlgorithm::RS512) => Some(RS512),
            Some(KeyAlgorithm::PS256) => Some(PS256),
            Some(KeyAlgorithm::PS384) => Some(PS384),
            Some(KeyAlgorithm::PS512) => Some(PS512),
            Some(_) => None,
        },
        AlgorithmParameters::EllipticCurve(key) => match (&key.curve, stated) {
            (EllipticCurve::P256, None | Some(KeyAlgorithm::ES256)) => Some(ES256),
            (EllipticCurve::P384, None | Some(KeyAlgorithm::ES384)) => Some(ES384),
            _ => None,
        },
        AlgorithmParameters::OctetKeyPair(key) => match (&key.curve, stated) {
            (EllipticCurve::Ed25519, None | Some(KeyAlgorithm::EdDSA)) => Some(EdDSA),
            _ => None,
        },
        // A symmetric key is a secret of the provider: who can verify with it can also sign.
        _ => None,
    }
}

/// Returns the size of an RSA key: that of its modulus, in base64 without padding.
fn modulus_bytes(modulus: &str) -> usize {
    modulus.trim_end_matches('=').len() * 3 / 4
}
