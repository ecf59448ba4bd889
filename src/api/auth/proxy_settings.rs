//! The settings of the sign-in by a proxy.

use axum::http::HeaderName;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::domain::{Role, words};

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

/// The roles of groups: `group=role`, comma-separated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupRoles(Vec<(String, Role)>);

impl GroupRoles {
    /// Returns the groups and their roles.
    pub fn pairs(&self) -> &[(String, Role)] {
        &self.0
    }

    /// Returns the highest role of any group.
    pub fn highest(&self) -> Option<Role> {
        self.0.iter().map(|(_, role)| *role).max()
    }
}

impl TryFrom<String> for GroupRoles {
    type Error = String;

    fn try_from(list: String) -> Result<Self, String> {
        let parse = |text: &String| {
            let pair = text.rsplit_once('=').map(|(group, role)| (group.trim(), role.trim()));
            let pair = pair.and_then(|(group, role)| Some((group, Role::from_name(role)?)));
            match pair.filter(|(group, _)| !group.is_empty()) {
                Some((group, role)) => Ok((group.to_owned(), role)),
                None => Err(format!(
                    "`{text}` is not GROUP=ROLE, with the role read, write or admin; the group `*` is every user"
                )),
            }
        };
        words(&list).iter().map(parse).collect::<Result<_, _>>().map(Self)
    }
}

impl From<GroupRoles> for String {
    fn from(roles: GroupRoles) -> Self {
        roles.0.iter().map(|(group, role)| format!("{group}={role}")).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_roles_are_lists() {
        let networks = Networks::try_from("10.0.0.0/8, 192.0.2.1,::1".to_owned()).unwrap();
        assert_eq!(String::from(networks), "10.0.0.0/8,192.0.2.1/32,::1/128");
        assert!(Networks::try_from("10.0.0.0/33".to_owned()).unwrap_err().contains("10.0.0.0/33"));
        let roles = GroupRoles::try_from("cn=ops=admin, *=read".to_owned()).unwrap();
        assert_eq!(roles.pairs(), [("cn=ops".to_owned(), Role::Admin), ("*".to_owned(), Role::Read)]);
        for wrong in ["ops", "ops=root", "=read"] {
            assert!(GroupRoles::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
