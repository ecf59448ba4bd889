//! The settings of the sign-in by a proxy.

use axum::http::HeaderName;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::domain::words;

/// A comma-separated list of networks and addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Returns the networks. A single address is a network of one address.
    pub fn networks(&self) -> &[IpNet] {
        &self.0
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<String> for Networks {
    type Error = String;

    fn try_from(list: String) -> Result<Self, String> {
        let parse = |text: &String| {
            let address = text.parse().map(|address: std::net::IpAddr| IpNet::from(address.to_canonical()));
            address.or_else(|_| text.parse()).map_err(|_| {
                format!(
                    "`{text}` is not an address or a network; write such as 10.0.0.1 or 10.0.0.0/8, comma-separated"
                )
            })
        };
        words(&list).iter().map(parse).collect::<Result<_, _>>().map(Self)
    }
}

impl From<Networks> for String {
    fn from(networks: Networks) -> Self {
        networks.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
}

/// The name of a header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Header(HeaderName);

impl Header {
    /// Returns the name.
    pub fn name(&self) -> &HeaderName {
        &self.0
    }
}

impl TryFrom<String> for Header {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        text.parse().map(Self).map_err(|_| "it must be the name of a header, such as X-Forwarded-User")
    }
}

impl From<Header> for String {
    fn from(header: Header) -> Self {
        header.0.as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_a_list() {
        let networks = Networks::try_from("10.0.0.0/8, 192.0.2.1,::1".to_owned()).unwrap();
        assert_eq!(String::from(networks), "10.0.0.0/8,192.0.2.1/32,::1/128");
        assert!(Networks::try_from("10.0.0.0/33".to_owned()).unwrap_err().contains("10.0.0.0/33"));
    }
}
