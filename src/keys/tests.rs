//! Tests of keys over a ledger in a temporary folder.

use tempfile::TempDir;

use super::change::MAX_KEYS;
use super::*;
use crate::domain::{KeyName, KeyRecord};

async fn open(folder: &TempDir, environment: &[&str], file: Option<PathBuf>) -> Keys {
    let environment = environment.iter().map(|key| Secret::new(*key)).collect();
    let ledger = Ledger::open(folder.path()).unwrap();
    Keys::open(KeysParts { ledger, environment, file, user_role: None, is_local: true }).await.unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "as the functions take it")]
fn at(text: &str) -> Option<Timestamp> {
    Some(Timestamp::parse(text).unwrap())
}

const LATER: &str = "2999-01-01T00:00:00Z";

#[tokio::test]
async fn a_key_is_known_until_it_is_removed_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let keys = open(&folder, &["root-key"], None).await;
    let (key, view) = keys.add("ci", Role::Write, at(LATER), true).await.unwrap();
    assert!(key.reveal().starts_with(KEY_PREFIX) && key.reveal().len() == KEY_PREFIX.len() + 64);
    assert_eq!((view.role, view.last_used_at), (Role::Write, None));
    let owner = KeyOwner { name: "ci".into(), role: Role::Write };
    assert_eq!(keys.find(key.reveal()), Some(owner.clone()));
    assert!(keys.find(&key.reveal()[..70]).is_none() && keys.find("").is_none());
    assert_eq!(keys.find("root-key").unwrap().role, Role::Admin);
    assert!(matches!(keys.add("ci", Role::Read, None, true).await, Err(KeysError::Exists(_))));
    keys.write_last_uses().await;
    drop(keys);

    let keys = open(&folder, &["root-key"], None).await;
    assert_eq!(keys.find(key.reveal()), Some(owner));
    let listed = keys.list();
    assert_eq!(listed.len(), 2);
    assert!(listed[1].last_used_at.is_some() && listed[1].expires_at == at(LATER), "{listed:?}");
    keys.remove("ci").await.unwrap();
    assert!(keys.find(key.reveal()).is_none());
    assert!(matches!(keys.remove("ci").await, Err(KeysError::Unknown(_))));
    assert!(matches!(keys.remove("GLIMPSE_API_KEY").await, Err(KeysError::Configured(..))));
}

#[tokio::test]
async fn the_first_key_neither_locks_out_nor_opens_anything() {
    let folder = tempfile::tempdir().unwrap();
    let keys = open(&folder, &[], None).await;
    assert!(!keys.is_required());
    for (role, end) in [(Role::Read, None), (Role::Write, None), (Role::Admin, at(LATER))] {
        assert!(matches!(keys.add("first", role, end, true).await, Err(KeysError::First)));
    }
    keys.add("first", Role::Admin, None, true).await.unwrap();
    assert!(keys.is_required());
    keys.add("viewer", Role::Read, at(LATER), true).await.unwrap();
    assert!(matches!(keys.remove("first").await, Err(KeysError::LastAdmin(_))));
    keys.add("second", Role::Admin, at(LATER), true).await.unwrap();
    assert!(matches!(keys.remove("first").await, Err(KeysError::LastAdmin(_))), "the other one expires");
    keys.add("third", Role::Admin, None, true).await.unwrap();
    keys.remove("first").await.unwrap();
    let past = keys.add("past", Role::Read, at("2020-01-01T00:00:00Z"), true).await;
    assert!(matches!(past, Err(KeysError::ExpiresInPast(_))));

    // With a key in the settings, every key can be removed.
    drop(keys);
    let keys = open(&folder, &["root-key"], None).await;
    for name in ["viewer", "second", "third"] {
        keys.remove(name).await.unwrap();
    }
    assert!(keys.is_required() && keys.find("root-key").is_some());
}

#[tokio::test]
async fn an_expired_key_is_not_valid_but_the_service_stays_closed() {
    let folder = tempfile::tempdir().unwrap();
    let record = KeyRecord {
        name: KeyName::parse("old").unwrap(),
        role: Role::Admin,
        digest: digest("secret"),
        created_at: Timestamp::now(),
        expires_at: at("2020-01-01T00:00:00Z"),
        last_used_at: None,
    };
    let ledger = Ledger::open(folder.path()).unwrap();
    ledger.write(move |tx| keys::add(tx, &record, MAX_KEYS)).await.unwrap();
    drop(ledger);
    let keys = open(&folder, &[], None).await;
    assert!(keys.find("secret").is_none() && keys.is_required());
}

#[tokio::test]
async fn the_file_is_read_again_and_a_wrong_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, "ci write the-first-secret\n").unwrap();
    let keys = open(&folder, &[], Some(path.clone())).await;
    assert_eq!(keys.find("the-first-secret").unwrap().role, Role::Write);
    let mut problem = None;
    std::fs::write(&path, "ci write\n").unwrap();
    keys.reload_file(&mut problem).await;
    assert!(problem.unwrap().contains("line 1") && keys.find("the-first-secret").is_some());
    std::fs::write(&path, "ci read the-second-secret\n").unwrap();
    keys.reload_file(&mut None).await;
    assert!(keys.find("the-first-secret").is_none());
    assert_eq!(keys.find("the-second-secret").unwrap().role, Role::Read);
    std::fs::write(&path, "").unwrap();
    keys.reload_file(&mut None).await;
    assert!(keys.find("the-second-secret").is_none() && keys.is_required(), "an empty file does not open the service");
    assert!(matches!(keys.remove("ci").await, Err(KeysError::Unknown(_))));
}

#[tokio::test]
async fn the_audit_log_keeps_the_newest_rows_of_each_role() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    let entry = |role, path: &str| crate::domain::AuditEntry {
        at: Timestamp::now(),
        name: Some("ci".to_owned()),
        sign_in: Some(crate::domain::SignIn::Token),
        role,
        action: "DELETE /images/{id}".to_owned(),
        path: path.to_owned(),
        status: 200,
        location: None,
        request_id: None,
    };
    let rows = [(Role::Admin, "a"), (Role::Write, "1"), (Role::Write, "2"), (Role::Write, "3")];
    for (role, path) in rows {
        let row = entry(role, path);
        ledger.write(move |tx| crate::ledger::audit::add(tx, &row, 2)).await.unwrap();
    }
    let audit = Audit::new(ledger);
    let paths =
        |page: Vec<(i64, crate::domain::AuditEntry)>| page.into_iter().map(|(_, row)| row.path).collect::<Vec<_>>();
    let page = audit.page(None, 10).await.unwrap();
    let third = page[1].0;
    assert_eq!(page[0].1.sign_in, Some(crate::domain::SignIn::Token));
    assert_eq!(paths(page), ["3", "2", "a"]);
    assert_eq!(paths(audit.page(Some(third), 10).await.unwrap()), ["a"]);
}

#[tokio::test]
async fn of_two_first_keys_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let keys = open(&folder, &[], None).await;
    keys.add("one", Role::Admin, None, false).await.unwrap();
    // Its request was accepted while the service was open.
    assert!(matches!(keys.add("two", Role::Admin, None, false).await, Err(KeysError::NotFirst)));
    keys.add("two", Role::Admin, None, true).await.unwrap();
}

#[tokio::test]
async fn a_change_is_completed_although_its_client_has_disconnected() {
    let folder = tempfile::tempdir().unwrap();
    let keys = open(&folder, &["root-key"], None).await;
    let (key, _) = keys.add("ci", Role::Admin, None, true).await.unwrap();
    // The ledger is busy, so that neither request is complete when its client leaves.
    let (begin, wait) = std::sync::mpsc::channel::<()>();
    let ledger = keys.0.ledger.clone();
    #[expect(clippy::disallowed_methods, reason = "the test waits for its end")]
    let busy = tokio::spawn(async move {
        ledger
            .write(move |_| {
                wait.recv().ok();
                Ok(())
            })
            .await
    });
    let short = std::time::Duration::from_millis(50);
    assert!(tokio::time::timeout(short, keys.remove("ci")).await.is_err());
    assert!(tokio::time::timeout(short, keys.add("other", Role::Read, None, true)).await.is_err());
    begin.send(()).unwrap();
    busy.await.unwrap().unwrap();
    let names = || keys.list().into_iter().map(|key| key.name).collect::<Vec<_>>();
    while names() != ["GLIMPSE_API_KEY", "other"] {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(keys.find(key.reveal()).is_none());
    keys.remove("other").await.unwrap();
}
