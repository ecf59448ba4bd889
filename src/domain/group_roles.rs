//! The roles of the groups of users that a proxy or an identity provider has signed in.

use serde::{Deserialize, Serialize};

use super::setting::keyword;
use super::{Role, words};

/// The group that every user has.
const EVERYONE: &str = "*";

/// The roles of groups: `group=role`, comma-separated.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupRoles(Vec<(String, Role)>);

impl GroupRoles {
    /// Returns the groups and their roles.
    pub fn pairs(&self) -> &[(String, Role)] {
        &self.0
    }

    /// Returns the highest role of a user with these groups, if one of them has a role.
    pub fn role_of(&self, groups: &[String]) -> Option<Role> {
        let has = |group: &String| group == EVERYONE || groups.contains(group);
        self.0.iter().filter(|(group, _)| has(group)).map(|(_, role)| *role).max()
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
            let pair = pair.and_then(|(group, role)| Some((group, Role::from_name(&keyword(role))?)));
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
    fn the_highest_role_of_the_groups_counts() {
        let roles = GroupRoles::try_from("cn=ops=admin, *=read".to_owned()).unwrap();
        assert_eq!(roles.pairs(), [("cn=ops".to_owned(), Role::Admin), ("*".to_owned(), Role::Read)]);
        for wrong in ["ops", "ops=root", "=read"] {
            assert!(GroupRoles::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
        let role = |groups: &[&str]| roles.role_of(&groups.iter().map(|group| (*group).to_owned()).collect::<Vec<_>>());
        assert_eq!(role(&["other", "cn=ops"]), Some(Role::Admin));
        assert_eq!(role(&[]), Some(Role::Read));
        assert_eq!(GroupRoles::default().role_of(&["*".to_owned()]), None);
    }
}
