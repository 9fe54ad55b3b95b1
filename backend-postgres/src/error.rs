//! What Postgres answers, as errors of the contract.

use backend_api::{Error, Reason};

/// SQLSTATE codes (Postgres documentation, appendix A) after which the same transaction may well succeed.
const TRANSIENT: &[&str] = &[
    "40001", // serialization_failure
    "40P01", // deadlock_detected
    "53300", // too_many_connections
    "55P03", // lock_not_available
    "57P01", // admin_shutdown
    "57P02", // crash_shutdown
    "57P03", // cannot_connect_now
    "57P05", // idle_session_timeout
    "25P03", // idle_in_transaction_session_timeout
];

fn code(e: &sqlx::Error) -> Option<String> {
    e.as_database_error().and_then(|e| e.code()).map(|code| code.into_owned())
}

/// True if it was the connection that failed, or something that passes.
pub(crate) fn is_transient(e: &sqlx::Error) -> bool {
    match e {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(_) => {
            code(e).is_some_and(|code| code.starts_with("08") || TRANSIENT.contains(&code.as_str()))
        }
        _ => false,
    }
}

/// True if the server said that the statement failed: then its transaction did not take effect, and will not.
pub(crate) fn is_answer(e: &sqlx::Error) -> bool {
    // An administrator's shutdown can come while the commit record is already written.
    matches!(e, sqlx::Error::Database(_)) && !code(e).is_some_and(|code| code.starts_with("57P"))
}

/// The error of the contract. What sqlx says of a failed connection has neither URL nor password in it.
pub(crate) fn failed(what: &str, e: &sqlx::Error) -> Error {
    let code = code(e);
    let reason = match (e, code.as_deref()) {
        (sqlx::Error::PoolClosed, _) => Reason::Closed,
        (sqlx::Error::PoolTimedOut, _) => Reason::Overloaded,
        // disk_full
        (_, Some("53100")) => Reason::StorageFull,
        // out_of_memory, too_many_connections, query_canceled (the statement timeout)
        (_, Some("53200" | "53300" | "57014")) => Reason::Overloaded,
        // data_corrupted, index_corrupted
        (_, Some("XX001" | "XX002")) => Reason::DataCorrupt,
        // read_only_sql_transaction
        (_, Some("25006")) => Reason::Closed,
        // program_limit_exceeded
        (_, Some(code)) if code.starts_with("54") => Reason::TooLarge,
        // A constraint, or the form of a value, that the planner should have kept.
        (_, Some(code)) if code.starts_with("22") || code.starts_with("23") => Reason::DataCorrupt,
        // A column cannot be read as what it is.
        (sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_), _) => Reason::DataCorrupt,
        (sqlx::Error::Configuration(_), _) => {
            return Error::new(
                Reason::BadRequest,
                format!("database: {what}: the URL is not one of a Postgres database"),
            );
        }
        _ => Reason::ReadFailed,
    };
    let code = code.map(|code| format!(" (SQLSTATE {code})")).unwrap_or_default();
    Error::new(reason, format!("database: {what}: {e}{code}"))
}
