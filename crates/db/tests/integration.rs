//! The database as its users see it, on SQLite and on PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod integration {
    mod access;
    mod catalogs;
    mod crash;
    mod damage;
    mod datastore;
    mod flips;
    mod jobs;
    mod laws;
    mod metadata;
    mod old_stores;
    mod opening;
    mod pulse;
    mod rows;
    mod runs;
    mod several;
    mod together;
    mod worker;
}
