//! A whole cluster in one process, from one seed.
