//! Rows with a unique name, of which thousands are added or changed at once.

use std::collections::{HashMap, HashSet};

use super::{Datastore, Micros, Transaction, check_name};
use crate::Database;
use crate::error::RepositoryError;
use crate::table::{Sql, Table, table_name};

/// What became of a row that was to be added or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upserted {
    /// Its id.
    pub id: i64,
    /// What was done.
    pub change: Change,
}

/// What was done with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Change {
    Created,
    Updated,
    Unchanged,
}

/// What to do if some rows of many are wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// Change nothing at all; what would have been done is said of the others.
    Refuse,
    /// Leave them out.
    Skip,
}

/// A table whose rows have a unique name.
pub(super) trait Named: Table<Row: Clone + PartialEq + Sync> {
    /// Changes of a row, beside its name.
    type Patch: Send;
    /// What is known of other rows, for [`Named::check`].
    type Context: Send;

    /// What a row is called in messages.
    const WHAT: &'static str;
    /// The column with the name.
    const NAME: &'static str;

    fn id(row: &Self::Row) -> i64;

    fn name(row: &mut Self::Row) -> &mut String;

    /// A new row, with nothing but its name.
    fn new(id: i64, name: String, now: Micros) -> Self::Row;

    /// Changes a row. If that makes it another one, it has been updated now.
    fn apply(row: &mut Self::Row, patch: Self::Patch);

    fn touch(row: &mut Self::Row, now: Micros);

    /// Reads what [`Named::check`] needs for rows with these changes.
    fn context(
        transaction: &Transaction<'_>,
        patches: &[&Self::Patch],
    ) -> impl Future<Output = Result<Self::Context, RepositoryError>> + Send;

    /// Whether a row can be kept.
    fn check(context: &mut Self::Context, row: &Self::Row) -> Result<(), RepositoryError>;
}

/// A row in the making.
struct Draft<R> {
    row: R,
    is_new: bool,
    is_changed: bool,
}

fn exists<E: Named>(name: &str) -> RepositoryError {
    RepositoryError::Exists { what: E::WHAT, field: E::NAME, value: name.to_string() }
}

async fn by_name<E: Named>(
    transaction: &Transaction<'_>,
    names: &[&str],
) -> Result<Vec<E::Row>, RepositoryError> {
    let condition = format!(" WHERE \"{}\" IN ", E::NAME);
    transaction.rows_where::<E>(|sql| sql.text(&condition).texts(names)).await
}

/// Adds rows, or changes those whose name is there already; one answer for each, in their order. A name may come several
/// times: then they are changes that follow each other.
async fn upsert<E: Named>(
    database: &Database,
    rows: Vec<(String, E::Patch)>,
    may_exist: bool,
    on_error: OnError,
    now: Micros,
) -> Result<Vec<Result<Upserted, RepositoryError>>, RepositoryError> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let transaction = Transaction::write::<E>(database).await?;
    let patches: Vec<&E::Patch> = rows.iter().map(|(_, patch)| patch).collect();
    let mut context = E::context(&transaction, &patches).await?;
    let names: Vec<&str> = rows.iter().map(|(name, _)| name.as_str()).collect();
    let mut drafts: HashMap<String, Draft<E::Row>> = HashMap::with_capacity(names.len());
    for mut row in by_name::<E>(&transaction, &names).await? {
        let name = E::name(&mut row).clone();
        drafts.insert(name, Draft { row, is_new: false, is_changed: false });
    }
    // With those of rows that turn out to be wrong: a few ids go unused then.
    let new: HashSet<&str> = names.into_iter().filter(|&name| !drafts.contains_key(name)).collect();
    let mut next_id = if new.is_empty() { 0 } else { transaction.new_ids::<E>(new.len()).await? };
    let draft = |(name, patch): (String, E::Patch)| {
        check_name(E::NAME, &name)?;
        let Some(draft) = drafts.get_mut(&name) else {
            let mut row = E::new(next_id, name.clone(), now);
            E::apply(&mut row, patch);
            E::check(&mut context, &row)?;
            next_id += 1;
            let id = E::id(&row);
            drafts.insert(name, Draft { row, is_new: true, is_changed: false });
            return Ok(Upserted { id, change: Change::Created });
        };
        if !may_exist {
            return Err(exists::<E>(&name));
        }
        let mut row = draft.row.clone();
        E::apply(&mut row, patch);
        let id = E::id(&row);
        if row == draft.row {
            return Ok(Upserted { id, change: Change::Unchanged });
        }
        E::check(&mut context, &row)?;
        E::touch(&mut row, now);
        draft.row = row;
        draft.is_changed = true;
        Ok(Upserted { id, change: Change::Updated })
    };
    let answers: Vec<Result<Upserted, RepositoryError>> = rows.into_iter().map(draft).collect();
    if on_error == OnError::Refuse && answers.iter().any(Result::is_err) {
        return Ok(answers);
    }
    let (mut created, mut updated) = (Vec::new(), Vec::new());
    for Draft { row, is_new, is_changed } in drafts.into_values() {
        match (is_new, is_changed) {
            (true, _) => created.push(row),
            (false, true) => updated.push(row),
            (false, false) => (),
        }
    }
    created.sort_unstable_by_key(E::id);
    if created.is_empty() && updated.is_empty() {
        return Ok(answers);
    }
    transaction.insert_all::<E>(created).await?;
    transaction.replace_all::<E>(updated).await?;
    transaction.commit::<E>().await?;
    Ok(answers)
}

impl Datastore {
    pub(super) async fn upsert_named<E: Named>(
        &self,
        rows: Vec<(String, E::Patch)>,
        on_error: OnError,
        now: Micros,
    ) -> Result<Vec<Result<Upserted, RepositoryError>>, RepositoryError> {
        upsert::<E>(&self.database, rows, true, on_error, now).await
    }

    /// Adds a row whose name must be new.
    pub(super) async fn create_named<E: Named>(
        &self,
        name: String,
        patch: E::Patch,
        now: Micros,
    ) -> Result<E::Row, RepositoryError> {
        let row = vec![(name.clone(), patch)];
        let answers = upsert::<E>(&self.database, row, false, OnError::Refuse, now).await?;
        let gone = || super::missing(E::WHAT, &name);
        let id = answers.into_iter().next().ok_or_else(gone)??.id;
        self.one::<E>(id).await?.ok_or_else(gone)
    }

    /// Changes a row, also its name; `None` if it is not there.
    pub(super) async fn update_named<E: Named>(
        &self,
        id: i64,
        name: Option<String>,
        patch: E::Patch,
        now: Micros,
    ) -> Result<Option<E::Row>, RepositoryError> {
        let transaction = Transaction::write::<E>(&self.database).await?;
        let rows = transaction.rows_where::<E>(|sql| sql.text(" WHERE \"id\" = ").value(id)).await?;
        let Some(before) = rows.into_iter().next() else { return Ok(None) };
        let mut row = before.clone();
        if let Some(name) = name
            && name != *E::name(&mut row)
        {
            check_name(E::NAME, &name)?;
            if !by_name::<E>(&transaction, &[&name]).await?.is_empty() {
                return Err(exists::<E>(&name));
            }
            *E::name(&mut row) = name;
        }
        let mut context = E::context(&transaction, &[&patch]).await?;
        E::apply(&mut row, patch);
        if row != before {
            E::check(&mut context, &row)?;
            E::touch(&mut row, now);
            transaction.replace_all::<E>(vec![row.clone()]).await?;
            transaction.commit::<E>().await?;
        }
        Ok(Some(row))
    }

    /// The row with this name.
    pub(super) async fn find_named<E: Named>(&self, name: &str) -> Result<Option<E::Row>, RepositoryError> {
        let column = format!("\"{}\"", E::NAME);
        let rows = self.rows::<E>(|sql| sql.text(" WHERE TRUE").and_is(&column, Some(name))).await?;
        Ok(rows.into_iter().next())
    }

    /// The ids and names of all rows, by id.
    pub(super) async fn names<E: Named>(&self) -> Result<Vec<(i64, String)>, RepositoryError> {
        let Some(transaction) = Transaction::read::<E>(&self.database).await? else { return Ok(Vec::new()) };
        let table = table_name::<E>();
        let sql = format!("SELECT \"id\", \"{}\" FROM \"{table}\" ORDER BY \"id\"", E::NAME);
        let mut names = Vec::new();
        let answer = Sql::new(&transaction.tx, sql).query(&transaction.tx, |columns| {
            names.push((columns.next()?, columns.next()?));
            Ok(())
        });
        transaction.reading::<E, _>(answer.await)?;
        Ok(names)
    }
}
