//! A view over the attributes of one span, log record or event that remembers which of them have landed.
//!
//! Law: every attribute whose value did not land as it was sent stays for the row's `attributes`. So reading marks
//! only what it gives unchanged, and callers mark the rest when they have put it into the row.

mod doc;
mod index;
mod tree;

pub(super) use doc::Doc;
pub(super) use doc::read_text;
pub(super) use tree::Budget;

use super::json::Node;
use super::json::any_json;
use super::json::any_node;
use super::json::any_text;
use super::notes::Notes;
use super::value;
use doc::is_blank;
use doc::words_of;
use index::Index;
use index::Keys;
use index::SLOTS;
use index::Used;
use index::hash;
use index::index;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use std::borrow::Cow;
use tree::Branch;
use tree::Put;
use tree::is_index;

/// Attributes of one record.
pub(super) struct Attributes<'a> {
    list: &'a [KeyValue],
    keys: Keys,
    index: Index,
    used: Used,
}

/// A number that was read, and the attribute that it stands in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found<T> {
    pub value: T,
    /// None where it stands within a larger attribute.
    pub place: Option<usize>,
}

impl<'a> Attributes<'a> {
    pub(super) fn new(list: &'a [KeyValue]) -> Self {
        Self { list, keys: Keys::of(list), index: index(list), used: Used::default() }
    }

    pub(super) fn list(&self) -> &'a [KeyValue] {
        self.list
    }

    /// Where a key stands. Of equal keys the first counts.
    #[inline]
    pub(super) fn place(&self, key: &str) -> Option<usize> {
        if self.keys.may_have(key) { self.find(key) } else { None }
    }

    fn find(&self, key: &str) -> Option<usize> {
        let is_key = |place: usize| self.list.get(place).is_some_and(|entry| entry.key == key);
        match &self.index {
            Index::Scan => self.list.iter().position(|entry| entry.key == key),
            Index::Table(table) => {
                let mut slot = hash(key) % SLOTS;
                loop {
                    match table.get(slot) {
                        None | Some(0) => return None,
                        Some(taken) => {
                            let place = usize::from(*taken) - 1;
                            if is_key(place) {
                                return Some(place);
                            }
                        }
                    }
                    slot = (slot + 1) % SLOTS;
                }
            }
            Index::Sorted(order) => {
                let at = order.partition_point(|place| {
                    self.list.get(*place as usize).is_some_and(|entry| entry.key.as_str() < key)
                });
                order.get(at).map(|place| *place as usize).filter(|place| is_key(*place))
            }
        }
    }

    fn value_at(&self, place: usize) -> Option<&'a AnyValue> {
        self.list.get(place)?.value.as_ref().filter(|value| value.value.is_some())
    }

    /// The value of a key, if it is there and not null. Marks nothing.
    #[inline]
    pub(super) fn any(&self, key: &str) -> Option<&'a AnyValue> {
        self.place(key).and_then(|place| self.value_at(place))
    }

    #[inline]
    pub(super) fn has(&self, key: &str) -> bool {
        self.place(key).is_some()
    }

    /// Says that a key's value stands in the row as it was sent.
    #[inline]
    pub(super) fn mark(&self, key: &str) {
        if let Some(place) = self.place(key) {
            self.used.set(place, true);
        }
    }

    /// Says that the value at a place stands in the row as it was sent.
    pub(super) fn mark_place(&self, place: usize) {
        self.used.set(place, true);
    }

    /// Says that a key's value does not stand in the row after all.
    pub(super) fn unmark(&self, key: &str) {
        if let Some(place) = self.place(key) {
            self.used.set(place, false);
        }
    }

    pub(super) fn unmark_place(&self, place: usize) {
        self.used.set(place, false);
    }

    /// Marks all keys that begin so.
    pub(super) fn mark_prefix(&self, prefix: &str) {
        for (place, entry) in self.list.iter().enumerate() {
            if entry.key.starts_with(prefix) {
                self.used.set(place, true);
            }
        }
    }

    /// A text that is not empty. Marks nothing.
    #[inline]
    pub(super) fn peek(&self, key: &str) -> Option<&'a str> {
        self.peek_at(self.place(key)?)
    }

    fn peek_at(&self, place: usize) -> Option<&'a str> {
        any_text(self.value_at(place)?).filter(|text| !text.is_empty())
    }

    /// A text that is not empty, to be put into the row as it is.
    #[inline]
    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        self.text_at(self.place(key)?)
    }

    fn text_at(&self, place: usize) -> Option<&'a str> {
        let text = self.peek_at(place)?;
        self.used.set(place, true);
        Some(text)
    }

    /// [`Attributes::text`] of the first key that has one, and that key.
    #[inline]
    pub(super) fn first_text<'k>(&self, keys: &[&'k str]) -> Option<(&'k str, &'a str)> {
        keys.iter().find_map(|key| self.text(key).map(|text| (*key, text)))
    }

    /// An id: a text, or a number as text.
    #[inline]
    pub(super) fn id(&self, key: &str) -> Option<Cow<'a, str>> {
        self.id_at(self.place(key)?)
    }

    fn id_at(&self, place: usize) -> Option<Cow<'a, str>> {
        let id = match self.value_at(place)?.value.as_ref()? {
            Value::StringValue(text) if !text.is_empty() => Cow::Borrowed(text.as_str()),
            Value::IntValue(number) => Cow::Owned(number.to_string()),
            _ => return None,
        };
        self.used.set(place, true);
        Some(id)
    }

    /// A truth, also one told as a word.
    #[inline]
    pub(super) fn truth(&self, key: &str) -> Option<bool> {
        self.truth_at(self.place(key)?)
    }

    fn truth_at(&self, place: usize) -> Option<bool> {
        let truth = match self.value_at(place)?.value.as_ref()? {
            Value::BoolValue(truth) => *truth,
            Value::StringValue(text) => value::truth(text)?,
            Value::IntValue(number @ (0 | 1)) => *number == 1,
            _ => return None,
        };
        self.used.set(place, true);
        Some(truth)
    }

    /// A finite number, also one told as text. Marks it.
    #[inline]
    pub(super) fn number(&self, key: &str, notes: &Notes) -> Option<f64> {
        self.number_at(self.place(key)?, key, notes)
    }

    fn number_at(&self, place: usize, key: &str, notes: &Notes) -> Option<f64> {
        let number = match self.value_at(place)?.value.as_ref()? {
            #[expect(clippy::cast_precision_loss, reason = "no measure needs more than 53 bits")]
            Value::IntValue(number) => Some(*number as f64),
            Value::DoubleValue(number) => Some(*number).filter(|number| number.is_finite()),
            Value::StringValue(text) => value::number(text),
            _ => None,
        };
        if number.is_some() {
            self.used.set(place, true);
        } else if !is_blank(self.value_at(place)) {
            notes.add(|| format!("no number in {key}"));
        }
        number
    }

    /// A count, also one told as text or with a fraction of zero; null and a note for anything else. Marks it.
    #[inline]
    pub(super) fn count(&self, key: &str, notes: &Notes) -> Option<Found<i64>> {
        self.count_at(self.place(key)?, key, notes)
    }

    fn count_at(&self, place: usize, key: &str, notes: &Notes) -> Option<Found<i64>> {
        let count = match self.value_at(place)?.value.as_ref()? {
            Value::IntValue(number) => (*number >= 0).then_some(*number),
            Value::DoubleValue(number) => value::whole(*number),
            Value::StringValue(text) => value::count(text),
            _ => None,
        };
        match count {
            Some(value) => {
                self.used.set(place, true);
                Some(Found { value, place: Some(place) })
            }
            None => {
                if !is_blank(self.value_at(place)) {
                    notes.add(|| format!("no count in {key}"));
                }
                None
            }
        }
    }

    /// [`Attributes::count`] of the first key that has one.
    #[inline]
    pub(super) fn first_count(&self, keys: &[&str], notes: &Notes) -> Option<Found<i64>> {
        keys.iter().find_map(|key| self.count(key, notes))
    }

    /// Whether a value is several words between commas, which land one by one.
    pub(super) fn is_joined(&self, key: &str) -> bool {
        self.peek(key).is_some_and(|text| text.contains(',') && !text.trim_start().starts_with('['))
    }

    /// A list of texts: an array, the JSON text of one, words between commas, or a single word. Marks nothing.
    pub(super) fn words(&self, key: &str) -> Vec<Cow<'a, str>> {
        let Some(value) = self.any(key).and_then(|value| value.value.as_ref()) else { return Vec::new() };
        match value {
            Value::StringValue(text) => words_of(text),
            Value::ArrayValue(list) => list
                .values
                .iter()
                .filter_map(|item| match &item.value {
                    Some(Value::StringValue(text)) => Some(Cow::Borrowed(text.as_str())),
                    None => None,
                    _ => Some(Cow::Owned(any_json(item))),
                })
                .collect(),
            _ => self.any(key).map(|value| Cow::Owned(any_json(value))).into_iter().collect(),
        }
    }

    /// Whether what stands in a key as JSON could be an object: a look at its beginning. Marks nothing.
    pub(super) fn may_be_object(&self, key: &str) -> bool {
        match self.any(key).and_then(|value| value.value.as_ref()) {
            // A text may be encoded once more.
            Some(Value::StringValue(text)) => !text.trim_start().starts_with('['),
            Some(value) => matches!(value, Value::KvlistValue(_)),
            None => false,
        }
    }

    /// What stands in a key as JSON: a structured value as it is, a text read as JSON; a text that is none stays a
    /// text. Flaws are noted. Marks nothing.
    #[inline]
    pub(super) fn json(&self, key: &str, notes: &Notes) -> Option<Doc<'a>> {
        self.json_at(self.place(key)?, key, notes)
    }

    fn json_at(&self, place: usize, key: &str, notes: &Notes) -> Option<Doc<'a>> {
        let value = self.value_at(place)?;
        match &value.value {
            Some(Value::StringValue(text)) if text.is_empty() => None,
            Some(Value::StringValue(text)) => Some(read_text(text, key, notes)),
            _ => Some(Doc { node: any_node(value), whole: true }),
        }
    }

    /// The value of a key as one valid JSON text, marked: a text that is JSON passes as it is, any other is quoted.
    #[inline]
    pub(super) fn raw_json(&self, key: &str) -> Option<String> {
        self.raw_json_at(self.place(key)?)
    }

    fn raw_json_at(&self, place: usize) -> Option<String> {
        let value = self.value_at(place)?;
        let json = match &value.value {
            Some(Value::StringValue(text)) if text.is_empty() => return None,
            Some(Value::StringValue(text)) => super::json::text_as_json(text),
            _ => any_json(value),
        };
        self.used.set(place, true);
        Some(json)
    }

    /// The attributes below a prefix whose next segment is a number, as a list of trees: `a.0.b.c` under `a.` gives a
    /// list with an object `b` with a key `c`.
    ///
    /// Indices are sorted as numbers and gaps closed; what passes the record's budget of indices stays where it is.
    /// Gives the list and the places it was made of. Marks nothing.
    pub(super) fn list_below(&self, prefix: &str, budget: &Budget, notes: &Notes) -> Option<(Node<'a>, Vec<usize>)> {
        let mut root = Branch::default();
        let mut places = Vec::new();
        for (place, entry) in self.list.iter().enumerate() {
            let Some(path) = entry.key.strip_prefix(prefix) else { continue };
            if !path.split('.').next().is_some_and(is_index) {
                continue;
            }
            let Some(value) = entry.value.as_ref().filter(|value| value.value.is_some()) else { continue };
            match root.put(path, value, budget) {
                Put::Done => places.push(place),
                Put::OverBudget => notes.add(|| format!("too many indices under {prefix}")),
                Put::Clash => {}
            }
        }
        match root.node() {
            node @ Node::Array(_) => Some((node, places)),
            _ => None,
        }
    }

    /// Keys and values that begin with a prefix, without it.
    pub(super) fn below<'s>(&'s self, prefix: &'s str) -> impl Iterator<Item = (usize, &'a str, &'a AnyValue)> + 's {
        self.list.iter().enumerate().filter_map(move |(place, entry)| {
            let rest = entry.key.strip_prefix(prefix)?;
            entry.value.as_ref().map(|value| (place, rest, value))
        })
    }

    /// What is left, key by key, as JSON. A key that was sent twice is numbered.
    pub(super) fn left(&self) -> Vec<(String, String)> {
        let mut left = Vec::new();
        for (place, entry) in self.list.iter().enumerate() {
            if self.used.get(place) {
                continue;
            }
            let json = entry.value.as_ref().map_or_else(|| "null".to_owned(), any_json);
            let again = self.place(&entry.key) != Some(place);
            let key = if again { format!("{}#{}", entry.key, place + 1) } else { entry.key.clone() };
            left.push((key, json));
        }
        left
    }

    /// Whether every attribute has landed.
    pub(super) fn all_used(&self) -> bool {
        (0..self.list.len()).all(|place| self.used.get(place))
    }
}
