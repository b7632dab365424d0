//! Rights, as options name them.

use std::error::Error;

use sheaf_db::Grant;

use crate::http::auth::claims::{
    ADMINISTRATOR, READ, READ_GROUP, ROLE, USE_LOCATOR, WRITE, WRITE_GROUP, check,
};

/// What somebody may do, or a token is good for.
#[derive(clap::Args)]
pub(crate) struct GrantArgs {
    /// Everything
    #[arg(long)]
    admin: bool,
    /// Read catalogs: a regular expression that fits the whole id, like '/plant(/.*)?'
    #[arg(long, value_name = "PATTERN")]
    read: Vec<String>,
    /// Write catalogs, and read them
    #[arg(long, value_name = "PATTERN")]
    write: Vec<String>,
    /// Read catalogs of groups: a regular expression that fits the name of the group
    #[arg(long, value_name = "PATTERN")]
    read_group: Vec<String>,
    /// Write catalogs of groups, and read them
    #[arg(long, value_name = "PATTERN")]
    write_group: Vec<String>,
    /// Add sources that read from places which the regular expression fits, like 'file:///srv/data/.*'
    #[arg(long, value_name = "PATTERN")]
    use_locator: Vec<String>,
}

impl GrantArgs {
    /// The rights, of which each can be used.
    pub(crate) fn grants(&self) -> Result<Vec<Grant>, Box<dyn Error>> {
        let lists = [
            (READ, &self.read),
            (WRITE, &self.write),
            (READ_GROUP, &self.read_group),
            (WRITE_GROUP, &self.write_group),
            (USE_LOCATOR, &self.use_locator),
        ];
        let admin = self.admin.then(|| Grant::new(ROLE, ADMINISTRATOR));
        let patterns =
            lists.into_iter().flat_map(|(kind, list)| list.iter().map(move |value| Grant::new(kind, value)));
        let grants: Vec<Grant> = admin.into_iter().chain(patterns).collect();
        grants.iter().try_for_each(check)?;
        Ok(grants)
    }
}

/// A right in few words.
pub(crate) fn text(grant: &Grant) -> String {
    let value = &grant.value;
    match grant.kind.as_str() {
        ROLE if value == ADMINISTRATOR => "everything".to_owned(),
        READ => format!("read {value}"),
        WRITE => format!("write {value}"),
        READ_GROUP => format!("read group {value}"),
        WRITE_GROUP => format!("write group {value}"),
        USE_LOCATOR => format!("sources from {value}"),
        kind => format!("{kind} {value}"),
    }
}

/// Rights in few words.
pub(crate) fn texts<'a>(grants: impl IntoIterator<Item = &'a Grant>) -> String {
    let texts: Vec<String> = grants.into_iter().map(text).collect();
    if texts.is_empty() { "nothing but the sample".to_owned() } else { texts.join(", ") }
}
