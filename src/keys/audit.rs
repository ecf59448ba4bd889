//! The audit log: who has changed what.

use crate::domain::AuditEntry;
use crate::ledger::{Ledger, LedgerError, audit};

/// How many rows of each role are kept.
const KEPT_ROWS: u32 = 10_000;

/// Maximum number of rows in one page.
pub const MAX_AUDIT_PAGE: u32 = 1_000;

/// The audit log. Clones share it.
#[derive(Clone, Debug)]
pub struct Audit {
    ledger: Ledger,
}

impl Audit {
    /// Returns the audit log in this ledger.
    pub fn new(ledger: Ledger) -> Self {
        Self { ledger }
    }

    /// Adds an entry. A failure is logged: the change was made already.
    pub async fn add(&self, entry: AuditEntry) {
        let (action, path) = (entry.action.clone(), entry.path.clone());
        if let Err(error) = self.ledger.write(move |tx| audit::add(tx, &entry, KEPT_ROWS)).await {
            tracing::error!(%error, action, path, "a change could not be recorded in the audit log");
        }
    }

    /// Adds an entry without waiting for it.
    pub fn add_later(&self, entry: AuditEntry) {
        let audit = self.clone();
        #[expect(clippy::disallowed_methods, reason = "one transaction, for which no request waits")]
        tokio::spawn(async move { audit.add(entry).await });
    }

    /// Returns at most `limit` entries with their numbers, the newest first; only those before the number `before`.
    ///
    /// # Errors
    /// [`LedgerError`] if the ledger cannot be read.
    pub async fn page(&self, before: Option<i64>, limit: u32) -> Result<Vec<(i64, AuditEntry)>, LedgerError> {
        self.ledger.read(move |db| audit::page(db, before, limit.min(MAX_AUDIT_PAGE))).await
    }
}
