//! Filters on metadata: the query key `meta_data`.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use crate::simulator::answer::Refusal;

/// `key==value`: the key may be a path with slashes or dots.
#[derive(Debug)]
pub struct Condition {
    path: Vec<String>,
    operator: &'static str,
    value: String,
}

impl Condition {
    /// Parses `KEY`, an operator and a value. A text without an operator is refused.
    pub fn read(text: &str) -> Result<Condition, Refusal> {
        for operator in ["==", "!=", "<=", ">=", "<", ">"] {
            if let Some((path, value)) = text.split_once(operator) {
                let path = path.split(['/', '.']).map(str::to_owned).collect();
                return Ok(Condition { path, operator, value: value.to_owned() });
            }
        }
        Err(Refusal::structure("Invalid meta_data filter descriptor"))
    }

    /// Whether the metadata satisfies the condition. A missing key satisfies `!=` only.
    pub fn holds(&self, meta_data: &Map<String, Value>) -> bool {
        let (first, rest) = (self.path.first(), self.path.iter().skip(1));
        let found = first.and_then(|key| meta_data.get(key));
        let found = rest.fold(found, |value, key| value.and_then(|value| value.get(key)));
        let Some(found) = found else {
            return self.operator == "!=";
        };
        let order = self.compare(found);
        match self.operator {
            "==" => order == Some(Ordering::Equal),
            "!=" => order != Some(Ordering::Equal),
            "<=" => order.is_some_and(Ordering::is_le),
            ">=" => order.is_some_and(Ordering::is_ge),
            "<" => order.is_some_and(Ordering::is_lt),
            _ => order.is_some_and(Ordering::is_gt),
        }
    }

    fn compare(&self, found: &Value) -> Option<Ordering> {
        match found {
            Value::String(text) => Some(text.as_str().cmp(&self.value)),
            Value::Number(number) => number.as_f64()?.partial_cmp(&self.value.parse().ok()?),
            other => {
                let shown = other.to_string();
                (shown == self.value).then_some(Ordering::Equal)
            }
        }
    }
}
