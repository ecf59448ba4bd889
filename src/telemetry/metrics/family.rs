//! A name, what it means, and the series under it: one for each set of values of its labels.

use ::metrics::{Counter, Gauge, Histogram, Label, SharedString, Unit, counter, gauge, histogram};
use ::metrics::{describe_counter, describe_gauge, describe_histogram};

/// What a series is.
pub trait Kind: Sized {
    /// Prometheus' word for it.
    const WORD: &'static str;

    /// A handle on the series of that name with these labels.
    fn handle(name: &'static str, labels: Vec<Label>) -> Self;

    /// Tells the recorder what the name means.
    fn describe(name: &'static str, unit: Unit, help: &'static str);
}

macro_rules! kind {
    ($type:ty, $word:literal, $handle:ident, $describe:ident) => {
        impl Kind for $type {
            const WORD: &'static str = $word;

            fn handle(name: &'static str, labels: Vec<Label>) -> Self {
                $handle!(name, labels)
            }

            fn describe(name: &'static str, unit: Unit, help: &'static str) {
                $describe!(name, unit, help);
            }
        }
    };
}

kind!(Counter, "counter", counter, describe_counter);
kind!(Gauge, "gauge", gauge, describe_gauge);
kind!(Histogram, "histogram", histogram, describe_histogram);

/// A family of series with `N` labels. Values of labels come from a small, known set: never a key, a query's words, a
/// path or anything else that a client makes up.
#[derive(Debug)]
pub struct Family<K, const N: usize> {
    name: &'static str,
    labels: [&'static str; N],
    unit: Unit,
    help: &'static str,
    kind: std::marker::PhantomData<fn() -> K>,
}

/// A family as it is described and documented.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Its name.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
    unit: Unit,
    tell: fn(&'static str, Unit, &'static str),
}

impl<K: Kind, const N: usize> Family<K, N> {
    pub(super) const fn new(name: &'static str, labels: [&'static str; N], unit: Unit, help: &'static str) -> Self {
        Self { name, labels, unit, help, kind: std::marker::PhantomData }
    }

    /// The series with these values of its labels, in their order. It is there from now on, a counter with 0.
    pub fn labels<V: Into<SharedString>>(&self, values: [V; N]) -> K {
        let labels = self.labels.iter().zip(values).map(|(name, value)| Label::new(*name, value));
        K::handle(self.name, labels.collect())
    }

    pub(super) const fn about(&'static self) -> About {
        let Self { name, labels, unit, help, .. } = self;
        About { name, kind: K::WORD, labels, help, unit: *unit, tell: K::describe }
    }
}

impl<K: Kind> Family<K, 0> {
    /// The one series of a family without labels.
    pub fn one(&self) -> K {
        self.labels::<&'static str>([])
    }
}

impl About {
    pub(super) fn describe(self) {
        (self.tell)(self.name, self.unit, self.help);
    }
}
