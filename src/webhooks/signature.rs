//! Signatures of Standard Webhooks.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign as hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::WebhookSecret;

/// Returns the value of `webhook-signature`: the HMAC of the id, the time of the attempt and the body.
pub(super) fn sign(secret: &WebhookSecret, id: &str, seconds: &str, body: &str) -> String {
    let key = Key::new(HMAC_SHA256, secret.bytes());
    let tag = hmac(&key, format!("{id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_reference_implementation() {
        // The example in the documentation of Standard Webhooks and of its libraries.
        let secret: WebhookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let signature = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
