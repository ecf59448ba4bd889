//! Settings that are misspelt, contradictory or not UTF-8.
