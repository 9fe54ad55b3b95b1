//! What Postgres answers, as errors of the contract.

use backend_api::{Error, Reason};
use sqlx::postgres::{PgDatabaseError, PgSeverity};

/// SQLSTATE codes (Postgres documentation, appendix A) after which the same transaction may well succeed.
const TRANSIENT: &[&str] = &[
    "25006", // read_only_sql_transaction: a standby, until it is promoted or the name leads elsewhere
    "25P03", // idle_in_transaction_session_timeout
    "40001", // serialization_failure
    "40003", // statement_completion_unknown
    "40P01", // deadlock_detected
    "53300", // too_many_connections
    "55P03", // lock_not_available
    "57P01", // admin_shutdown
    "57P02", // crash_shutdown
    "57P03", // cannot_connect_now
    "57P05", // idle_session_timeout
];

fn code(e: &sqlx::Error) -> Option<String> {
    e.as_database_error().and_then(|e| e.code()).map(|code| code.into_owned())
}

fn severity(e: &sqlx::Error) -> Option<PgSeverity> {
    Some(e.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?.severity())
}

/// True if it was the connection that failed, or something that passes.
pub(crate) fn is_transient(e: &sqlx::Error) -> bool {
    match e {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(_) => {
            // After a panic the server starts itself again.
            severity(e) == Some(PgSeverity::Panic)
                || code(e).is_some_and(|code| code.starts_with("08") || TRANSIENT.contains(&code.as_str()))
        }
        _ => false,
    }
}

/// True if nothing was said for as long as anything is waited for.
pub(crate) fn is_silence(e: &sqlx::Error) -> bool {
    matches!(e, sqlx::Error::Io(e) if e.kind() == std::io::ErrorKind::TimedOut)
}

/// True if the server said that the statement failed: then its transaction did not take effect, and will not.
///
/// Only a plain error says so. Before a panic (a failed sync of the log), and before the connection is ended from outside,
/// the commit may already be in the log; and two codes say that nobody knows (08007, 40003).
pub(crate) fn is_answer(e: &sqlx::Error) -> bool {
    severity(e) == Some(PgSeverity::Error) && !code(e).is_some_and(|code| code.starts_with("08") || code == "40003")
}

/// True if somebody, of whatever database of the server, listens and does not read.
pub(crate) fn is_queue_full(e: &sqlx::Error) -> bool {
    let is_of_notify =
        |e: &dyn sqlx::error::DatabaseError| e.code().as_deref() == Some("54000") && e.message().contains("NOTIFY");
    e.as_database_error().is_some_and(is_of_notify)
}

/// The error of the contract. What sqlx says of a failed connection has neither URL nor password in it.
pub(crate) fn failed(what: &str, e: &sqlx::Error) -> Error {
    let code = code(e);
    let reason = match (e, code.as_deref()) {
        (sqlx::Error::PoolClosed, _) => Reason::Closed,
        (sqlx::Error::PoolTimedOut, _) => Reason::Overloaded,
        // The only row without which nothing can be done is that of the store.
        (sqlx::Error::RowNotFound, _) => Reason::DataCorrupt,
        // disk_full
        (_, Some("53100")) => Reason::StorageFull,
        // transaction_timeout, out_of_memory, too_many_connections, query_canceled (the statement timeout)
        (_, Some("25P04" | "53200" | "53300" | "57014")) => Reason::Overloaded,
        // data_corrupted, index_corrupted
        (_, Some("XX001" | "XX002")) => Reason::DataCorrupt,
        (e, _) if is_queue_full(e) => Reason::Overloaded,
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
    // What was refused may be a password in the wrong place.
    let said = match code.as_deref() {
        None if matches!(e, sqlx::Error::RowNotFound) => "the table `store` has no row".into(),
        Some("28P01") => "the server refuses the password".into(),
        Some("3D000") => "the server has no database of that name".into(),
        Some(code) if code.starts_with("28") => {
            "the server refuses the user, or the way of connecting (`sslmode`, the server's pg_hba.conf)".into()
        }
        _ => e.to_string(),
    };
    let code = code.map(|code| format!(" (SQLSTATE {code})")).unwrap_or_default();
    Error::new(reason, format!("database: {what}: {said}{code}"))
}

/// The error of an opening: what tables of somebody else's answer, and rights that are missing, do not pass.
pub(crate) fn unprepared(what: &str, e: &sqlx::Error) -> Error {
    let error = failed(what, e);
    let (reason, hint) = match code(e).as_deref() {
        // insufficient_privilege; invalid_schema_name: one that may not be used is passed over
        Some("42501" | "3F000") => (Reason::BadRequest, "give the user the schema, or the right to create it"),
        // duplicate_prepared_statement: a pooler's; undefined_function: an older server
        Some("42P05" | "42883") => return error,
        // syntax_error_or_access_rule_violation: no such column, or another table of the name
        Some(code) if code.starts_with("42") => {
            (Reason::WrongStore, "the schema's tables are not a store's: give the store a schema of its own")
        }
        _ => return error,
    };
    Error::new(reason, format!("{}; {hint}", error.detail()))
}
