//! CAR v1 files.
