//! What clients do with mirrors.

use subtle::ConstantTimeEq;

use crate::domain::{JobRecord, Mirror, MirrorName, MirrorSpec, Secret, Timestamp};
use crate::jobs::JobsError;
use crate::jobs::remote::protocol::token;
use crate::ledger::mirrors::{self, Put};
use crate::ledger::{LedgerError, events};
use crate::lock::lock;
use crate::mirrors::activity::Recent;
use crate::mirrors::schedule::{Schedule, parse_zone};
use crate::mirrors::submission::submission;
use crate::mirrors::{MAX_MIRRORS, Mirrors, MirrorsError};

/// A mirror as the API shows it.
#[derive(Clone, Debug)]
pub struct MirrorView {
    /// The record in the ledger.
    pub mirror: Mirror,
    /// Its newest run.
    pub last_run: Option<JobRecord>,
    /// Number of keys that events have named and that wait.
    pub waiting_keys: u64,
    /// What happened since the service started.
    pub recent: Recent,
    /// The other mirrors that [overlap](MirrorSpec::overlaps) with it.
    pub overlapping: Vec<MirrorName>,
}

/// A mirror that was stored.
#[derive(Debug)]
pub struct Stored {
    /// The mirror.
    pub view: MirrorView,
    /// The token of its events, if the mirror is new. It is returned only once.
    pub event_token: Option<Secret>,
}

impl Mirrors {
    /// Creates a mirror or replaces the fields of an existing one. A new mirror, or one with another scope, is listed
    /// soon.
    ///
    /// # Errors
    /// [`MirrorsError`] if a field is not valid, or there are [`MAX_MIRRORS`] others.
    pub async fn put(&self, name: &str, spec: MirrorSpec) -> Result<Stored, MirrorsError> {
        let name = MirrorName::parse(name)?;
        self.0.jobs.check(submission(&name, &spec))?;
        self.0.jobs.0.check_cluster_is_set(spec.executor)?;
        parse_zone(&spec.timezone)?;
        let next_run = match &spec.schedule {
            Some(expression) => Schedule::parse(expression, &spec.timezone)?.next_run(&name, Timestamp::now()),
            None => None,
        };
        let event_token = token::fresh().ok_or(JobsError::NoToken)?;
        let digest = token::digest(event_token.reveal());
        let stored = name.clone();
        let put =
            self.0.ledger.write(move |tx| mirrors::put(tx, &stored, &spec, &digest, next_run, MAX_MIRRORS)).await?;
        let event_token = match put {
            Put::Created => Some(event_token),
            Put::Replaced => None,
            Put::TooMany => return Err(MirrorsError::TooMany(MAX_MIRRORS)),
        };
        self.0.wake_runs.notify_one();
        Ok(Stored { view: self.view(name).await?, event_token })
    }

    /// Returns one mirror.
    ///
    /// # Errors
    /// [`MirrorsError::Unknown`], [`MirrorsError::Ledger`]
    pub async fn get(&self, name: &str) -> Result<MirrorView, MirrorsError> {
        self.view(parse_known(name)?).await
    }

    /// Returns every mirror, in the order of their names.
    ///
    /// # Errors
    /// [`MirrorsError::Ledger`]
    pub async fn list(&self) -> Result<Vec<MirrorView>, MirrorsError> {
        let mut views = Vec::new();
        let all = self.0.ledger.read(mirrors::list).await?;
        for mirror in &all {
            views.push(self.view_of(mirror.clone(), &all).await?);
        }
        Ok(views)
    }

    /// Removes a mirror. Its jobs, a run in progress and the collection stay.
    ///
    /// # Errors
    /// [`MirrorsError::Unknown`], [`MirrorsError::Ledger`]
    pub async fn remove(&self, name: &str) -> Result<MirrorName, MirrorsError> {
        let name = parse_known(name)?;
        let removed = name.clone();
        let existed = self.0.ledger.write(move |tx| mirrors::remove(tx, &removed)).await?;
        self.0.activity.forget(&name);
        lock(&self.0.excludes).remove(&name);
        if existed { Ok(name) } else { Err(unknown(&name)) }
    }

    /// Pauses a mirror: no run starts, and events are acknowledged but only remembered as a need for a run. A run in
    /// progress continues.
    ///
    /// # Errors
    /// [`MirrorsError::Unknown`], [`MirrorsError::Ledger`]
    pub async fn pause(&self, name: &str) -> Result<MirrorView, MirrorsError> {
        let name = parse_known(name)?;
        let paused = name.clone();
        if !self.0.ledger.write(move |tx| mirrors::pause(tx, &paused)).await? {
            return Err(unknown(&name));
        }
        self.view(name).await
    }

    /// Makes a paused or stopped mirror active.
    ///
    /// # Errors
    /// [`MirrorsError::Unknown`], [`MirrorsError::Ledger`]
    pub async fn resume(&self, name: &str) -> Result<MirrorView, MirrorsError> {
        let name = parse_known(name)?;
        let resumed = name.clone();
        if !self.0.ledger.write(move |tx| mirrors::resume(tx, &resumed)).await? {
            return Err(unknown(&name));
        }
        self.0.wake_runs.notify_one();
        self.0.wake_lane.notify_one();
        self.view(name).await
    }

    /// Submits a run now, in any state of the mirror.
    ///
    /// # Errors
    /// [`MirrorsError::Running`] if a run has not ended; [`MirrorsError::Unknown`]; the errors of submissions.
    pub async fn run(&self, name: &str) -> Result<JobRecord, MirrorsError> {
        let mirror = self.find(parse_known(name)?).await?;
        self.0.start_run(&mirror, Timestamp::now()).await
    }

    /// Replaces the token of a mirror's events. The previous one is refused from now on.
    ///
    /// # Errors
    /// [`MirrorsError::Unknown`], [`MirrorsError::Ledger`]
    pub async fn new_token(&self, name: &str) -> Result<Secret, MirrorsError> {
        let name = parse_known(name)?;
        let event_token = token::fresh().ok_or(JobsError::NoToken)?;
        let (digest, changed) = (token::digest(event_token.reveal()), name.clone());
        let exists = self.0.ledger.write(move |tx| mirrors::set_token(tx, &changed, &digest)).await?;
        if exists { Ok(event_token) } else { Err(unknown(&name)) }
    }

    /// Returns the mirror with this event token. Compares every digest, so that the time does not depend on which one
    /// matches.
    ///
    /// # Errors
    /// [`MirrorsError::Token`] if no mirror has it, [`MirrorsError::Ledger`]
    pub async fn authenticate(&self, token: Option<&str>) -> Result<Mirror, MirrorsError> {
        let given = token::digest(token.ok_or(MirrorsError::Token)?);
        let find = move |db: &rusqlite::Connection| {
            let mut found = None;
            for (name, digest) in mirrors::tokens(db)? {
                if bool::from(digest.as_bytes().ct_eq(given.as_bytes())) {
                    found = Some(name);
                }
            }
            found.map_or(Ok(None), |name| mirrors::find(db, &name))
        };
        self.0.ledger.read(find).await?.ok_or(MirrorsError::Token)
    }

    async fn view(&self, name: MirrorName) -> Result<MirrorView, MirrorsError> {
        let mirror = self.find(name).await?;
        let all = self.0.ledger.read(mirrors::list).await?;
        Ok(self.view_of(mirror, &all).await?)
    }

    async fn view_of(&self, mirror: Mirror, all: &[Mirror]) -> Result<MirrorView, LedgerError> {
        let name = mirror.name.clone();
        let read = move |db: &rusqlite::Connection| Ok((mirrors::last_run(db, &name)?, events::count(db, &name)?));
        let (last_run, waiting_keys) = self.0.ledger.read(read).await?;
        let recent = self.0.activity.recent(&mirror.name);
        let others = all.iter().filter(|other| other.name != mirror.name && other.spec.overlaps(&mirror.spec));
        let overlapping = others.map(|other| other.name.clone()).collect();
        Ok(MirrorView { mirror, last_run, waiting_keys, recent, overlapping })
    }

    async fn find(&self, name: MirrorName) -> Result<Mirror, MirrorsError> {
        let wanted = name.clone();
        self.0.ledger.read(move |db| mirrors::find(db, &wanted)).await?.ok_or_else(|| unknown(&name))
    }
}

/// Parses the name of a mirror that must exist. A name that is not valid names none.
fn parse_known(name: &str) -> Result<MirrorName, MirrorsError> {
    MirrorName::parse(name).map_err(|_| MirrorsError::Unknown(name.chars().take(MirrorName::MAX_CHARACTERS).collect()))
}

fn unknown(name: &MirrorName) -> MirrorsError {
    MirrorsError::Unknown(name.to_string())
}
