//! Whose projects are: a row for each user who has asked.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use sheaf_db::datastore::ProjectOwner;
use utoipa::ToSchema;

use super::listing::{Listing, Paging, Row};
use super::refusals::{Refusal, Refusals};
use crate::http::app::Shared;
use crate::http::auth::Caller;

/// Somebody who may have projects.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct OwnerRow {
    id: i64,
    /// The id of the user.
    user: String,
}

impl Row for OwnerRow {
    fn id(&self) -> i64 {
        self.id
    }
}

impl From<ProjectOwner> for OwnerRow {
    fn from(owner: ProjectOwner) -> OwnerRow {
        OwnerRow { id: owner.id, user: owner.user }
    }
}

/// Whose projects are. Administrators see all; others themselves. Whoever asks has a row from then on.
#[utoipa::path(get, path = "/api/v1/project_owners", tag = "projects",
    params(Paging),
    responses((status = 200, body = Vec<OwnerRow>), Refusals))]
pub(crate) async fn list(
    State(app): State<Shared>,
    caller: Caller,
    listing: Listing,
) -> Result<Response, Refusal> {
    let user = caller.require_user()?.user.id.clone();
    let datastore = app.data.database.datastore();
    let own = datastore.project_owner(&user).await?;
    let sees_all = caller.is_admin();
    listing
        .answer((datastore, own), move |(datastore, own), page| async move {
            let owners = match sees_all {
                true => datastore.project_owners(page).await?,
                false => vec![own].into_iter().filter(|own| own.id > page.after).collect(),
            };
            Ok(owners.into_iter().map(OwnerRow::from).collect::<Vec<_>>())
        })
        .await
}
