//! What PostgreSQL refuses becomes an error that says what to do.

use crate::error::Error;
use std::io;

/// Why something could not be done on a connection.
#[derive(Debug)]
pub(super) enum Failure {
    Server(::postgres::Error),
    Here(Error),
}

impl From<::postgres::Error> for Failure {
    fn from(error: ::postgres::Error) -> Self {
        Self::Server(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Here(error)
    }
}

impl Failure {
    /// The error, given what was attempted.
    pub fn when(self, action: &'static str) -> Error {
        match self {
            Self::Here(error) => error,
            Self::Server(error) => told(action, &error),
        }
    }

    /// Whether the connection is no longer there.
    pub fn is_lost(&self) -> bool {
        match self {
            Self::Server(error) => match error.code() {
                Some(code) => code.code().starts_with("57P"),
                None => error.is_closed() || is_io(error),
            },
            Self::Here(_) => false,
        }
    }

    /// The server's SQLSTATE, if the server said it.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Server(error) => error.code().map(|code| code.code()),
            Self::Here(_) => None,
        }
    }
}

/// What the server or the connection said, with what to do.
pub(super) fn told(action: &'static str, error: &::postgres::Error) -> Error {
    let sqlstate = error.code().map(|code| code.code().to_owned());
    let reason = match error.as_db_error() {
        Some(told) => match told.detail() {
            Some(detail) => format!("{} ({detail})", told.message()),
            None => told.message().to_owned(),
        },
        None => with_causes(error),
    };
    let advice = match &sqlstate {
        Some(code) => advice(code),
        None if error.is_closed() || is_io(error) => {
            "is the server there, and the network? Try again: what was not committed is not there"
        }
        None => "try again, and look into the server's log",
    };
    Error::Postgres { action, reason, advice, sqlstate }
}

fn is_io(error: &::postgres::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.is::<io::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// An error and what it came from, as one text.
fn with_causes(error: &::postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// What to do where the server says so, by its SQLSTATE.
fn advice(sqlstate: &str) -> &'static str {
    match sqlstate {
        "28P01" | "28000" => "check user and password, in the URL or in PGUSER and PGPASSWORD",
        "3D000" => "make the database (createdb), or name another in the URL or in PGDATABASE",
        "3F000" | "42P01" | "42883" => "there is no collection here yet: call Store::migrate first",
        "42501" => "give the user this right (GRANT), or connect as another",
        "53100" => "the server's disk is full: make room and try again; nothing was changed",
        "53200" => "the server is out of memory: give it more, or add fewer tracks at once",
        "53300" => "all connections of the server are taken: use fewer, or a pooler",
        "57014" => "the query was cancelled, by someone or by a time limit: try again",
        "57P01" | "57P02" | "57P03" => "the server is stopping or starting: try again later",
        "25006" => "this server only answers, it is a replica or set so: write to the primary",
        "40001" | "40P01" => "another writer was in the way: try again",
        "22021" => "PostgreSQL stores no NUL characters and needs a database of encoding UTF8",
        code if code.starts_with("08") => "is the server there, and the network? Try again",
        code if code.starts_with("XX") => "the database is damaged: restore it from a copy",
        _ => "look into the server's log",
    }
}
