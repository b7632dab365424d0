//! Objects of JSON, read field by field. All that is wrong is found, not only the first thing.
//!
//! What can be understood is taken, as Django REST framework does: numbers in quotes, texts that were written as numbers, blanks
//! around texts. Fields that nobody knows, and those that only the server sets, are left alone.

use serde_json::{Map, Value};
use sheaf_db::datastore::Micros;
use sheaf_model::Tick;

use super::refusals::{Errors, NO_FIELD};
use super::times;

/// The most characters of a value that a message repeats.
const MOST_SHOWN: usize = 60;

/// A field that is there, and maybe null; `None` if it is not there, or wrong.
pub(crate) type Field<T> = Option<Option<T>>;

/// The fields of an object that were not read yet, and what is wrong with those that were.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    values: Map<String, Value>,
    errors: Errors,
    /// Whether null is what a table has for nothing at all.
    is_table: bool,
}

impl Fields {
    /// The fields of a value, which must be an object.
    pub(crate) fn new(value: Value) -> Result<Fields, Errors> {
        match value {
            Value::Object(values) => Ok(Fields { values, ..Fields::default() }),
            other => {
                let text = format!("Invalid data. Expected an object, but got {}.", kind(&other));
                Err(Errors::one(NO_FIELD, text))
            }
        }
    }

    /// Of parameters of a query: all are texts. Of one that is there several times, the last counts.
    pub(crate) fn of_query(parameters: Vec<(String, String)>) -> Fields {
        let values = parameters.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        Fields { values, ..Fields::default() }
    }

    /// The same; null may stand for a field that is not there if they are a row of a table.
    pub(crate) fn of_a_table(self, is_table: bool) -> Fields {
        Fields { is_table, ..self }
    }

    /// An error if anything was wrong so far.
    pub(crate) fn done(&mut self) -> Result<(), Errors> {
        if self.errors.is_empty() { Ok(()) } else { Err(std::mem::take(&mut self.errors)) }
    }

    pub(crate) fn fail(&mut self, field: &str, message: impl std::fmt::Display) {
        self.errors.add(field, message);
    }

    /// Whether a field is there that was not read yet.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.values.contains_key(field)
    }

    /// Whether a field is there, and a number.
    pub(crate) fn is_number(&self, field: &str) -> bool {
        self.values.get(field).is_some_and(Value::is_number)
    }

    /// Takes a field as it is.
    pub(crate) fn take(&mut self, field: &str) -> Option<Value> {
        self.values.swap_remove(field)
    }

    /// The same by another name, if it is not there by its own.
    pub(crate) fn also_called(&mut self, field: &str, other: &str) {
        if !self.has(field)
            && let Some(value) = self.take(other)
        {
            self.values.insert(field.to_owned(), value);
        }
    }

    /// A field that must be something.
    pub(crate) fn required<T>(
        &mut self,
        field: &str,
        read: impl FnOnce(&mut Fields, &str) -> Field<T>,
    ) -> Option<T> {
        if !self.has(field) {
            self.fail(field, "This field is required.");
            return None;
        }
        self.something(field, read)
    }

    /// A field that need not be there, but must be something if it is.
    pub(crate) fn not_null<T>(
        &mut self,
        field: &str,
        read: impl FnOnce(&mut Fields, &str) -> Field<T>,
    ) -> Option<T> {
        if self.is_table && self.values.get(field).is_some_and(Value::is_null) {
            self.values.swap_remove(field);
            return None;
        }
        self.something(field, read)
    }

    fn something<T>(&mut self, field: &str, read: impl FnOnce(&mut Fields, &str) -> Field<T>) -> Option<T> {
        match read(self, field) {
            Some(None) => {
                self.fail(field, "This field may not be null or blank.");
                None
            }
            value => value.flatten(),
        }
    }

    fn read<T>(&mut self, field: &str, read: impl FnOnce(&Value) -> Option<T>, right: &str) -> Field<T> {
        let value = self.take(field)?;
        if value.is_null() {
            return Some(None);
        }
        match read(&value) {
            Some(read) => Some(Some(read)),
            None => {
                self.fail(field, format!("{right} Found {}.", shown(&value)));
                None
            }
        }
    }

    /// A text of at most so many characters; a blank one is null.
    pub(crate) fn text(&mut self, field: &str, most: usize) -> Field<String> {
        let Some(text) = self.read(field, text, "Not a valid text.")? else { return Some(None) };
        match text.chars().count() {
            0 => Some(None),
            length if length > most => {
                self.fail(
                    field,
                    format!("Ensure this field has no more than {most} characters; it has {length}."),
                );
                None
            }
            _ if text.contains('\0') => {
                self.fail(field, "Null characters are not allowed.");
                None
            }
            _ => Some(Some(text)),
        }
    }

    /// A whole number.
    pub(crate) fn integer(&mut self, field: &str) -> Field<i64> {
        self.read(field, integer, "A valid integer is required.")
    }

    /// A finite number.
    pub(crate) fn number(&mut self, field: &str) -> Field<f64> {
        let number = |value: &Value| match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        let finite = |value: &Value| number(value).filter(|number| number.is_finite());
        self.read(field, finite, "A valid number is required, or null where it is missing.")
    }

    /// True or false.
    pub(crate) fn flag(&mut self, field: &str) -> Field<bool> {
        let flag = |value: &Value| match value {
            Value::Bool(flag) => Some(*flag),
            Value::Number(number) => match number.as_i64() {
                Some(0) => Some(false),
                Some(1) => Some(true),
                _ => None,
            },
            Value::String(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "t" | "1" | "yes" => Some(true),
                "false" | "f" | "0" | "no" => Some(false),
                _ => None,
            },
            _ => None,
        };
        self.read(field, flag, "Must be a valid boolean: true or false.")
    }

    /// A point in time.
    pub(crate) fn tick(&mut self, field: &str) -> Field<Tick> {
        let tick = |value: &Value| value.as_str()?.trim().parse().ok();
        let right = "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z], \
                     YYYY-MM-DD.";
        self.read(field, tick, right)
    }

    /// A point in time for a row.
    pub(crate) fn time(&mut self, field: &str) -> Field<Micros> {
        Some(self.tick(field)?.map(times::micros_of))
    }

    /// One of a few words.
    pub(crate) fn choice<T>(
        &mut self,
        field: &str,
        read: impl FnOnce(&str) -> Option<T>,
        right: &str,
    ) -> Field<T> {
        self.read(
            field,
            |value| read(value.as_str()?.trim()),
            &format!("Not a valid choice; there are {right}."),
        )
    }

    /// A name that `read` knows, or says what is wrong with.
    pub(crate) fn named<T>(
        &mut self,
        field: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(field, 1_000_000).flatten()?;
        read(&text).map_err(|message| self.fail(field, message)).ok()
    }

    /// Ids, apart by blanks, commas or plus signs.
    pub(crate) fn ids(&mut self, field: &str) -> Option<Vec<i64>> {
        let ids = |value: &Value| {
            let words = value.as_str()?.split([' ', ',', '+']).filter(|word| !word.is_empty());
            words.map(|word| word.parse().ok()).collect::<Option<Vec<i64>>>()
        };
        self.read(field, ids, "Valid integers are required, with commas between them.")?
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            // What was a column of floats in a table: 3.0.
            let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e15)?;
            Some(float as i64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A value as messages repeat it.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) | Value::Object(_) => kind(value).to_owned(),
        value => {
            let text = value.to_string();
            let begin: String = text.chars().take(MOST_SHOWN).collect();
            if begin.len() < text.len() { format!("{begin}…") } else { begin }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        Fields::new(value).unwrap()
    }

    #[test]
    fn what_can_be_understood_is_taken() {
        let mut fields = fields(json!({
            "pk": "12", "float": 3.0, "zip": 91104, "name": "  a b ", "blank": " ", "none": null, "yes": "True", "value": "1.5",
            "day": "2016-01-02", "there": "2016-01-02T03:00:00+03:00",
        }));
        assert_eq!(fields.integer("pk"), Some(Some(12)));
        assert_eq!(fields.integer("float"), Some(Some(3)));
        assert_eq!(fields.text("zip", 10), Some(Some("91104".to_owned())));
        assert_eq!(fields.text("name", 10), Some(Some("a b".to_owned())));
        assert_eq!(fields.text("blank", 10), Some(None));
        assert_eq!(fields.text("none", 10), Some(None));
        assert_eq!(fields.text("missing", 10), None);
        assert_eq!(fields.flag("yes"), Some(Some(true)));
        assert_eq!(fields.number("value"), Some(Some(1.5)));
        assert_eq!(fields.tick("day"), fields.tick("there"));
        assert_eq!(fields.done(), Ok(()));
    }

    #[test]
    fn all_that_is_wrong_is_said() {
        let mut fields = fields(json!({
            "pk": 1.5, "huge": 1e300, "zip": "12345678901", "flag": 2, "value": "NaN", "time": "yesterday", "list": [1], "none": null,
        }));
        fields.integer("pk");
        fields.integer("huge");
        fields.text("zip", 10);
        fields.flag("flag");
        fields.number("value");
        fields.time("time");
        fields.text("list", 5);
        fields.required("none", Fields::integer);
        fields.required("missing", Fields::integer);
        let errors = fields.done().unwrap_err().into_value();
        for (field, begin) in [
            ("pk", "A valid integer is required. Found 1.5."),
            ("huge", "A valid integer is required."),
            ("zip", "Ensure this field has no more than 10 characters; it has 11."),
            ("flag", "Must be a valid boolean: true or false. Found 2."),
            ("value", "A valid number is required, or null where it is missing. Found \"NaN\"."),
            ("time", "Datetime has wrong format."),
            ("list", "Not a valid text. Found a list."),
            ("none", "This field may not be null or blank."),
            ("missing", "This field is required."),
        ] {
            let text = errors[field][0].as_str().unwrap();
            assert!(text.starts_with(begin), "{field}: {text}");
        }
        assert_eq!(fields.done(), Ok(()), "said once");
    }
}
