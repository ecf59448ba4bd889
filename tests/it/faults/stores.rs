//! Vector stores of other versions and in trouble.
