//! The key as a parameter of PostgreSQL: text as it is, and a number or a UUID as the column has it,
//! so that an operator whose customers have numbers need not write a cast.
//!
//! A key that is no value of the parameter's type names no row. A number has only one spelling, so
//! that two keys never name the same photo.

use sqlx::{
    Encode, Postgres, Type, TypeInfo,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgTypeInfo, PgTypeKind},
};
use uuid::{Uuid, fmt::Hyphenated};

/// The parameter of a query.
#[derive(Clone)]
pub(super) struct Parameter {
    type_info: PgTypeInfo,
    form: Form,
}

/// The types that a key may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Text,
    Int2,
    Int4,
    Int8,
    Uuid,
}

/// A parameter's value, in PostgreSQL's binary format. It has exactly the type that the query was
/// described with: if the column has another type by now, PostgreSQL refuses the query.
pub(super) struct KeyValue {
    type_info: PgTypeInfo,
    /// `None` for NULL.
    bytes: Option<Vec<u8>>,
}

impl Parameter {
    /// A parameter of this type. `None` if a key can't have the type.
    pub(super) fn of(type_info: &PgTypeInfo) -> Option<Self> {
        Some(Self { type_info: type_info.clone(), form: Form::of(type_info)? })
    }

    /// The type.
    pub(super) const fn type_info(&self) -> &PgTypeInfo {
        &self.type_info
    }

    /// The value for a key. `None` if it is no value of the type.
    pub(super) fn value(&self, key: &str) -> Option<KeyValue> {
        let bytes = self.form.encoded(key)?;
        Some(KeyValue { type_info: self.type_info.clone(), bytes: Some(bytes) })
    }

    /// NULL.
    pub(super) fn null(&self) -> KeyValue {
        KeyValue { type_info: self.type_info.clone(), bytes: None }
    }
}

impl Form {
    fn of(type_info: &PgTypeInfo) -> Option<Self> {
        match type_info.kind() {
            // The binary format of a value of an enum is its label.
            PgTypeKind::Enum(_) => return Some(Self::Text),
            PgTypeKind::Domain(base) => return Self::of(base),
            _ => {}
        }
        Self::named(type_info.name())
    }

    /// By the name that sqlx gives the type. It calls `bpchar` CHAR.
    fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_str() {
            "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "CITEXT" => Self::Text,
            "INT2" => Self::Int2,
            "INT4" => Self::Int4,
            "INT8" => Self::Int8,
            "UUID" => Self::Uuid,
            _ => return None,
        })
    }

    fn encoded(self, key: &str) -> Option<Vec<u8>> {
        Some(match self {
            Self::Text => key.as_bytes().to_vec(),
            Self::Int2 => i16::try_from(number(key)?).ok()?.to_be_bytes().to_vec(),
            Self::Int4 => i32::try_from(number(key)?).ok()?.to_be_bytes().to_vec(),
            Self::Int8 => number(key)?.to_be_bytes().to_vec(),
            Self::Uuid => uuid(key)?.as_bytes().to_vec(),
        })
    }
}

/// A number, if the key is written as the database writes the number: without a plus sign and
/// leading zeros.
fn number(key: &str) -> Option<i64> {
    key.parse().ok().filter(|number: &i64| number.to_string() == key)
}

/// A UUID with hyphens, its letters in any case, since clients differ in that.
fn uuid(key: &str) -> Option<Uuid> {
    let has_hyphens = key.len() == Hyphenated::LENGTH;
    Uuid::try_parse(key).ok().filter(|_| has_hyphens)
}

impl Type<Postgres> for KeyValue {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for KeyValue {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let Some(bytes) = &self.bytes else { return Ok(IsNull::Yes) };
        buffer.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.type_info.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_spelling() {
        for (form, key, bytes) in [
            (Form::Int2, "17", vec![0, 17]),
            (Form::Int4, "-1", vec![255; 4]),
            (Form::Int8, "9223372036854775807", i64::MAX.to_be_bytes().to_vec()),
            (Form::Int8, "0", vec![0; 8]),
        ] {
            assert_eq!(form.encoded(key), Some(bytes), "{key}");
        }
        for key in ["", "17a", "+17", "017", "-0", " 17", "17 ", "1.0", "1e3", "0x11", "１７"] {
            assert_eq!(Form::Int8.encoded(key), None, "{key}");
        }
        assert_eq!(Form::Int2.encoded("32768"), None);
        assert_eq!(Form::Int4.encoded("2147483648"), None);
        assert_eq!(Form::Int8.encoded("9223372036854775808"), None);
    }

    #[test]
    fn a_uuid_is_written_with_hyphens() {
        let bytes = Some(vec![0x5b; 16]);
        assert_eq!(Form::Uuid.encoded("5b5b5b5b-5b5b-5b5b-5b5b-5b5b5b5b5b5b"), bytes);
        assert_eq!(Form::Uuid.encoded("5B5B5B5B-5B5B-5B5B-5B5B-5B5B5B5B5B5B"), bytes);
        for key in [
            "5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b5b",
            "{5b5b5b5b-5b5b-5b5b-5b5b-5b5b5b5b5b5b}",
            "urn:uuid:5b5b5b5b-5b5b-5b5b-5b5b-5b5b5b5b5b5b",
            "5b5b5b5b-5b5b-5b5b-5b5b-5b5b5b5b5b5",
            "17",
        ] {
            assert_eq!(Form::Uuid.encoded(key), None, "{key}");
        }
    }

    #[test]
    fn text_is_bound_as_it_is() {
        assert_eq!(Form::Text.encoded("o'neil ä;--"), Some("o'neil ä;--".into()));
    }

    #[test]
    fn a_key_has_one_of_few_types() {
        assert_eq!(Form::named("citext"), Some(Form::Text));
        assert_eq!(Form::named("CHAR"), Some(Form::Text));
        for other in ["\"CHAR\"", "NUMERIC", "BYTEA", "TEXT[]", "DATE", "?"] {
            assert_eq!(Form::named(other), None, "{other}");
        }
    }
}
