//! The SQL that moves rows between the tables and memory.
//!
//! All statements are made here, from what SeaORM knows about an entity, and sent as plain SQL with parameters. SeaORM's
//! own builder costs about as much for a row as the database does, and it reads answers as a whole, in a form that is
//! ten times as large as the rows. Lists of values are cut into chunks of a few sizes: so no statement has too many
//! parameters, and the texts are so few that each connection keeps all of them prepared.

use std::fmt::Write;

use futures_util::TryStreamExt;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, Iden, Iterable, PrimaryKeyToColumn,
    QueryResult, Statement, StreamTrait, TryGetable, Value,
};

/// Rows of an insert at most, a power of two. `examples/manifest_speed.rs` measures what another number does.
/// The widest table has 36 columns, and SQLite allows 32 766 parameters, PostgreSQL 65 535.
const INSERT_ROWS: usize = 256;

/// Values of a list at most, a power of four.
const LIST_VALUES: usize = 1024;

/// A table.
pub(crate) trait Table: EntityTrait {
    /// Its rows, as the rest of the crate has them.
    type Row: Send;

    /// Appends the row's values, in the order of the columns.
    fn push_values(row: Self::Row, values: &mut Vec<Value>);

    /// The row with these columns.
    fn read(columns: &mut Columns<'_>) -> Result<Self::Row, DbErr>;
}

/// The name of a table.
pub(crate) fn table_name<E: Table>() -> &'static str {
    E::default().table_name()
}

/// The columns of a row in an answer, one after the other.
pub(crate) struct Columns<'a> {
    row: &'a QueryResult,
    next: usize,
}

impl Columns<'_> {
    /// The next column. It must have the type that it is asked for: SQLite keeps a type with every value, and a damaged
    /// file may say another one.
    pub(crate) fn next<T: TryGetable>(&mut self) -> Result<T, DbErr> {
        let index = self.next;
        self.next += 1;
        self.row.try_get_by_index(index)
    }

    /// The next column, which must have this value.
    pub(crate) fn expect(&mut self, value: i64) -> Result<(), DbErr> {
        let found: i64 = self.next()?;
        if found == value { Ok(()) } else { Err(DbErr::Type(format!("the row {found} must not exist"))) }
    }
}

/// A statement in the making.
pub(crate) struct Sql {
    backend: DbBackend,
    text: String,
    values: Vec<Value>,
}

impl Sql {
    pub(crate) fn new(transaction: &DatabaseTransaction, text: impl Into<String>) -> Sql {
        Sql {
            backend: ConnectionTrait::get_database_backend(transaction),
            text: text.into(),
            values: Vec::new(),
        }
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.backend == DbBackend::Sqlite
    }

    pub(crate) fn text(mut self, text: &str) -> Sql {
        self.text.push_str(text);
        self
    }

    pub(crate) fn value(mut self, value: impl Into<Value>) -> Sql {
        self.values.push(value.into());
        placeholder(&mut self.text, self.backend, self.values.len());
        self
    }

    /// Ids, as a subquery: however many there are, they are one parameter.
    pub(crate) fn ids(self, ids: &[i64]) -> Sql {
        self.elements(serde_json::to_string(ids).unwrap_or_default(), "bigint")
    }

    /// Texts, likewise. Those with a zero character are left out: PostgreSQL does not take them, and no row has one.
    pub(crate) fn texts(self, texts: &[&str]) -> Sql {
        let texts: Vec<&&str> = texts.iter().filter(|text| !text.contains('\0')).collect();
        self.elements(serde_json::to_string(&texts).unwrap_or_default(), "text")
    }

    fn elements(self, list: String, postgres_type: &str) -> Sql {
        match self.backend {
            DbBackend::Sqlite => self.text("(SELECT \"value\" FROM json_each(").value(list).text("))"),
            _ => self
                .text(&format!("(SELECT \"value\"::{postgres_type} FROM json_array_elements_text("))
                .value(list)
                .text("::json))"),
        }
    }

    /// The ids of a table in ranges that don't overlap, as a subquery.
    pub(crate) fn ids_between(self, table: &str, ranges: &[(i64, i64)]) -> Sql {
        let list = serde_json::to_string(ranges).unwrap_or_default();
        let (begin, end) = match self.backend {
            DbBackend::Sqlite => ("json_extract(r.\"value\", '$[0]')", "json_extract(r.\"value\", '$[1]')"),
            _ => ("(r.\"value\"->>0)::bigint", "(r.\"value\"->>1)::bigint"),
        };
        let sql = self.text("(SELECT t.\"id\" FROM ");
        let sql = match sql.backend {
            DbBackend::Sqlite => sql.text("json_each(").value(list).text(")"),
            _ => sql.text("json_array_elements(").value(list).text("::json)"),
        };
        // SQLite takes this for an order: first the ranges, then what is in them.
        sql.text(&format!(" AS r CROSS JOIN \"{table}\" AS t WHERE t.\"id\" BETWEEN {begin} AND {end})"))
    }

    /// One more condition, if there is a value: that the column has it.
    pub(crate) fn and_is(self, column: &str, value: Option<impl Into<Value>>) -> Sql {
        match value.map(Into::into) {
            Some(Value::String(Some(text))) if text.contains('\0') => self.text(" AND FALSE"),
            Some(value) => self.text(&format!(" AND {column} = ")).value(value),
            None => self,
        }
    }

    /// One more condition, if there are any ids: that the column has one of them.
    pub(crate) fn and_in(self, column: &str, ids: Option<&[i64]>) -> Sql {
        match ids {
            // In an index of this column, the others are in order for one id.
            Some(&[id]) => self.and_is(column, Some(id)),
            Some(ids) => self.text(&format!(" AND {column} IN ")).ids(ids),
            None => self,
        }
    }

    /// The order of a page, and how many rows it has at most.
    pub(crate) fn page(self, order: &str, limit: u64) -> Sql {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.text(" ORDER BY ").text(order).text(" LIMIT ").value(limit)
    }

    /// Some values, each in parentheses of `width`: `(?, ?), (?, ?)`.
    fn tuples(mut self, values: Vec<Value>, width: usize) -> Sql {
        for (at, value) in values.into_iter().enumerate() {
            self.text.push_str(match at % width {
                0 if at == 0 => "(",
                0 => "), (",
                _ => ", ",
            });
            self.values.push(value);
            placeholder(&mut self.text, self.backend, self.values.len());
        }
        self.text.push(')');
        self
    }

    /// Some values in parentheses: `(?, ?, ?)`.
    fn list(self, values: Vec<Value>) -> Sql {
        let width = values.len();
        self.tuples(values, width)
    }

    fn statement(self) -> Statement {
        Statement::from_sql_and_values(self.backend, self.text, self.values)
    }

    /// Runs it; returns how many rows it changed.
    pub(crate) async fn execute(self, transaction: &DatabaseTransaction) -> Result<u64, DbErr> {
        Ok(transaction.execute_raw(self.statement()).await?.rows_affected())
    }

    /// Runs it, and calls `take` with each row of the answer.
    pub(crate) async fn query(
        self,
        transaction: &DatabaseTransaction,
        mut take: impl FnMut(&mut Columns<'_>) -> Result<(), DbErr> + Send,
    ) -> Result<(), DbErr> {
        let mut answer = transaction.stream_raw(self.statement()).await?;
        while let Some(row) = answer.try_next().await? {
            take(&mut Columns { row: &row, next: 0 })?;
        }
        Ok(())
    }

    /// Runs it, for rows of `E` as [`select`] begins it.
    pub(crate) async fn rows<E: Table>(
        self,
        transaction: &DatabaseTransaction,
    ) -> Result<Vec<E::Row>, DbErr> {
        let mut rows = Vec::new();
        self.rows_into::<E>(transaction, &mut rows).await?;
        Ok(rows)
    }

    async fn rows_into<E: Table>(
        self,
        transaction: &DatabaseTransaction,
        rows: &mut Vec<E::Row>,
    ) -> Result<(), DbErr> {
        self.query(transaction, |columns| {
            rows.push(E::read(columns)?);
            Ok(())
        })
        .await
    }
}

/// A row with all columns of `E`, and one more behind them.
pub(crate) fn row_of<E: Table, T: TryGetable>(row: &QueryResult) -> Result<(E::Row, T), DbErr> {
    let mut columns = Columns { row, next: 0 };
    Ok((E::read(&mut columns)?, columns.next()?))
}

fn placeholder(text: &mut String, backend: DbBackend, number: usize) {
    match backend {
        // Numbered ones would make SQLite look each up by its name.
        DbBackend::Sqlite => text.push('?'),
        _ => {
            let _ = write!(text, "${number}");
        }
    }
}

/// `SELECT` with all columns of `E`, up to the name of the table.
pub(crate) fn select<E: Table>(transaction: &DatabaseTransaction) -> Sql {
    Sql::new(transaction, format!("SELECT {} FROM {}", columns::<E>(), quoted(&E::default())))
}

/// `DELETE` from the table of `E`.
pub(crate) fn delete<E: Table>(transaction: &DatabaseTransaction) -> Sql {
    Sql::new(transaction, format!("DELETE FROM {}", quoted(&E::default())))
}

/// The rows whose `column` has one of the values, each once.
pub(crate) async fn select_in<E: Table>(
    transaction: &DatabaseTransaction,
    column: E::Column,
    values: Vec<Value>,
) -> Result<Vec<E::Row>, DbErr> {
    let mut rows = Vec::new();
    for list in lists(values) {
        let sql = select::<E>(transaction).text(&format!(" WHERE {} IN ", quoted(&column))).list(list);
        sql.rows_into::<E>(transaction, &mut rows).await?;
    }
    Ok(rows)
}

/// The rows with these keys, whose parts follow each other in `keys`. No key must come twice.
pub(crate) async fn select_keys<E: Table>(
    transaction: &DatabaseTransaction,
    keys: Vec<Value>,
) -> Result<Vec<E::Row>, DbErr> {
    let mut rows = Vec::new();
    let (condition, width) = has_key::<E>();
    for chunk in in_chunks(keys, width, INSERT_ROWS) {
        let sql = select::<E>(transaction).text(&condition).tuples(chunk, width).text(KEYS_END);
        sql.rows_into::<E>(transaction, &mut rows).await?;
    }
    Ok(rows)
}

/// Removes the rows whose `column` has one of the values; returns how many there were.
pub(crate) async fn delete_in<E: Table>(
    transaction: &DatabaseTransaction,
    column: E::Column,
    values: Vec<Value>,
) -> Result<u64, DbErr> {
    let mut deleted = 0;
    for list in lists(values) {
        let sql = delete::<E>(transaction).text(&format!(" WHERE {} IN ", quoted(&column))).list(list);
        deleted += sql.execute(transaction).await?;
    }
    Ok(deleted)
}

/// Removes the rows with these keys, whose parts follow each other in `keys`; returns how many there were.
pub(crate) async fn delete_keys<E: Table>(
    transaction: &DatabaseTransaction,
    keys: Vec<Value>,
) -> Result<u64, DbErr> {
    let (condition, width) = has_key::<E>();
    let mut deleted = 0;
    for chunk in in_chunks(keys, width, INSERT_ROWS) {
        let sql = delete::<E>(transaction).text(&condition).tuples(chunk, width).text(KEYS_END);
        deleted += sql.execute(transaction).await?;
    }
    Ok(deleted)
}

/// The beginning of a condition on whole keys, and how many parts a key has. Of several `VALUES` alone SQLite makes a
/// compound query, for which it does not use an index: it would look at every row of the table.
fn has_key<E: EntityTrait>() -> (String, usize) {
    let names = primary_key::<E>();
    (format!(" WHERE ({}) IN (SELECT * FROM (VALUES ", names.join(", ")), names.len())
}

/// The end of that condition.
const KEYS_END: &str = ") AS wanted)";

/// The first text behind all that begin with `prefix`, in the order of bytes, which is that of characters, too; `None`
/// where there is none. Between the two a database finds the texts with the prefix in its index, whatever characters are
/// in it.
pub(crate) fn behind(prefix: &str) -> Option<String> {
    let mut end = prefix.to_string();
    while let Some(last) = end.pop() {
        // The characters follow each other but for a gap, that of the surrogates, and have an end.
        if let Some(next) = (last..=char::MAX).nth(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

/// What to do with a row whose key is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Fail.
    Refuse,
    /// Replace it.
    Replace,
}

/// Adds rows. With [`Existing::Replace`] no key must come twice.
pub(crate) async fn insert<E: Table>(
    transaction: &DatabaseTransaction,
    rows: impl IntoIterator<Item = E::Row>,
    existing: Existing,
) -> Result<(), DbErr> {
    let width = E::Column::iter().count();
    let head = format!("INSERT INTO {} ({}) VALUES ", quoted(&E::default()), columns::<E>());
    let tail = match existing {
        Existing::Refuse => String::new(),
        Existing::Replace => {
            let set: Vec<String> = E::Column::iter()
                .filter(|&column| E::PrimaryKey::from_column(column).is_none())
                .map(|column| format!("{0} = excluded.{0}", quoted(&column)))
                .collect();
            format!(" ON CONFLICT ({}) DO UPDATE SET {}", primary_key::<E>().join(", "), set.join(", "))
        }
    };
    let mut rows = rows.into_iter();
    loop {
        // As values, rows are larger: never more of them than one statement takes.
        let mut values = Vec::with_capacity(width * rows.size_hint().0.min(INSERT_ROWS));
        for row in rows.by_ref().take(INSERT_ROWS) {
            E::push_values(row, &mut values);
        }
        if values.is_empty() {
            return Ok(());
        }
        for chunk in in_chunks(values, width, INSERT_ROWS) {
            Sql::new(transaction, head.as_str())
                .tuples(chunk, width)
                .text(&tail)
                .execute(transaction)
                .await?;
        }
    }
}

/// Sets columns of rows with an `id`. Each tuple of values begins with that; no id must come twice.
pub(crate) async fn update<E: Table>(
    transaction: &DatabaseTransaction,
    columns: &[&str],
    values: Vec<Value>,
) -> Result<(), DbErr> {
    let columns: Vec<_> = columns.iter().map(|column| (*column, Keep::New)).collect();
    update_keeping::<E>(transaction, &columns, values).await
}

/// Which value stays, of the one that is there and the new one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Keep {
    New,
    /// The greater one; one that is none is less than any.
    Greater,
    /// The lesser one; one that is none is greater than any.
    Less,
}

/// As [`update`], with values that may stay.
pub(crate) async fn update_keeping<E: Table>(
    transaction: &DatabaseTransaction,
    columns: &[(&str, Keep)],
    values: Vec<Value>,
) -> Result<(), DbErr> {
    let table = quoted(&E::default());
    let set: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(at, (column, keep))| {
            // Both databases call the columns of `VALUES` so.
            let (old, new) = (format!("{table}.\"{column}\""), format!("\"new\".\"column{}\"", at + 2));
            let is_better = match keep {
                Keep::New => return format!("\"{column}\" = {new}"),
                Keep::Greater => ">",
                Keep::Less => "<",
            };
            format!(
                "\"{column}\" = CASE WHEN {old} IS NULL OR {new} {is_better} {old} THEN {new} ELSE {old} END"
            )
        })
        .collect();
    let head = format!("UPDATE {table} SET {} FROM (VALUES ", set.join(", "));
    let tail = format!(") AS \"new\" WHERE {table}.\"id\" = \"new\".\"column1\"");
    let width = columns.len() + 1;
    for chunk in in_chunks(values, width, INSERT_ROWS) {
        let sql = Sql::new(transaction, head.as_str()).tuples(chunk, width).text(&tail);
        sql.execute(transaction).await?;
    }
    Ok(())
}

/// Cuts tuples of `width` values into chunks of `most` tuples, and the rest into chunks whose sizes are powers of two.
fn in_chunks(values: Vec<Value>, width: usize, most: usize) -> impl Iterator<Item = Vec<Value>> + Send {
    let mut left = values.len() / width;
    let mut values = values.into_iter();
    std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        let tuples = most.min(1 << left.ilog2());
        left -= tuples;
        Some(values.by_ref().take(tuples * width).collect())
    })
}

/// Cuts a list for `IN`, each value once, into lists whose sizes are powers of four, the last one filled up with its
/// last value.
fn lists(mut values: Vec<Value>) -> impl Iterator<Item = Vec<Value>> + Send {
    // A value in two lists would find its row twice.
    values.sort_unstable_by(compare);
    values.dedup();
    let mut values = values.into_iter();
    std::iter::from_fn(move || {
        let mut list: Vec<Value> = values.by_ref().take(LIST_VALUES).collect();
        let last = list.last()?.clone();
        let mut length = 1;
        while length < list.len() {
            length *= 4;
        }
        list.resize(length, last);
        Some(list)
    })
}

/// An order of values of one type.
fn compare(a: &Value, b: &Value) -> std::cmp::Ordering {
    match (a, b) {
        (Value::BigInt(a), Value::BigInt(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        _ => std::cmp::Ordering::Equal,
    }
}

pub(crate) fn columns<E: EntityTrait>() -> String {
    let names: Vec<String> = E::Column::iter().map(|column| quoted(&column)).collect();
    names.join(", ")
}

fn primary_key<E: EntityTrait>() -> Vec<String> {
    E::PrimaryKey::iter().map(|part| quoted(&part.into_column())).collect()
}

/// Quoted, since some names are words of SQL, too.
fn quoted(name: &dyn Iden) -> String {
    format!("\"{}\"", name.unquoted())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(count: usize, cut: impl Fn(Vec<Value>) -> Vec<Vec<Value>>) -> Vec<usize> {
        let values = (0..count as i64).map(Value::from).collect();
        cut(values).iter().map(Vec::len).collect()
    }

    #[test]
    fn chunks_are_powers_of_two() {
        let cut = |values| in_chunks(values, 3, 4).collect();
        assert_eq!(sizes(0, cut), Vec::<usize>::new());
        assert_eq!(sizes(3, cut), [3]);
        assert_eq!(sizes(9, cut), [6, 3]);
        assert_eq!(sizes(33, cut), [12, 12, 6, 3]);
    }

    #[test]
    fn nothing_lies_between_a_prefix_and_what_is_behind_it() {
        assert_eq!(behind("/plant/").as_deref(), Some("/plant0"));
        assert_eq!(behind("/a%_").as_deref(), Some("/a%`"));
        assert_eq!(behind("é").as_deref(), Some("ê"));
        assert_eq!(behind("\u{7f}").as_deref(), Some("\u{80}"));
        assert_eq!(behind("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(behind("a\u{10ffff}\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(behind("\u{10ffff}"), None);
        assert_eq!(behind(""), None);
    }

    #[test]
    fn lists_are_filled_up_to_powers_of_four() {
        let cut = |values| lists(values).collect();
        assert_eq!(sizes(0, cut), Vec::<usize>::new());
        assert_eq!(sizes(1, cut), [1]);
        assert_eq!(sizes(5, cut), [16]);
        assert_eq!(sizes(1024, cut), [1024]);
        assert_eq!(sizes(1026, cut), [1024, 4]);
        let twice: Vec<Vec<Value>> = lists([2_i64, 1, 2].map(Value::from).to_vec()).collect();
        assert_eq!(twice, [[1_i64, 2, 2, 2].map(Value::from)]);
    }
}
