//! A metric family: a name, a description, and a series for each combination of label values.

use ::metrics::{Counter, Gauge, Histogram, Label, SharedString, Unit, counter, gauge, histogram};
use ::metrics::{describe_counter, describe_gauge, describe_histogram};

/// The type of a series: counter, gauge or histogram.
pub trait Kind: Sized {
    /// The name of the type in Prometheus.
    const WORD: &'static str;

    /// Returns a handle of the series with this name and these labels.
    fn handle(name: &'static str, labels: Vec<Label>) -> Self;

    /// Registers the description of a name at the recorder.
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

/// A family of series with `N` labels. Label values come from a small, known set. They are never a key, the text of a
/// query, a path or other input of a client.
#[derive(Debug)]
pub struct Family<K, const N: usize> {
    name: &'static str,
    labels: [&'static str; N],
    unit: Unit,
    help: &'static str,
    kind: std::marker::PhantomData<fn() -> K>,
}

/// The description of a family.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The name.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// The names of the labels.
    pub labels: &'static [&'static str],
    /// The meaning of the metric.
    pub help: &'static str,
    unit: Unit,
    register: fn(&'static str, Unit, &'static str),
}

impl<K: Kind, const N: usize> Family<K, N> {
    pub(super) const fn new(name: &'static str, labels: [&'static str; N], unit: Unit, help: &'static str) -> Self {
        Self { name, labels, unit, help, kind: std::marker::PhantomData }
    }

    /// Returns the series with these label values, in the order of the labels. The series exists from now on; a counter
    /// starts at 0.
    pub fn labels<V: Into<SharedString>>(&self, values: [V; N]) -> K {
        let labels = self.labels.iter().zip(values).map(|(name, value)| Label::new(*name, value));
        K::handle(self.name, labels.collect())
    }

    pub(super) const fn about(&'static self) -> About {
        let Self { name, labels, unit, help, .. } = self;
        About { name, kind: K::WORD, labels, help, unit: *unit, register: K::describe }
    }
}

impl<K: Kind> Family<K, 0> {
    /// Returns the only series of a family without labels.
    pub fn one(&self) -> K {
        self.labels::<&'static str>([])
    }
}

impl About {
    pub(super) fn describe(self) {
        (self.register)(self.name, self.unit, self.help);
    }
}
