//! A view over the attributes of one span, log record or event that remembers which of them have landed.
//!
//! Law: every attribute whose value did not land as it was sent stays for the row's `attributes`. So reading marks
//! only what it gives unchanged, and callers mark the rest when they have put it into the row.

use super::json::Node;
use super::json::any_json;
use super::json::any_node;
use super::json::any_text;
use super::json::may_hold_structure;
use super::json::parse;
use super::notes::Notes;
use super::value;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use std::borrow::Cow;
use std::cell::Cell;
use std::cell::RefCell;

/// Up to this many attributes a scan finds a key as fast as a table does.
const FEW: usize = 8;

/// Up to this many attributes a small table is used; more are sorted, so that no choice of keys makes a look-up slow.
const MANY: usize = 192;

/// Slots of the small table.
const SLOTS: usize = 512;

/// Attributes of one record.
pub(super) struct Attributes<'a> {
    list: &'a [KeyValue],
    index: Index,
    used: Used,
}

enum Index {
    Scan,
    Table(Box<[u8; SLOTS]>),
    Sorted(Vec<u32>),
}

/// One bit for each attribute.
#[derive(Default)]
struct Used {
    first: Cell<u64>,
    rest: RefCell<Vec<u64>>,
}

impl Used {
    fn set(&self, place: usize, used: bool) {
        let bit = 1u64 << (place % 64);
        let change = |word: u64| if used { word | bit } else { word & !bit };
        if place < 64 {
            self.first.set(change(self.first.get()));
            return;
        }
        let mut rest = self.rest.borrow_mut();
        let word = place / 64 - 1;
        if rest.len() <= word {
            rest.resize(word + 1, 0);
        }
        if let Some(slot) = rest.get_mut(word) {
            *slot = change(*slot);
        }
    }

    fn get(&self, place: usize) -> bool {
        let word =
            if place < 64 { self.first.get() } else { self.rest.borrow().get(place / 64 - 1).copied().unwrap_or(0) };
        word & (1u64 << (place % 64)) != 0
    }
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
        Self { list, index: index(list), used: Used::default() }
    }

    pub(super) fn list(&self) -> &'a [KeyValue] {
        self.list
    }

    /// Where a key stands. Of equal keys the first counts.
    pub(super) fn place(&self, key: &str) -> Option<usize> {
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
    pub(super) fn any(&self, key: &str) -> Option<&'a AnyValue> {
        self.place(key).and_then(|place| self.value_at(place))
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.place(key).is_some()
    }

    /// Says that a key's value stands in the row as it was sent.
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
    pub(super) fn peek(&self, key: &str) -> Option<&'a str> {
        self.any(key).and_then(any_text).filter(|text| !text.is_empty())
    }

    /// A text that is not empty, to be put into the row as it is.
    pub(super) fn text(&self, key: &str) -> Option<&'a str> {
        let place = self.place(key)?;
        let text = any_text(self.value_at(place)?).filter(|text| !text.is_empty())?;
        self.used.set(place, true);
        Some(text)
    }

    /// [`Attributes::text`] of the first key that has one, and that key.
    pub(super) fn first_text<'k>(&self, keys: &[&'k str]) -> Option<(&'k str, &'a str)> {
        keys.iter().find_map(|key| self.text(key).map(|text| (*key, text)))
    }

    /// An id: a text, or a number as text.
    pub(super) fn id(&self, key: &str) -> Option<Cow<'a, str>> {
        let place = self.place(key)?;
        let id = match self.value_at(place)?.value.as_ref()? {
            Value::StringValue(text) if !text.is_empty() => Cow::Borrowed(text.as_str()),
            Value::IntValue(number) => Cow::Owned(number.to_string()),
            _ => return None,
        };
        self.used.set(place, true);
        Some(id)
    }

    /// A truth, also one told as a word.
    pub(super) fn truth(&self, key: &str) -> Option<bool> {
        let place = self.place(key)?;
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
    pub(super) fn number(&self, key: &str, notes: &Notes) -> Option<f64> {
        let place = self.place(key)?;
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
    pub(super) fn count(&self, key: &str, notes: &Notes) -> Option<Found<i64>> {
        let place = self.place(key)?;
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
    pub(super) fn first_count(&self, keys: &[&str], notes: &Notes) -> Option<Found<i64>> {
        keys.iter().find_map(|key| self.count(key, notes))
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

    /// What stands in a key as JSON: a structured value as it is, a text read as JSON; a text that is none stays a
    /// text. Flaws are noted. Marks nothing.
    pub(super) fn json(&self, key: &str, notes: &Notes) -> Option<Doc<'a>> {
        let value = self.any(key)?;
        match &value.value {
            Some(Value::StringValue(text)) if text.is_empty() => None,
            Some(Value::StringValue(text)) => Some(read_text(text, key, notes)),
            _ => Some(Doc { node: any_node(value), whole: true }),
        }
    }

    /// The value of a key as one valid JSON text, marked: a text that is JSON passes as it is, any other is quoted.
    pub(super) fn raw_json(&self, key: &str) -> Option<String> {
        let place = self.place(key)?;
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

/// A value read from an attribute.
pub(super) struct Doc<'a> {
    pub node: Node<'a>,
    /// Whether the tree says all that the text says.
    pub whole: bool,
}

/// A text read as JSON where it looks like it, its flaws noted.
pub(super) fn read_text<'t>(text: &'t str, key: &str, notes: &Notes) -> Doc<'t> {
    let plain = Doc { node: Node::String(Cow::Borrowed(text)), whole: true };
    if !may_hold_structure(text) {
        return plain;
    }
    match parse(text) {
        Some(parsed) => {
            if let Some(words) = parsed.flaws.words() {
                notes.add(|| format!("{words} in {key}"));
            }
            Doc { node: parsed.node, whole: !parsed.flaws.lost_something() }
        }
        None => {
            notes.add(|| format!("no json in {key}"));
            plain
        }
    }
}

fn is_blank(value: Option<&AnyValue>) -> bool {
    value.and_then(any_text).is_some_and(|text| text.trim().is_empty())
}

fn words_of(text: &str) -> Vec<Cow<'_, str>> {
    let trimmed = text.trim();
    if trimmed.starts_with('[')
        && let Some(parsed) = parse(trimmed)
    {
        return parsed
            .node
            .items()
            .iter()
            .filter(|item| !item.is_empty())
            .map(|item| Cow::Owned(item.plain()))
            .collect();
    }
    trimmed
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(|word| Cow::Borrowed(word.trim_matches('"')))
        .collect()
}

fn index(list: &[KeyValue]) -> Index {
    if list.len() <= FEW {
        return Index::Scan;
    }
    if list.len() > MANY {
        let mut order: Vec<u32> = (0..list.len()).filter_map(|place| u32::try_from(place).ok()).collect();
        order.sort_by_key(|place| list.get(*place as usize).map(|entry| entry.key.as_str()));
        return Index::Sorted(order);
    }
    let mut table = Box::new([0u8; SLOTS]);
    for (place, entry) in list.iter().enumerate() {
        let Ok(mark) = u8::try_from(place + 1) else { break };
        let mut slot = hash(&entry.key) % SLOTS;
        while table.get(slot).is_some_and(|taken| *taken != 0) {
            slot = (slot + 1) % SLOTS;
        }
        if let Some(free) = table.get_mut(slot) {
            *free = mark;
        }
    }
    Index::Table(table)
}

/// A quick hash of a key: its length, its last eight bytes and eight of its middle.
#[inline]
fn hash(key: &str) -> usize {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let bytes = key.as_bytes();
    let length = bytes.len();
    let mixed = match (bytes.last_chunk::<8>(), bytes.get(length / 2..).and_then(|half| half.first_chunk::<4>())) {
        (Some(last), Some(middle)) => u64::from_le_bytes(*last) ^ (u64::from(u32::from_le_bytes(*middle)) << 20),
        _ => bytes.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)),
    };
    let spread = (mixed ^ (length as u64)).wrapping_mul(MIX);
    usize::try_from(spread >> 40).unwrap_or(0)
}

/// How many indexed places one record may still open: keys can name any number.
pub(super) struct Budget(Cell<usize>);

impl Budget {
    /// Indices of one record, all lists together.
    const INDICES: usize = 10_000;

    pub(super) fn new() -> Self {
        Self(Cell::new(Self::INDICES))
    }

    fn take(&self) -> bool {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        left > 0
    }
}

enum Put {
    Done,
    OverBudget,
    /// A value stands where others stand below, or the path is empty.
    Clash,
}

/// A place in a tree of keys.
#[derive(Default)]
struct Branch<'a> {
    leaf: Option<&'a AnyValue>,
    below: Vec<(&'a str, Branch<'a>)>,
    /// Keys may come in any order; a big branch is searched by this.
    seen: Option<std::collections::HashMap<&'a str, usize>>,
}

impl<'a> Branch<'a> {
    /// A branch with more children than this is searched by a map.
    const SCANNED: usize = 16;

    /// Segments of a path: deeper ones are a name of their own.
    const DEPTH: usize = 24;

    fn put(&mut self, path: &'a str, value: &'a AnyValue, budget: &Budget) -> Put {
        let mut branch = self;
        if path.is_empty() {
            return Put::Clash;
        }
        for segment in path.splitn(Self::DEPTH, '.') {
            let place = match branch.find(segment) {
                Some(place) => place,
                None => {
                    if is_index(segment) && !budget.take() {
                        return Put::OverBudget;
                    }
                    branch.add(segment)
                }
            };
            match branch.below.get_mut(place) {
                Some((_, next)) => branch = next,
                None => return Put::Clash,
            }
        }
        if branch.leaf.is_some() || !branch.below.is_empty() {
            return Put::Clash;
        }
        branch.leaf = Some(value);
        Put::Done
    }

    fn find(&self, segment: &str) -> Option<usize> {
        if let Some(seen) = &self.seen {
            return seen.get(segment).copied();
        }
        // The newest is the likeliest: keys mostly come in order.
        self.below.iter().rposition(|(name, _)| *name == segment)
    }

    fn add(&mut self, segment: &'a str) -> usize {
        let place = self.below.len();
        self.below.push((segment, Branch::default()));
        match &mut self.seen {
            Some(seen) => {
                seen.insert(segment, place);
            }
            None if self.below.len() > Self::SCANNED => {
                self.seen = Some(self.below.iter().enumerate().map(|(place, (name, _))| (*name, place)).collect());
            }
            None => {}
        }
        place
    }

    fn node(self) -> Node<'a> {
        if self.below.is_empty() {
            return self.leaf.map_or(Node::Null, any_node);
        }
        if !self.below.iter().all(|(name, _)| is_index(name)) {
            let entries = self.below.into_iter().map(|(name, branch)| (Cow::Borrowed(name), branch.node()));
            return Node::object(entries.collect());
        }
        let mut numbered: Vec<(u64, Branch<'a>)> =
            self.below.into_iter().map(|(name, branch)| (name.parse().unwrap_or(u64::MAX), branch)).collect();
        numbered.sort_by_key(|(number, _)| *number);
        Node::array(numbered.into_iter().map(|(_, branch)| branch.node()).collect())
    }
}

fn is_index(segment: &str) -> bool {
    !segment.is_empty() && segment.len() <= 19 && segment.bytes().all(|byte| byte.is_ascii_digit())
}
