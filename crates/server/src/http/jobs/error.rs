//! What a job can fail of.

use std::io;
use std::path::PathBuf;

use sheaf_db::RepositoryError;
use sheaf_engine::ReadError;
use sheaf_sources::{ExportError, WriteError};
use sheaf_store::StoreError;

use crate::data::DataError;
use crate::http::errors::ApiError;

/// A job that can't be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    /// Nobody here can do it.
    #[error("there are no jobs of the kind `{kind}`")]
    Kind {
        /// What kind.
        kind: String,
    },
    /// What was asked for can't be read; it was, when it was accepted.
    #[error("the parameters of the job can't be read")]
    Parameters {
        /// Why.
        source: serde_json::Error,
    },
    /// It was told to stop.
    #[error("it was told to stop")]
    Stopped,
    /// What was right when it was accepted is not any more.
    #[error("{text}")]
    Refused {
        /// What is wrong.
        text: String,
    },
    /// It needs what its request brought along, and that is gone.
    #[error(
        "this export was asked for with a configuration for its sources (header Nexus-Configuration), which only the process \
         that accepted it had, in memory; that has ended, so ask for the export again"
    )]
    NotKept,
    /// The writer can't be used.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// What it needs can't be had.
    #[error(transparent)]
    Data(#[from] DataError),
    /// Values can't be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store fails.
    #[error(transparent)]
    Store(StoreError),
    /// Values can't be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The database fails.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// A file can't be written.
    #[error("can't write {}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The archive can't be written.
    #[error("can't write the archive")]
    Archive(#[from] zip::result::ZipError),
    /// A task ended early.
    #[error("a task ended early: {problem}")]
    Task {
        /// Why.
        problem: String,
    },
}

impl JobError {
    /// Whether it may work in a moment: something was in use, or changed at the wrong time.
    pub(super) fn is_passing(&self) -> bool {
        let is_passing = |error: &StoreError| {
            matches!(
                error.root(),
                StoreError::LeaseHeld { .. } | StoreError::Conflict | StoreError::Vanished { .. }
            )
        };
        match self {
            JobError::Repository(RepositoryError::Busy { .. })
            | JobError::Data(DataError::Repository(RepositoryError::Busy { .. })) => true,
            JobError::Store(error) | JobError::Data(DataError::Store(error)) => is_passing(error),
            JobError::Read(ReadError::Store(error)) => is_passing(error),
            _ => false,
        }
    }
}

impl From<StoreError> for JobError {
    fn from(error: StoreError) -> JobError {
        match error {
            StoreError::Cancelled => JobError::Stopped,
            error => JobError::Store(error),
        }
    }
}

impl From<ApiError> for JobError {
    fn from(error: ApiError) -> JobError {
        JobError::Refused { text: error.text().to_owned() }
    }
}
